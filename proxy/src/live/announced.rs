//! The objects that playlists have announced.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use parking_lot::RwLock;
use tidegate_cache::Key;
use tokio::time::Instant;

use super::stream::Stream;

/// The objects that playlists have announced lately, and the resources of which they list slices.
#[derive(Debug)]
pub(super) struct Announced {
    objects: RwLock<Objects>,
    hasher: RandomState,
    sliced: moka::sync::Cache<Key, (), RandomState>,
    /// The keys (EXT-X-KEY) that versions have listed.
    keys: moka::sync::Cache<Key, (), RandomState>,
}

type ByHash = HashMap<u64, Arc<Stream>, RandomState>;

/// The announcing streams by the hashes of the objects' keys: there are many, and most are never needed. If
/// two objects had one hash, a request for the missing one of them would be retried a little longer than
/// necessary.
#[derive(Debug)]
struct Objects {
    /// Since `since`.
    current: ByHash,
    /// From the period before.
    previous: ByHash,
    since: Instant,
}

/// An announcement is remembered for one to two periods; after that a 404 is just a 404. Being listed does
/// not renew it: only viewers that are late request more than the newest segments.
const PERIOD: Duration = Duration::from_mins(2);
/// Announcements in one period; when there are more, the next period begins.
const OBJECTS_MAX: usize = 100_000;
/// How long an unused resource is known to be sliced: longer than the cache has the playlist of a recording
/// without a request for it.
const SLICED_FOR: Duration = Duration::from_hours(24);
/// Sliced resources that are known; the least recently used are forgotten first.
const SLICED_MAX: u64 = 20_000;
/// Keys that are known; each version that lists one renews it.
const KEYS_MAX: u64 = 20_000;

impl Announced {
    pub(super) fn new() -> Self {
        let sliced = moka::sync::Cache::builder().max_capacity(SLICED_MAX).time_to_idle(SLICED_FOR);
        Self {
            objects: RwLock::new(Objects::new()),
            hasher: RandomState::new(),
            sliced: sliced.build_with_hasher(RandomState::new()),
            keys: moka::sync::Cache::builder()
                .max_capacity(KEYS_MAX)
                .time_to_live(PERIOD * 2)
                .build_with_hasher(RandomState::new()),
        }
    }

    pub(super) fn add(&self, object: &Key, stream: &Arc<Stream>) {
        let object = self.hasher.hash_one(object);
        let mut objects = self.objects.write();
        let forgotten = objects.add(object, stream, Instant::now());
        // There may be many: they are dropped without the lock.
        drop(objects);
        drop(forgotten);
    }

    /// The stream that announced the object.
    pub(super) fn stream_of(&self, object: &Key) -> Option<Arc<Stream>> {
        self.objects.read().stream_of(self.hasher.hash_one(object), Instant::now()).map(Arc::clone)
    }

    pub(super) fn has(&self, object: &Key) -> bool {
        self.objects.read().stream_of(self.hasher.hash_one(object), Instant::now()).is_some()
    }

    /// Forgets old announcements, also when there are no new ones.
    pub(super) fn tidy(&self) {
        let forgotten = self.objects.write().rotate(Instant::now());
        drop(forgotten);
    }

    pub(super) fn add_key(&self, resource: Key) {
        self.keys.insert(resource, ());
    }

    /// Whether a version has listed the resource as a key lately.
    pub(super) fn is_key(&self, resource: &Key) -> bool {
        self.keys.contains_key(resource)
    }

    pub(super) fn add_sliced(&self, resource: Key) {
        self.sliced.insert(resource, ());
    }

    /// Whether a playlist lists slices of the resource. Counts as a use.
    pub(super) fn is_sliced(&self, resource: &Key) -> bool {
        self.sliced.get(resource).is_some()
    }
}

impl Objects {
    fn new() -> Self {
        Self { current: HashMap::default(), previous: HashMap::default(), since: Instant::now() }
    }

    /// Returns the forgotten announcements.
    fn add(&mut self, object: u64, stream: &Arc<Stream>, now: Instant) -> Vec<ByHash> {
        let forgotten = self.rotate(now);
        self.current.insert(object, Arc::clone(stream));
        forgotten
    }

    fn stream_of(&self, object: u64, now: Instant) -> Option<&Arc<Stream>> {
        let age = now.saturating_duration_since(self.since);
        let current = self.current.get(&object).filter(|_| age < PERIOD * 2);
        current.or_else(|| self.previous.get(&object).filter(|_| age < PERIOD))
    }

    /// Begins a new period if it is time. Returns the forgotten announcements.
    fn rotate(&mut self, now: Instant) -> Vec<ByHash> {
        let age = now.saturating_duration_since(self.since);
        if age < PERIOD && self.current.len() < OBJECTS_MAX {
            return Vec::new();
        }
        self.since = now;
        let mut forgotten = vec![std::mem::replace(&mut self.previous, std::mem::take(&mut self.current))];
        if age >= PERIOD * 2 {
            forgotten.push(std::mem::take(&mut self.previous));
        }
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Arc<Stream> {
        Arc::new(Stream::new(Instant::now(), false))
    }

    #[test]
    fn an_announcement_is_remembered_for_one_to_two_periods() {
        let (stream, mut objects) = (stream(), Objects::new());
        let since = objects.since;
        let at = |quarters: u32| since + PERIOD * quarters / 4;
        let is_known = |objects: &Objects, object, quarter| objects.stream_of(object, at(quarter)).is_some();
        objects.add(1, &stream, at(0));
        objects.add(2, &stream, at(3));
        assert!(is_known(&objects, 1, 7) && !is_known(&objects, 1, 8), "nothing was announced since");
        objects.add(3, &stream, at(4));
        assert!(is_known(&objects, 1, 7) && is_known(&objects, 2, 7));
        objects.add(4, &stream, at(8));
        assert!(!is_known(&objects, 2, 8) && is_known(&objects, 3, 8) && is_known(&objects, 4, 12));
    }

    #[tokio::test(start_paused = true)]
    async fn a_forgotten_announcement_frees_its_stream() {
        let (stream, announced) = (stream(), Announced::new());
        announced.add(&Key::new("site", "/1.ts"), &stream);
        announced.tidy();
        assert!(announced.has(&Key::new("site", "/1.ts")) && !announced.has(&Key::new("site", "/2.ts")));
        assert_eq!(Arc::strong_count(&stream), 2);
        tokio::time::advance(PERIOD * 2).await;
        announced.tidy();
        assert_eq!(Arc::strong_count(&stream), 1);
    }

    #[test]
    fn the_oldest_announcements_are_forgotten_first() {
        let (stream, mut objects) = (stream(), Objects::new());
        for object in 0..OBJECTS_MAX as u64 * 5 / 2 {
            objects.add(object, &stream, objects.since);
        }
        let is_known = |object: usize| objects.stream_of(object as u64, objects.since).is_some();
        assert!(!is_known(OBJECTS_MAX - 1) && is_known(OBJECTS_MAX) && is_known(OBJECTS_MAX * 5 / 2 - 1));
    }
}
