//! The name under which an object is cached.

use std::borrow::Borrow;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

/// Site, path and the query parameters that count. The key of a variant also contains the values that it
/// varies by.
///
/// Keys are compared in full, never by hash alone. The parts are joined with line feeds, which no part may
/// contain: `hls::Resource` refuses control characters, and site names are checked when the configuration is
/// read.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// The key of `path_and_query` at `site`.
    pub fn new(site: &str, path_and_query: &str) -> Self {
        JOINED.with_borrow_mut(|joined| {
            joined.clear();
            joined.push_str(site);
            joined.push('\n');
            joined.push_str(path_and_query);
            Self(joined.as_str().into())
        })
    }

    /// The key of one variant. `generation` keeps the variants from before a purge apart from those after it.
    pub(crate) fn variant(&self, generation: u64, variant: &str) -> Self {
        Self(format!("{}\n{generation}\n{variant}", self.0).into())
    }

    /// Splits the key of a variant into the key without its variant and the variant's generation. `None` for
    /// any other key.
    pub(crate) fn split_variant(&self) -> Option<(Self, u64)> {
        let (end, _) = self.0.match_indices('\n').nth(1)?;
        let (primary, variant) = self.0.split_at(end);
        let generation = variant.split('\n').nth(1)?.parse().ok()?;
        Some((Self(primary.into()), generation))
    }

    /// The key as one string.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the site.
    pub fn site(&self) -> &str {
        self.0.split('\n').next().unwrap_or_default()
    }

    /// Path and query, for status pages and logs.
    pub fn path_and_query(&self) -> &str {
        self.0.split('\n').nth(1).unwrap_or_default()
    }
}

thread_local! {
    /// A buffer for joining the parts, so that each key costs one allocation.
    static JOINED: RefCell<String> = const { RefCell::new(String::new()) };
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_parts_apart() {
        assert_ne!(Key::new("a", "/b"), Key::new("a/b", ""));
        let key = Key::new("site", "/live/1.ts?x=1");
        assert_eq!((key.site(), key.path_and_query()), ("site", "/live/1.ts?x=1"));
        assert_eq!(key.variant(3, "fr").path_and_query(), "/live/1.ts?x=1");
        assert_ne!(key.variant(3, "fr"), key.variant(4, "fr"));
        assert_eq!(key.variant(3, "fr\nde").split_variant(), Some((key.clone(), 3)));
        assert_eq!(key.split_variant(), None);
    }
}
