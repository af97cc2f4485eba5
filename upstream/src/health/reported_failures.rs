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
pub(crate) const REPORT_LIFETIME: Duration = Duration::from_secs(5);
/// So many streams are remembered: those that were told of last.
const STREAMS_MAX: usize = 256;

impl ReportedFailures {
    /// It tells so of `stream` now; that counts for a `period`.
    pub(crate) fn record(&self, stream: &Arc<str>, period: Duration, now: Instant) {
        let mut reported = self.0.lock();
        reported.retain(|(other, until)| other != stream && now < *until);
        if reported.len() >= STREAMS_MAX {
            reported.remove(0);
        }
        reported.push((Arc::clone(stream), now + period));
    }

    /// Whether it has told so of `stream` lately.
    pub(crate) fn has_recent(&self, stream: &str, now: Instant) -> bool {
        self.0.lock().iter().any(|(of, until)| **of == *stream && now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_counts_for_its_stream_and_for_a_while() {
        let (reported, began) = (ReportedFailures::default(), Instant::now());
        let (one, two) = (Arc::from("site/one"), Arc::from("site/two"));
        reported.record(&one, REPORT_LIFETIME, began);
        reported.record(&two, REPORT_LIFETIME, began + REPORT_LIFETIME / 2);
        assert!(
            reported.has_recent("site/one", began + REPORT_LIFETIME / 2)
                && reported.has_recent("site/two", began + REPORT_LIFETIME / 2)
        );
        assert!(
            !reported.has_recent("site/one", began + REPORT_LIFETIME)
                && reported.has_recent("site/two", began + REPORT_LIFETIME)
        );
        assert!(!reported.has_recent("site/three", began));
    }

    #[test]
    fn so_many_streams_are_remembered() {
        let (reported, now) = (ReportedFailures::default(), Instant::now());
        for number in 0..=STREAMS_MAX {
            reported.record(&Arc::from(format!("site/{number}")), REPORT_LIFETIME, now);
        }
        assert!(!reported.has_recent("site/0", now) && reported.has_recent("site/1", now));
    }
}
