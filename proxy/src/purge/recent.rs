//! The reports of the latest purges, which operators read again by their identifiers.

use std::collections::VecDeque;
use std::time::UNIX_EPOCH;

use parking_lot::Mutex;
use serde::Serialize;

/// The result of a purge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Identifies the purge at this node.
    pub id: String,
    /// The name of the node.
    pub node: String,
    /// `"edge"` or `"shield"`.
    pub tier: &'static str,
    /// What was named.
    pub kind: &'static str,
    /// Whether the objects have expired rather than been removed.
    pub soft: bool,
    /// Purged objects; each variant and each slice counts.
    pub purged: u64,
    /// Fills under way whose responses are not stored.
    pub fills: u64,
    /// Live playlists that are fetched anew.
    pub streams: u64,
}

/// The reports of the latest 100 purges of a node.
#[derive(Debug)]
pub struct Recent {
    /// Unlike that of the process before: part of each identifier, so that none is used again.
    start: u64,
    reports: Mutex<Reports>,
}

#[derive(Debug, Default)]
struct Reports {
    count: u64,
    latest: VecDeque<Report>,
}

/// A report has some hundred bytes.
const KEPT: usize = 100;

impl Recent {
    /// No reports yet.
    pub(crate) fn new() -> Self {
        let start = UNIX_EPOCH.elapsed().unwrap_or_default().as_millis();
        Self { start: u64::try_from(start).unwrap_or_default(), reports: Mutex::default() }
    }

    /// Keeps a report. Returns it with its identifier.
    pub(super) fn keep(&self, mut report: Report) -> Report {
        let mut reports = self.reports.lock();
        reports.count += 1;
        report.id = format!("{:x}-{}", self.start, reports.count);
        if reports.latest.len() == KEPT {
            reports.latest.pop_front();
        }
        reports.latest.push_back(report.clone());
        report
    }

    /// The report with this identifier, unless it is unknown or too old.
    pub(crate) fn find(&self, id: &str) -> Option<Report> {
        self.reports.lock().latest.iter().find(|report| report.id == id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_reports_are_found_and_older_ones_forgotten() {
        let recent = Recent::new();
        let ids: Vec<String> =
            (0..=KEPT as u64).map(|purged| recent.keep(Report { purged, ..Report::default() }).id).collect();
        assert_eq!(recent.find(&ids[0]), None);
        for (purged, id) in ids.iter().enumerate().skip(1) {
            assert_eq!(recent.find(id).unwrap().purged, purged as u64);
        }
        assert_eq!(recent.find(""), None);
    }
}
