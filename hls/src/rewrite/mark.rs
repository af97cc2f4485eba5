//! The mark that tells the objects of one run of a stream from those of another under the same names.

use std::fmt;

/// The run of a stream that an object belongs to, as a parameter in the query of its URI: `tidegate_run=1.56`.
///
/// It is this project's own. Origins never see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark {
    /// Counts the new beginnings of the stream, from 1.
    pub number: u64,
    /// What is added to the origin's media sequence numbers.
    pub added: u64,
}

impl Mark {
    /// The name of the parameter.
    pub const NAME: &str = "tidegate_run";

    /// The mark that a URI bears.
    pub fn of(uri: &str) -> Option<Self> {
        let (_, query) = uri.split('#').next()?.split_once('?')?;
        query
            .split('&')
            .find_map(|parameter| Self::parse(parameter.strip_prefix(Self::NAME)?.strip_prefix('=')?))
    }

    /// Parses the parameter's value.
    pub fn parse(value: &str) -> Option<Self> {
        let number =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
        let (count, added) = value.split_once('.')?;
        Some(Self { number: number(count)?, added: number(added)? })
    }

    /// The URI with the mark. One that bears a mark keeps it.
    pub(super) fn put_on(self, uri: &str) -> String {
        if Self::of(uri).is_some() {
            return uri.to_owned();
        }
        let end = uri.find('#').unwrap_or(uri.len());
        let (place, fragment) = uri.split_at_checked(end).unwrap_or((uri, ""));
        let joint = if place.contains('?') { '&' } else { '?' };
        format!("{place}{joint}{self}{fragment}")
    }
}

/// As it stands in a query.
impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}.{}", Self::NAME, self.number, self.added)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_put_on_once_and_found_again() {
        let mark = Mark { number: 1, added: 56 };
        for (uri, marked) in [
            ("a.ts", "a.ts?tidegate_run=1.56"),
            ("a.ts?t=1", "a.ts?t=1&tidegate_run=1.56"),
            ("a.ts#f?x", "a.ts?tidegate_run=1.56#f?x"),
            ("a.ts?tidegate_run=2.7", "a.ts?tidegate_run=2.7"),
        ] {
            assert_eq!(mark.put_on(uri), marked);
            assert!(Mark::of(uri).is_none_or(|found| found.number == 2));
            assert!(Mark::of(marked).is_some());
        }
        assert_eq!(Mark::of("a.ts?b=1&tidegate_run=1.56&c"), Some(mark));
        for none in [
            "tidegate_run=1.5",
            "?tidegate_run=",
            "?tidegate_run=1",
            "?tidegate_run=+1.2",
            "?x#tidegate_run=1.2",
        ] {
            assert_eq!(Mark::of(none), None, "{none}");
        }
    }
}
