//! The validators that a node makes: for a version of an object that the origin's validators do not
//! distinguish from others.
//!
//! An origin may send many versions under one date or one entity tag, and answer 200 each time. A node that
//! stores them knows that they differ, and must not answer 304 for another one. So it tags them itself.
//! Between tiers every object has such a tag, in [`VERSION`]: only the tag of the very version that a tier
//! has stored renews it.

use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};

use http::header::{HeaderName, HeaderValue};

use super::tag::{OWN_PREFIX, Tag};
use crate::field;

/// The version of an object, from one tier to the next: a strong entity tag that this node, or the tier
/// before it, has made.
pub static VERSION: HeaderName = HeaderName::from_static("tidegate-version");

/// The tag of an object with this body. All nodes make the same one.
pub fn tag_of(body: &[u8]) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    hasher.write(body);
    field::value(format_args!("\"{OWN_PREFIX}{:016x}{:x}\"", hasher.finish(), body.len()))
}

/// The tag of an object whose body is not known yet: no other object has it.
pub fn unique_tag() -> HeaderValue {
    // The keys of each `RandomState` differ from all others.
    let random = RandomState::new();
    field::value(format_args!("\"{OWN_PREFIX}{:016x}{:016x}\"", random.hash_one(0), random.hash_one(1)))
}

/// Whether a field value is an entity tag that a node has made.
pub fn is_own_tag(value: &HeaderValue) -> bool {
    Tag::parse(value.as_bytes()).is_some_and(Tag::is_own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_tags_of_their_own_and_equal_bodies_the_same() {
        assert_eq!(tag_of(b"a"), tag_of(b"a"));
        assert_ne!(tag_of(b"a"), tag_of(b"b"));
        assert_ne!(tag_of(b""), tag_of(b"\0"));
        assert_ne!(unique_tag(), unique_tag());
        for tag in [tag_of(b"a"), unique_tag()] {
            assert!(is_own_tag(&tag) && Tag::parse(tag.as_bytes()).is_some_and(|tag| !tag.is_weak()));
        }
        assert!(!is_own_tag(&HeaderValue::from_static("\"a\"")));
        assert!(is_own_tag(&HeaderValue::from_static("W/\"tg-1\"")));
    }
}
