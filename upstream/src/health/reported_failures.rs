//! The failures behind a tier that it has reported recently.
//!
//! They concern one stream, as a rule: one channel may be dead at the origin while all others are well.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The streams for which a tier has reported failures behind it or nothing new, and until when that counts.
///
/// Such a tier is well itself. But it does not receive a request in place of another tier that reports the
/// same of the stream: all of them are in front of the same origins.
#[derive(Debug, Default)]
pub(crate) struct ReportedFailures(Mutex<Vec<(Arc<str>, Instant)>>);

/// How long a report counts.
pub(crate) const REPORT_LIFETIME: Duration = Duration::from_secs(5);
/// Streams that are remembered: the latest ones.
const STREAMS_MAX: usize = 256;

impl ReportedFailures {
    /// Records a report about `folder` that counts for a `period`.
    pub(crate) fn record(&self, folder: &Arc<str>, period: Duration, now: Instant) {
        let mut reported = self.0.lock();
        reported.retain(|(other, until)| other != folder && now < *until);
        if reported.len() >= STREAMS_MAX {
            reported.remove(0);
        }
        reported.push((Arc::clone(folder), now + period));
    }

    /// Whether there is a recent report about `folder`.
    pub(crate) fn has_recent(&self, folder: &str, now: Instant) -> bool {
        self.0.lock().iter().any(|(of, until)| **of == *folder && now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_for_its_stream_and_for_a_while() {
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
    fn the_remembered_streams_are_bounded() {
        let (reported, now) = (ReportedFailures::default(), Instant::now());
        for number in 0..=STREAMS_MAX {
            reported.record(&Arc::from(format!("site/{number}")), REPORT_LIFETIME, now);
        }
        assert!(!reported.has_recent("site/0", now) && reported.has_recent("site/1", now));
    }
}
