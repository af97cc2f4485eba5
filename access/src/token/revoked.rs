//! Revoked tokens, by their ids.

use std::collections::HashSet;

/// The ids of revoked tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revoked {
    exact: HashSet<Box<str>>,
    prefixes: Vec<Box<str>>,
}

impl Revoked {
    /// Reads a list: one id per line, `abc*` for all ids with that beginning. Empty lines and those that
    /// begin with `#` do not count.
    pub fn parse(text: &str) -> Self {
        let mut revoked = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line.strip_suffix('*') {
                Some(prefix) => revoked.prefixes.push(prefix.into()),
                None => _ = revoked.exact.insert(line.into()),
            }
        }
        revoked
    }

    /// Whether the id is revoked.
    pub fn contains(&self, id: &str) -> bool {
        self.exact.contains(id) || self.prefixes.iter().any(|prefix| id.starts_with(&**prefix))
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.exact.len() + self.prefixes.len()
    }

    /// Whether no id is revoked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_revoked_in_full_or_by_their_beginning() {
        let revoked = Revoked::parse("# left the school\r\nviewer-17\n\n  class-3-*  \n");
        assert_eq!(revoked.len(), 2);
        for (id, contains) in [
            ("viewer-17", true),
            ("viewer-1", false),
            ("viewer-170", false),
            ("class-3-a", true),
            ("class-4-a", false),
        ] {
            assert_eq!(revoked.contains(id), contains, "{id}");
        }
        assert!(Revoked::parse("*").contains("anything"));
        assert!(Revoked::parse("# *\n").is_empty());
    }
}
