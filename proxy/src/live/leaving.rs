//! Playlists by which players leave this node: they name another host, or redirect to one.

use std::time::Duration;

use ahash::RandomState;
use tidegate_cache::Key;

/// The playlists for which an operator has been warned lately.
#[derive(Debug)]
pub(crate) struct Leaving(moka::sync::Cache<Key, (), RandomState>);

/// A playlist is mentioned once in this time.
const WARNED_FOR: Duration = Duration::from_mins(10);
/// Playlists that are remembered. Each of them is a line of the log.
const WARNED_MAX: u64 = 1000;

impl Leaving {
    pub(super) fn new() -> Self {
        let warned = moka::sync::Cache::builder().max_capacity(WARNED_MAX).time_to_live(WARNED_FOR);
        Self(warned.build_with_hasher(RandomState::new()))
    }

    /// Remembers that a playlist has been mentioned. Returns whether it had not been.
    pub(crate) fn mention(&self, playlist: &Key) -> bool {
        let is_new = !self.0.contains_key(playlist);
        if is_new {
            self.0.insert(playlist.clone(), ());
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_playlist_is_mentioned_once() {
        let (leaving, one, two) = (Leaving::new(), Key::new("site", "/1"), Key::new("site", "/2"));
        assert_eq!([&one, &one, &two, &one].map(|key| leaving.mention(key)), [true, false, true, false]);
    }
}
