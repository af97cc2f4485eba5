//! What a tier has told of late of those behind it.
//!
//! It is told of a stream, as a rule: one channel may be dead at the origin while all others are well.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Of which streams a tier has told that those behind it fail or have nothing new, and until when that counts.
///
/// Such a tier is well itself. But it is not asked in place of another one that tells the same of the same stream: all
/// of them stand before the same origins.
#[derive(Debug, Default)]
pub(crate) struct ReportedFailures(Mutex<Vec<(Arc<str>, Instant)>>);

/// What was told longer ago says nothing any more.
pub(crate) const LATELY: Duration = Duration::from_secs(5);
/// So many streams are remembered: those that were told of last.
const STREAMS_MAX: usize = 256;

impl ReportedFailures {
    /// It tells so of `stream` now; that counts for a `period`.
    pub(crate) fn tells(&self, stream: &Arc<str>, period: Duration, now: Instant) {
        let mut told = self.0.lock();
        told.retain(|(other, until)| other != stream && now < *until);
        if told.len() >= STREAMS_MAX {
            told.remove(0);
        }
        told.push((Arc::clone(stream), now + period));
    }

    /// Whether it has told so of `stream` lately.
    pub(crate) fn lately(&self, stream: &str, now: Instant) -> bool {
        self.0.lock().iter().any(|(of, until)| **of == *stream && now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_counts_for_its_stream_and_for_a_while() {
        let (told, began) = (ReportedFailures::default(), Instant::now());
        let (one, two) = (Arc::from("site/one"), Arc::from("site/two"));
        told.tells(&one, LATELY, began);
        told.tells(&two, LATELY, began + LATELY / 2);
        assert!(told.lately("site/one", began + LATELY / 2) && told.lately("site/two", began + LATELY / 2));
        assert!(!told.lately("site/one", began + LATELY) && told.lately("site/two", began + LATELY));
        assert!(!told.lately("site/three", began));
    }

    #[test]
    fn so_many_streams_are_remembered() {
        let (told, now) = (ReportedFailures::default(), Instant::now());
        for number in 0..=STREAMS_MAX {
            told.tells(&Arc::from(format!("site/{number}")), LATELY, now);
        }
        assert!(!told.lately("site/0", now) && told.lately("site/1", now));
    }
}
