//! Path patterns: `/live/ch1/*`, `*.m3u8`, `/live/*/index.m3u8`, or one path exactly.

use serde::{Deserialize, Serialize};

/// A path in which each `*` stands for any text, including none. Without a `*` it is one path exactly.
/// Queries are ignored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// Every path.
    pub const ANY: &'static str = "*";

    pub(crate) fn is_any(&self) -> bool {
        self.0 == Self::ANY
    }

    pub(crate) fn is_exact(&self) -> bool {
        !self.0.contains('*')
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        let Some((head, tail)) = self.0.split_once('*') else { return path == self.0 };
        let Some(mut rest) = path.strip_prefix(head) else { return false };
        let mut parts: Vec<&str> = tail.split('*').collect();
        let last = parts.pop().unwrap_or_default();
        for part in parts {
            // The first match of a part leaves the most for the parts after it.
            let Some(at) = rest.find(part) else { return false };
            rest = rest.get(at + part.len()..).unwrap_or_default();
        }
        rest.ends_with(last)
    }
}

impl From<&str> for Pattern {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Default for Pattern {
    fn default() -> Self {
        Self::from(Self::ANY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_exact_prefixes_suffixes_and_more() {
        for (pattern, path, fits) in [
            ("*", "/anything", true),
            ("/a/b", "/a/b", true),
            ("/a/b", "/a/bc", false),
            ("/a/*", "/a/", true),
            ("/a/*", "/b/a/", false),
            ("*.ts", "/live/x/1.ts", true),
            ("*.ts", "/live/x/1.ts.m3u8", false),
            ("/live/*/ts/*.m3u8", "/live/ch1/ts/240p/index.m3u8", true),
            ("/live/*/ts/*.m3u8", "/live/ch1/cmaf/240p/index.m3u8", false),
            ("/a*a", "/a", false),
            ("*ab*ab*", "/ab", false),
        ] {
            assert_eq!(Pattern::from(pattern).matches(path), fits, "{pattern} {path}");
        }
    }
}
