//! Which playlists are renditions of one stream.

use std::sync::Arc;
use std::time::Duration;

use tidegate_cache::Key;

/// The renditions of each stream, found by any of them.
#[derive(Debug)]
pub(super) struct Renditions(moka::sync::Cache<Key, Arc<[Key]>, ahash::RandomState>);

/// Playlists that are known; the least recently used are forgotten first.
const PLAYLISTS_MAX: u64 = 20_000;
/// Renditions of one stream that are known.
pub(super) const RENDITIONS_MAX: usize = 64;
/// How long unused renditions are known.
const KNOWN_FOR: Duration = Duration::from_hours(24);

impl Renditions {
    pub(super) fn new() -> Self {
        let known = moka::sync::Cache::builder().max_capacity(PLAYLISTS_MAX).time_to_idle(KNOWN_FOR);
        Self(known.build_with_hasher(ahash::RandomState::new()))
    }

    /// All renditions of the stream to which this playlist belongs.
    pub(super) fn of(&self, playlist: &Key) -> Option<Arc<[Key]>> {
        self.0.get(playlist)
    }

    /// Remembers the renditions of one stream.
    pub(super) fn remember(&self, playlists: &Arc<[Key]>) {
        for playlist in playlists.iter() {
            self.0.insert(playlist.clone(), Arc::clone(playlists));
        }
    }
}
