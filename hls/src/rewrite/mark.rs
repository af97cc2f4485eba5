//! The mark that distinguishes the objects of one epoch from those of another under the same names.

use std::fmt;

/// The epoch of a stream that an object belongs to, as a parameter in the query of its URI:
/// `tidegate_run=1795371234`.
///
/// Its number is the time at which the epoch was first seen, in seconds since the Unix epoch: no other epoch
/// of the stream has it. The parameter is this project's own. Origins never receive it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(pub u64);

impl Mark {
    /// The name of the parameter.
    pub const NAME: &str = "tidegate_run";

    /// The mark of a URI.
    pub fn of(uri: &str) -> Option<Self> {
        let (_, query) = uri.split('#').next()?.split_once('?')?;
        query
            .split('&')
            .find_map(|parameter| Self::parse(parameter.strip_prefix(Self::NAME)?.strip_prefix('=')?))
    }

    /// Parses the parameter's value, which has one spelling.
    pub fn parse(value: &str) -> Option<Self> {
        let number: u64 = value.parse().ok()?;
        (number.to_string() == value).then_some(Self(number))
    }

    /// Adds the mark to a URI without one.
    pub(super) fn append_to(self, uri: &str) -> String {
        let end = uri.find('#').unwrap_or(uri.len());
        let (place, fragment) = uri.split_at_checked(end).unwrap_or((uri, ""));
        let separator = if place.contains('?') { '&' } else { '?' };
        format!("{place}{separator}{self}{fragment}")
    }

    /// Replaces `other` in the URI with this mark.
    pub(super) fn replace(self, other: Self, uri: &str) -> String {
        uri.replacen(&other.to_string(), &self.to_string(), 1)
    }
}

/// The query parameter.
impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", Self::NAME, self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_added_and_found_again() {
        let mark = Mark(56);
        for (uri, marked) in [
            ("a.ts", "a.ts?tidegate_run=56"),
            ("a.ts?t=1", "a.ts?t=1&tidegate_run=56"),
            ("a.ts#f?x", "a.ts?tidegate_run=56#f?x"),
        ] {
            assert_eq!((Mark::of(uri), mark.append_to(uri).as_str()), (None, marked));
            assert_eq!(Mark::of(marked), Some(mark));
            assert_eq!(Mark(7).replace(mark, marked), marked.replace("56", "7"));
        }
        assert_eq!(Mark::of("a.ts?b=1&tidegate_run=56&c"), Some(mark));
        for none in
            ["tidegate_run=1", "?tidegate_run=", "?tidegate_run=01", "?tidegate_run=+1", "?x#tidegate_run=1"]
        {
            assert_eq!(Mark::of(none), None, "{none}");
        }
    }
}
