//! The request header fields that the responses for a key depend on, and the variants that are stored.
//!
//! A client chooses the values, so that it could have any number of variants stored. When all places are
//! taken, a new variant takes the place of the oldest, if that is old enough; until then requests for new
//! variants pass.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::key::Key;

/// What the responses for a key vary by.
#[derive(Debug)]
pub(crate) struct Vary {
    pub(crate) names: Arc<[HeaderName]>,
    pub(crate) generation: u64,
    /// The variants with a place, the oldest first, and since when they have it.
    places: Mutex<VecDeque<(Key, Instant)>>,
}

/// Whether a variant has a place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It has one. It was taken from this variant, if there is one.
    Taken(Option<Key>),
    /// All places are in use.
    None,
}

/// How long a variant keeps its place.
const PLACE_MIN: Duration = Duration::from_mins(1);

impl Vary {
    pub(crate) fn new(names: Arc<[HeaderName]>, generation: u64) -> Self {
        Self { names, generation, places: Mutex::default() }
    }

    /// Finds or makes a place for the variant with this key among `max`.
    pub(crate) fn admit(&self, key: &Key, max: usize, now: Instant) -> Place {
        let mut places = self.places.lock();
        if places.iter().any(|(taken, _)| taken == key) {
            return Place::Taken(None);
        }
        let mut oldest = None;
        if places.len() >= max {
            if places.front().is_some_and(|(_, since)| now.duration_since(*since) < PLACE_MIN) {
                return Place::None;
            }
            oldest = places.pop_front().map(|(key, _)| key);
        }
        places.push_back((key.clone(), now));
        Place::Taken(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_new_variant_takes_the_place_of_the_oldest_when_that_is_old() {
        let vary = Vary::new(Arc::from([]), 1);
        let key = |name: &str| Key::new("site", name);
        let admit = |name: &str| vary.admit(&key(name), 2, Instant::now());
        assert_eq!((admit("/a"), admit("/b")), (Place::Taken(None), Place::Taken(None)));
        assert_eq!((admit("/c"), admit("/a")), (Place::None, Place::Taken(None)));
        tokio::time::advance(PLACE_MIN).await;
        assert_eq!(admit("/c"), Place::Taken(Some(key("/a"))));
        assert_eq!(admit("/a"), Place::Taken(Some(key("/b"))));
        assert_eq!(admit("/b"), Place::None);
    }
}
