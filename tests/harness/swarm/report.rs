//! The results of a swarm.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::fetch::ViewerError;

/// Errors of one kind that are reported in full.
const EXAMPLES_MAX: usize = 3;

/// The results of all viewers of a swarm.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The number of viewers.
    pub viewers: usize,
    /// The viewers that have begun to play.
    pub playing: BTreeSet<usize>,
    /// Playlists that arrived.
    pub playlists: u64,
    /// Segments that arrived completely.
    pub segments: u64,
    /// The number of errors of each kind, and the first few of them.
    pub errors_by_kind: BTreeMap<ViewerError, (u64, Vec<String>)>,
    /// The viewers that met an error.
    pub affected: BTreeSet<usize>,
    /// The longest stall of a picture.
    pub longest_stall: Duration,
    /// The viewers whose picture stalled.
    pub stalled: BTreeSet<usize>,
    /// By playlist, the newest segment of each version seen.
    pub versions: BTreeMap<String, BTreeSet<u64>>,
}

impl Report {
    /// The number of errors.
    pub fn errors(&self) -> u64 {
        self.errors_by_kind.values().map(|(count, _)| count).sum()
    }

    /// Asserts that no viewer met an error, and that no picture stalled for longer than `stall_max`.
    #[track_caller]
    pub fn assert_smooth(&self, stall_max: Duration) {
        assert!(self.errors() == 0 && self.longest_stall <= stall_max, "{self}");
        assert_eq!(self.playing.len(), self.viewers, "viewers who have begun to play: {self}");
    }

    pub(super) fn record_error(&mut self, viewer: usize, kind: ViewerError, details: String) {
        self.affected.insert(viewer);
        let (count, examples) = self.errors_by_kind.entry(kind).or_default();
        *count += 1;
        if examples.len() < EXAMPLES_MAX {
            examples.push(details);
        }
    }

    pub(super) fn stall(&mut self, viewer: usize, stall: Duration) {
        if !stall.is_zero() {
            self.stalled.insert(viewer);
            self.longest_stall = self.longest_stall.max(stall);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} viewers, {} of them with errors and {} stalled, for {:.1} s at the longest; {} playlists, {} segments",
            self.viewers,
            self.affected.len(),
            self.stalled.len(),
            self.longest_stall.as_secs_f64(),
            self.playlists,
            self.segments
        )?;
        for (path, versions) in &self.versions {
            write!(f, "; {} versions of {path}", versions.len())?;
        }
        for (kind, (count, examples)) in &self.errors_by_kind {
            write!(f, "\n  {count} x {kind}: {}", examples.join(" | "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_errors_by_kind_and_keeps_the_first_few() {
        let mut report = Report { viewers: 2, ..Report::default() };
        for number in 0..5 {
            report.record_error(1, ViewerError::Status(502), format!("/{number}.ts"));
        }
        report.stall(0, Duration::ZERO);
        report.stall(0, Duration::from_millis(1500));
        assert_eq!((report.errors(), report.affected.len(), report.stalled.len()), (5, 1, 1));
        assert!(report.to_string().ends_with("5 x status 502: /0.ts | /1.ts | /2.ts"), "{report}");
    }

    #[test]
    #[should_panic(expected = "2.1 s at the longest")]
    fn a_longer_stall_fails_the_assertion() {
        let mut report = Report::default();
        report.stall(0, Duration::from_millis(2100));
        report.assert_smooth(Duration::from_secs(2));
    }
}
