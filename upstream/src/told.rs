//! What a tier has told of late of those behind it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// For which sites a tier has told that those behind it fail or have nothing new.
///
/// Such a tier is well itself. But it is not asked in place of another one that tells the same of the same site: all of
/// them stand before the same origins, and whoever is asked for a live stream fetches it for a while.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<Vec<(Arc<str>, Instant)>>);

/// What was told longer ago says nothing any more.
const LATELY: Duration = Duration::from_secs(5);

impl Told {
    /// It tells so of `site` now.
    pub(crate) fn tells(&self, site: &Arc<str>, now: Instant) {
        let mut told = self.0.lock();
        told.retain(|(other, at)| other != site && now.saturating_duration_since(*at) < LATELY);
        told.push((Arc::clone(site), now));
    }

    /// Whether it has told so of `site` lately.
    pub(crate) fn lately(&self, site: &str, now: Instant) -> bool {
        self.last(site).is_some_and(|at| now.saturating_duration_since(at) < LATELY)
    }

    /// When it last told so of `site`, unless that is long ago.
    pub(crate) fn last(&self, site: &str) -> Option<Instant> {
        self.0.lock().iter().find_map(|(of, at)| (**of == *site).then_some(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_counts_for_its_site_and_for_a_while() {
        let (told, began) = (Told::default(), Instant::now());
        let (one, two) = (Arc::from("one"), Arc::from("two"));
        told.tells(&one, began);
        told.tells(&two, began + LATELY / 2);
        assert!(told.lately("one", began + LATELY / 2) && told.lately("two", began + LATELY / 2));
        assert!(!told.lately("one", began + LATELY) && told.lately("two", began + LATELY));
        assert!(!told.lately("three", began));
        told.tells(&two, began + 2 * LATELY);
        assert_eq!(told.last("one"), None, "it is forgotten");
        assert_eq!(told.last("two"), Some(began + 2 * LATELY));
    }
}
