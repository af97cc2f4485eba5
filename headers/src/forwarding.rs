//! Which header fields of viewers reach an upstream with a shared request.
//!
//! The key of a response shows neither these fields nor their values, unless the response varies by them. An
//! upstream that lets one change its response would give all viewers what one viewer asked for.

use std::collections::BTreeSet;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::hop;

/// The rules of a site. By default, all fields are sent except those of [`hop::is_sent_on_fill`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forwarding {
    /// Whether a field is dropped that neither list names.
    pub drops_unlisted: bool,
    /// Fields that are sent.
    pub keep: BTreeSet<String>,
    /// Fields that are dropped. `keep` wins.
    pub drop: BTreeSet<String>,
}

impl Forwarding {
    /// Whether a shared request carries this field of the viewer that starts it.
    pub fn sends(&self, name: &HeaderName) -> bool {
        let is_dropped = || self.drops_unlisted || self.drop.contains(name.as_str());
        hop::is_sent_on_fill(name) && (self.keep.contains(name.as_str()) || !is_dropped())
    }

    /// The header fields of a shared request: those of the viewer that starts it, as far as they are sent.
    /// The caller adds `Host` and any conditions.
    pub fn fill_headers(&self, viewer: &HeaderMap) -> HeaderMap {
        let mut headers = hop::filtered(viewer, |name| self.sends(name));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(listed: &[&str]) -> BTreeSet<String> {
        listed.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn lists_select_among_the_fields_that_a_fill_may_carry() {
        let all = Forwarding::default();
        let some = Forwarding { drops_unlisted: true, keep: names(&["accept", "cookie"]), ..all.clone() };
        let most =
            Forwarding { drop: names(&["x-oversized", "accept"]), keep: names(&["accept"]), ..all.clone() };
        for (name, sent) in [
            ("accept", [true, true, true]),
            ("accept-language", [true, false, true]),
            ("x-oversized", [true, false, false]),
            // About the viewer: no list makes it part of a shared request.
            ("cookie", [false, false, false]),
            ("x-forwarded-host", [false, false, false]),
        ] {
            let name = HeaderName::from_static(name);
            assert_eq!([&all, &some, &most].map(|rules| rules.sends(&name)), sent, "{name}");
        }
        let viewer: HeaderMap = [("accept", "*/*"), ("x-oversized", "1"), ("accept-encoding", "br")]
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .into_iter()
            .collect();
        let sent = some.fill_headers(&viewer);
        assert_eq!(
            (sent.len(), sent.get("accept-encoding")),
            (2, Some(&HeaderValue::from_static("identity")))
        );
    }
}
