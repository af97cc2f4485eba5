//! Which playlists are renditions of one stream.

use std::sync::Arc;
use std::time::Duration;

use tidegate_cache::Key;

/// The renditions of each stream, found by any of them.
#[derive(Debug)]
pub(super) struct Renditions(moka::sync::Cache<Key, Arc<[Key]>, ahash::RandomState>);

/// So many playlists are known; those that nobody asked for longest are forgotten first.
const PLAYLISTS_MAX: u64 = 20_000;
/// Of one stream, so many renditions count.
pub(super) const OF_ONE_MAX: usize = 64;
/// For how long they are known.
const KNOWN_FOR: Duration = Duration::from_hours(24);

impl Renditions {
    pub(super) fn new() -> Self {
        let known = moka::sync::Cache::builder().max_capacity(PLAYLISTS_MAX).time_to_idle(KNOWN_FOR);
        Self(known.build_with_hasher(ahash::RandomState::new()))
    }

    /// All renditions of the stream of which this is one.
    pub(super) fn of(&self, playlist: &Key) -> Option<Arc<[Key]>> {
        self.0.get(playlist)
    }

    /// Remembers that these are renditions of one stream.
    pub(super) fn remember(&self, playlists: &Arc<[Key]>) {
        for playlist in playlists.iter() {
            self.0.insert(playlist.clone(), Arc::clone(playlists));
        }
    }
}
