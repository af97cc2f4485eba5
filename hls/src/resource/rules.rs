//! Which query parameters count: a site's rules.

use std::str::FromStr;

/// A site's rules for targets. A dropped parameter is dropped everywhere: from the key and from the request
/// to the upstream.
///
/// `_HLS_msn`, `_HLS_part` and `_HLS_skip` are always kept and other `_HLS_` names always dropped, whatever
/// the lists contain. `CMCD` is dropped unless `keep` names it exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryRules {
    /// Whether a parameter that no list names counts.
    pub default: QueryDefault,
    /// Parameters that count. When `default` keeps, these are exceptions to `drop`.
    pub keep: Vec<Pattern>,
    /// Parameters that do not count. When `default` drops, these are exceptions to `keep`.
    pub drop: Vec<Pattern>,
    /// Keep the [`Mark`](crate::Mark) of a segment, whatever the lists contain; else it is dropped.
    pub marks: bool,
    /// Sort the parameters by the bytes of their names (section 6.3.2 requires that of clients); parameters
    /// with one name stay in the order in which they were sent.
    pub sort: bool,
    /// Most parameters of a query, dropped ones included.
    pub params_max: usize,
    /// Longest path in bytes, as sent and in its normal form.
    pub path_bytes_max: usize,
    /// Longest query in bytes, as sent and in its normal form.
    pub query_bytes_max: usize,
}

/// Whether a parameter that no list names counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueryDefault {
    /// It counts. An origin that serves different bytes for it stays right.
    #[default]
    Keep,
    /// It does not count. Links with added parameters share one object.
    Drop,
}

impl Default for QueryRules {
    fn default() -> Self {
        Self {
            default: QueryDefault::Keep,
            keep: Vec::new(),
            drop: Vec::new(),
            marks: true,
            sort: true,
            params_max: 256,
            path_bytes_max: 8 * 1024,
            query_bytes_max: 16 * 1024,
        }
    }
}

impl QueryRules {
    /// Whether a parameter of this name counts. The list that agrees with the default wins over the other
    /// one: its only use is to make exceptions.
    pub(super) fn keeps(&self, name: &str) -> bool {
        let in_list = |list: &[Pattern]| list.iter().any(|pattern| pattern.matches(name));
        match self.default {
            QueryDefault::Keep => in_list(&self.keep) || !in_list(&self.drop),
            QueryDefault::Drop => in_list(&self.keep) && !in_list(&self.drop),
        }
    }

    /// Whether `keep` lists the name in full. No prefix keeps a parameter that is dropped for a reason of its
    /// own.
    pub(super) fn keeps_exactly(&self, name: &str) -> bool {
        self.keep.iter().any(|pattern| matches!(pattern, Pattern::Exact(exact) if exact == name))
    }
}

/// A parameter name, or the beginning of one: `token` or `utm_*`. Case matters. It is compared with the name
/// in its normal form, in which only the necessary characters are percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// The whole name.
    Exact(String),
    /// The beginning of the name.
    Prefix(String),
}

impl Pattern {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => name == exact,
            Self::Prefix(prefix) => name.starts_with(prefix),
        }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let (name, is_prefix) = match text.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (text, false),
        };
        if let Some(offset) = name.find(['*', '&', '=', '#']) {
            return Err(PatternError::BadCharacter { offset });
        }
        match (name.is_empty(), is_prefix) {
            (true, false) => Err(PatternError::Empty),
            (_, true) => Ok(Self::Prefix(name.to_owned())),
            (false, false) => Ok(Self::Exact(name.to_owned())),
        }
    }
}

/// Why a pattern for parameter names is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// The pattern is empty.
    #[error("a parameter name is empty")]
    Empty,
    /// A star that is not at the end, or a character that no parameter name contains.
    #[error("character {} is not allowed in a parameter name (a star stands only at the end)", offset + 1)]
    BadCharacter {
        /// Its offset in bytes.
        offset: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(list: &[&str]) -> Vec<Pattern> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_star_at_the_end_matches_any_rest() {
        assert_eq!("utm_*".parse(), Ok(Pattern::Prefix("utm_".to_owned())));
        assert_eq!("*".parse(), Ok(Pattern::Prefix(String::new())));
        assert_eq!("token".parse(), Ok(Pattern::Exact("token".to_owned())));
        assert_eq!("".parse::<Pattern>(), Err(PatternError::Empty));
        assert_eq!("a*b".parse::<Pattern>(), Err(PatternError::BadCharacter { offset: 1 }));
        assert_eq!("a=b".parse::<Pattern>(), Err(PatternError::BadCharacter { offset: 1 }));
    }

    #[test]
    fn the_list_that_agrees_with_the_default_makes_the_exceptions() {
        let lists = |default| QueryRules {
            default,
            keep: patterns(&["utm_id", "t*"]),
            drop: patterns(&["utm_*", "token"]),
            ..QueryRules::default()
        };
        let keeping = lists(QueryDefault::Keep);
        let dropping = lists(QueryDefault::Drop);
        for (name, kept_by_keeping, kept_by_dropping) in [
            ("utm_id", true, false),
            ("utm_source", false, false),
            ("token", true, false),
            ("time", true, true),
            ("other", true, false),
        ] {
            assert_eq!(keeping.keeps(name), kept_by_keeping, "{name}, default keep");
            assert_eq!(dropping.keeps(name), kept_by_dropping, "{name}, default drop");
        }
    }
}
