//! The paths that a token grants.

use tidegate_hls::{QueryRules, Resource, ResourceError};

/// A path prefix of whole components, in the normal form of cache keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

/// A text that is not a path prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a path prefix: {error}")]
pub struct PrefixError {
    text: String,
    error: ResourceError,
}

impl Prefix {
    /// Reads a prefix, such as `/live/`. The rules are those for the path of a request: one spelling of
    /// percent encoding, no dot segments.
    ///
    /// # Errors
    /// When it is not a path.
    pub fn parse(text: &str) -> Result<Self, PrefixError> {
        let refused = |error| PrefixError { text: text.to_owned(), error };
        if text.contains('?') {
            let offset = text.find('?').unwrap_or_default();
            return Err(refused(ResourceError::BadByte { byte: b'?', offset }));
        }
        let resource = Resource::parse("localhost", text, &QueryRules::default()).map_err(refused)?;
        Ok(Self(resource.path))
    }

    /// Whether `path`, in its normal form, is below the prefix. `/live` matches `/live` and `/live/1.ts`
    /// and never `/live10`; `/live/` matches what is below it.
    pub fn matches(&self, path: &str) -> bool {
        match path.strip_prefix(self.0.as_str()) {
            Some(rest) => rest.is_empty() || self.0.ends_with('/') || rest.starts_with('/'),
            None => false,
        }
    }

    /// The prefix in its normal form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_matches_whole_components() {
        for (prefix, path, matches) in [
            ("/", "/", true),
            ("/", "/a", true),
            ("/live1", "/live1", true),
            ("/live1", "/live1/a.ts", true),
            ("/live1", "/live10/a.ts", false),
            ("/live1", "/live10", false),
            ("/live1", "/live1.m3u8", false),
            ("/live1", "/live1%2Fa.ts", false),
            ("/live1", "/live", false),
            ("/live1/", "/live1/a.ts", true),
            ("/live1/", "/live1/", true),
            ("/live1/", "/live1", false),
            ("/live1/", "/live10/", false),
            ("/live1/a", "/live1/b", false),
            ("/%7Elive", "/~live/a", true),
            ("/caf%c3%a9", "/caf%C3%A9/a", true),
            ("/live1", "/Live1/a", false),
            ("/a", "//a", false),
        ] {
            assert_eq!(Prefix::parse(prefix).unwrap().matches(path), matches, "{prefix} {path}");
        }
    }

    #[test]
    fn what_is_not_a_path_is_no_prefix() {
        for text in ["", "live", "/a/../b", "/a/%2e%2e/b", "/a?b", "/a b", "/%", "https://a.example/"] {
            assert!(Prefix::parse(text).is_err(), "{text}");
        }
    }
}
