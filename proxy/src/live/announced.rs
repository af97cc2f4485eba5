//! What playlists have announced.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use parking_lot::RwLock;
use tidegate_cache::Key;
use tokio::time::Instant;

use super::Stream;

/// The objects that playlists have announced lately, and the resources that they list in pieces.
#[derive(Debug)]
pub(super) struct Announced {
    objects: RwLock<Objects>,
    hasher: RandomState,
    in_pieces: moka::sync::Cache<Key, (), RandomState>,
}

/// The objects by the hashes of their keys, with the streams that announced them: there are many, and most are never asked
/// for. If a hash stood for two objects, one that is missing would be asked for again a little longer than it need be.
#[derive(Debug)]
struct Objects {
    /// Those since `since`, and those of the period before it.
    new: HashMap<u64, Arc<Stream>, RandomState>,
    old: HashMap<u64, Arc<Stream>, RandomState>,
    since: Instant,
}

/// What was announced longer ago than twice this and is missing is just missing. It is remembered when it is new, not as
/// long as it is listed: nobody but those who come late asks for more.
const PERIOD: Duration = Duration::from_mins(1);
/// So many are remembered of one period; when there are more, the next one begins.
const OBJECTS_MAX: usize = 100_000;
/// A recording is known to come in pieces for longer than its playlist is held without being asked for again.
const WATCHED_FOR: Duration = Duration::from_hours(24);
/// So many of them are known; those that nobody asked for longest are forgotten first.
const RESOURCES_MAX: u64 = 20_000;

impl Announced {
    pub(super) fn new() -> Self {
        let in_pieces = moka::sync::Cache::builder().max_capacity(RESOURCES_MAX).time_to_idle(WATCHED_FOR);
        Self {
            objects: RwLock::new(Objects::new()),
            hasher: RandomState::new(),
            in_pieces: in_pieces.build_with_hasher(RandomState::new()),
        }
    }

    pub(super) fn add(&self, object: &Key, by: &Arc<Stream>) {
        self.objects.write().add(self.hasher.hash_one(object), by, Instant::now());
    }

    /// The stream that announced it.
    pub(super) fn by(&self, object: &Key) -> Option<Arc<Stream>> {
        self.objects.read().by(self.hasher.hash_one(object), Instant::now()).map(Arc::clone)
    }

    pub(super) fn has(&self, object: &Key) -> bool {
        self.objects.read().by(self.hasher.hash_one(object), Instant::now()).is_some()
    }

    pub(super) fn add_in_pieces(&self, resource: Key) {
        self.in_pieces.insert(resource, ());
    }

    /// Counts as a use.
    pub(super) fn has_in_pieces(&self, resource: &Key) -> bool {
        self.in_pieces.get(resource).is_some()
    }
}

impl Objects {
    fn new() -> Self {
        Self { new: HashMap::default(), old: HashMap::default(), since: Instant::now() }
    }

    fn add(&mut self, object: u64, by: &Arc<Stream>, now: Instant) {
        self.turn(now);
        self.new.insert(object, Arc::clone(by));
    }

    fn by(&self, object: u64, now: Instant) -> Option<&Arc<Stream>> {
        let age = now.saturating_duration_since(self.since);
        let new = self.new.get(&object).filter(|_| age < PERIOD * 2);
        new.or_else(|| self.old.get(&object).filter(|_| age < PERIOD))
    }

    /// Begins a new period if it is time.
    fn turn(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.since);
        if age >= PERIOD || self.new.len() >= OBJECTS_MAX {
            let last = std::mem::take(&mut self.new);
            self.old = if age < PERIOD * 2 { last } else { HashMap::default() };
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_announced_is_known_for_a_period_and_no_longer_than_two() {
        let stream = Arc::new(Stream::new(Instant::now(), false));
        let mut objects = Objects::new();
        let at = |seconds| objects.since + Duration::from_secs(seconds);
        let moments = [0, 59, 60, 119, 120, 180, 400].map(at);
        let [start, second, third, fourth, fifth, sixth, late] = moments;
        let is_known = |objects: &Objects, object, now| objects.by(object, now).is_some();
        objects.add(1, &stream, start);
        objects.add(2, &stream, second);
        assert!(is_known(&objects, 1, fourth) && !is_known(&objects, 1, fifth), "nothing came since");
        objects.add(3, &stream, third);
        assert!(is_known(&objects, 1, fourth) && is_known(&objects, 2, fourth));
        objects.add(4, &stream, fifth);
        assert!(
            !is_known(&objects, 2, fifth) && is_known(&objects, 3, fifth) && is_known(&objects, 4, sixth)
        );
        objects.turn(late);
        assert!(objects.new.is_empty() && objects.old.is_empty());
        assert_eq!(Arc::strong_count(&stream), 1, "a stream that nobody announces is held by nobody");
    }

    #[test]
    fn the_oldest_of_too_many_are_forgotten() {
        let stream = Arc::new(Stream::new(Instant::now(), false));
        let mut objects = Objects::new();
        for object in 0..OBJECTS_MAX as u64 * 5 / 2 {
            objects.add(object, &stream, objects.since);
        }
        let is_known = |object: usize| objects.by(object as u64, objects.since).is_some();
        assert!(!is_known(OBJECTS_MAX - 1) && is_known(OBJECTS_MAX) && is_known(OBJECTS_MAX * 5 / 2 - 1));
    }
}
