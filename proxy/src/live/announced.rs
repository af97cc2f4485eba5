//! What playlists have announced.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use parking_lot::RwLock;
use tidegate_cache::Key;
use tokio::time::Instant;

use super::stream::Stream;

/// The objects that playlists have announced lately, and the resources that they list in pieces.
#[derive(Debug)]
pub(super) struct Announced {
    objects: RwLock<Objects>,
    hasher: RandomState,
    in_pieces: moka::sync::Cache<Key, (), RandomState>,
}

type ByHash = HashMap<u64, Arc<Stream>, RandomState>;

/// The objects by the hashes of their keys, with the streams that announced them: there are many, and most are never asked
/// for. If a hash stood for two objects, one that is missing would be asked for again a little longer than it need be.
#[derive(Debug)]
struct Objects {
    /// Those since `since`, and those of the period before it.
    new: ByHash,
    old: ByHash,
    since: Instant,
}

/// What was announced so long ago is remembered, and for as long again at most: then, what is missing is just missing. It is
/// remembered when it is new, not as long as it is listed: nobody but those who come late asks for more.
const PERIOD: Duration = Duration::from_mins(2);
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
        let object = self.hasher.hash_one(object);
        let mut objects = self.objects.write();
        let forgotten = objects.add(object, by, Instant::now());
        // Many, perhaps: nobody waits until they are gone.
        drop(objects);
        drop(forgotten);
    }

    /// The stream that announced it.
    pub(super) fn by(&self, object: &Key) -> Option<Arc<Stream>> {
        self.objects.read().by(self.hasher.hash_one(object), Instant::now()).map(Arc::clone)
    }

    pub(super) fn has(&self, object: &Key) -> bool {
        self.objects.read().by(self.hasher.hash_one(object), Instant::now()).is_some()
    }

    /// Forgets what was announced long ago, also where nothing has been since.
    pub(super) fn tidy(&self) {
        let forgotten = self.objects.write().turn(Instant::now());
        drop(forgotten);
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

    /// Gives back what is forgotten.
    fn add(&mut self, object: u64, by: &Arc<Stream>, now: Instant) -> Vec<ByHash> {
        let forgotten = self.turn(now);
        self.new.insert(object, Arc::clone(by));
        forgotten
    }

    fn by(&self, object: u64, now: Instant) -> Option<&Arc<Stream>> {
        let age = now.saturating_duration_since(self.since);
        let new = self.new.get(&object).filter(|_| age < PERIOD * 2);
        new.or_else(|| self.old.get(&object).filter(|_| age < PERIOD))
    }

    /// Begins a new period if it is time; gives back what is forgotten.
    fn turn(&mut self, now: Instant) -> Vec<ByHash> {
        let age = now.saturating_duration_since(self.since);
        if age < PERIOD && self.new.len() < OBJECTS_MAX {
            return Vec::new();
        }
        self.since = now;
        let mut forgotten = vec![std::mem::replace(&mut self.old, std::mem::take(&mut self.new))];
        if age >= PERIOD * 2 {
            forgotten.push(std::mem::take(&mut self.old));
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
    fn what_was_announced_is_known_for_a_period_and_no_longer_than_two() {
        let (stream, mut objects) = (stream(), Objects::new());
        let since = objects.since;
        let at = |quarters: u32| since + PERIOD * quarters / 4;
        let is_known = |objects: &Objects, object, quarter| objects.by(object, at(quarter)).is_some();
        objects.add(1, &stream, at(0));
        objects.add(2, &stream, at(3));
        assert!(is_known(&objects, 1, 7) && !is_known(&objects, 1, 8), "nothing came since");
        objects.add(3, &stream, at(4));
        assert!(is_known(&objects, 1, 7) && is_known(&objects, 2, 7));
        objects.add(4, &stream, at(8));
        assert!(!is_known(&objects, 2, 8) && is_known(&objects, 3, 8) && is_known(&objects, 4, 12));
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_announces_any_more_holds_no_stream() {
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
    fn the_oldest_of_too_many_are_forgotten() {
        let (stream, mut objects) = (stream(), Objects::new());
        for object in 0..OBJECTS_MAX as u64 * 5 / 2 {
            objects.add(object, &stream, objects.since);
        }
        let is_known = |object: usize| objects.by(object as u64, objects.since).is_some();
        assert!(!is_known(OBJECTS_MAX - 1) && is_known(OBJECTS_MAX) && is_known(OBJECTS_MAX * 5 / 2 - 1));
    }
}
