//! What playlists have announced.

use std::time::Duration;

use tidegate_cache::Key;

/// The keys of the objects that playlists have announced lately.
#[derive(Debug)]
pub(super) struct Announced(moka::sync::Cache<Key, (), ahash::RandomState>);

/// Beyond any playlist's length times its target duration, a missing object is just missing.
const REMEMBERED_FOR: Duration = Duration::from_mins(2);
/// So many are remembered; the oldest are forgotten first.
const OBJECTS_MAX: u64 = 200_000;

impl Announced {
    pub(super) fn new() -> Self {
        let cache = moka::sync::Cache::builder().max_capacity(OBJECTS_MAX).time_to_live(REMEMBERED_FOR);
        Self(cache.build_with_hasher(ahash::RandomState::new()))
    }

    pub(super) fn add(&self, object: Key) {
        self.0.insert(object, ());
    }

    pub(super) fn has(&self, object: &Key) -> bool {
        self.0.contains_key(object)
    }
}
