//! What playlists have announced.

use std::sync::Arc;
use std::time::Duration;

use tidegate_cache::Key;

use super::Stream;

/// The keys of the objects that playlists have announced lately, and of the resources that they list in pieces.
#[derive(Debug)]
pub(super) struct Announced {
    /// With the streams that announced them.
    objects: moka::sync::Cache<Key, Arc<Stream>, ahash::RandomState>,
    in_pieces: moka::sync::Cache<Key, (), ahash::RandomState>,
}

/// What was announced longer ago and is missing is just missing. It is remembered when it is new, not as long as it is
/// listed: nobody but those who come late asks for more.
const REMEMBERED_FOR: Duration = Duration::from_mins(2);
/// So many are remembered; the oldest are forgotten first.
const OBJECTS_MAX: u64 = 200_000;
/// A recording is known to come in pieces for longer than its playlist is held without being asked for again.
const WATCHED_FOR: Duration = Duration::from_hours(24);
/// So many of them are known; those that nobody asked for longest are forgotten first.
const RESOURCES_MAX: u64 = 20_000;

impl Announced {
    pub(super) fn new() -> Self {
        let objects = moka::sync::Cache::builder().max_capacity(OBJECTS_MAX).time_to_live(REMEMBERED_FOR);
        let in_pieces = moka::sync::Cache::builder().max_capacity(RESOURCES_MAX).time_to_idle(WATCHED_FOR);
        Self {
            objects: objects.build_with_hasher(ahash::RandomState::new()),
            in_pieces: in_pieces.build_with_hasher(ahash::RandomState::new()),
        }
    }

    pub(super) fn add(&self, object: Key, by: &Arc<Stream>) {
        self.objects.insert(object, Arc::clone(by));
    }

    /// The stream that announced it.
    pub(super) fn by(&self, object: &Key) -> Option<Arc<Stream>> {
        self.objects.get(object)
    }

    pub(super) fn has(&self, object: &Key) -> bool {
        self.objects.contains_key(object)
    }

    pub(super) fn add_in_pieces(&self, resource: Key) {
        self.in_pieces.insert(resource, ());
    }

    /// Counts as a use.
    pub(super) fn has_in_pieces(&self, resource: &Key) -> bool {
        self.in_pieces.get(resource).is_some()
    }
}
