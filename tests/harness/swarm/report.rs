//! What a swarm has met.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::fetch::Trouble;

/// Troubles of one kind that are told in full.
const EXAMPLES_MAX: usize = 3;

/// What all viewers of a swarm have met together.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// How many viewers there were.
    pub viewers: usize,
    /// Those who have begun to play.
    pub playing: BTreeSet<usize>,
    /// Playlists that arrived.
    pub playlists: u64,
    /// Segments that arrived whole.
    pub segments: u64,
    /// How often each kind of trouble was met, and the first few of it.
    pub troubles: BTreeMap<Trouble, (u64, Vec<String>)>,
    /// The viewers who met any.
    pub troubled: BTreeSet<usize>,
    /// The longest time for which a picture stood still.
    pub longest_stall: Duration,
    /// The viewers whose picture stood still at all.
    pub stalled: BTreeSet<usize>,
    /// By playlist, the newest segment of each version that was seen.
    pub versions: BTreeMap<String, BTreeSet<u64>>,
}

impl Report {
    /// How often anything went wrong.
    pub fn errors(&self) -> u64 {
        self.troubles.values().map(|(count, _)| count).sum()
    }

    /// Nobody met an error, and no picture stood still for longer than `stall_max`.
    #[track_caller]
    pub fn assert_content(&self, stall_max: Duration) {
        assert!(self.errors() == 0 && self.longest_stall <= stall_max, "{self}");
        assert_eq!(self.playing.len(), self.viewers, "viewers who have begun to play: {self}");
    }

    pub(super) fn trouble(&mut self, viewer: usize, kind: Trouble, told: String) {
        self.troubled.insert(viewer);
        let (count, examples) = self.troubles.entry(kind).or_default();
        *count += 1;
        if examples.len() < EXAMPLES_MAX {
            examples.push(told);
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
            "{} viewers, {} of them in trouble and {} stalled, for {:.1} s at the longest; {} playlists, {} segments",
            self.viewers,
            self.troubled.len(),
            self.stalled.len(),
            self.longest_stall.as_secs_f64(),
            self.playlists,
            self.segments
        )?;
        for (path, versions) in &self.versions {
            write!(f, "; {} versions of {path}", versions.len())?;
        }
        for (kind, (count, examples)) in &self.troubles {
            write!(f, "\n  {count} x {kind}: {}", examples.join(" | "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_by_kind_and_keeps_the_first_few() {
        let mut report = Report { viewers: 2, ..Report::default() };
        for number in 0..5 {
            report.trouble(1, Trouble::Status(502), format!("/{number}.ts"));
        }
        report.stall(0, Duration::ZERO);
        report.stall(0, Duration::from_millis(1500));
        assert_eq!((report.errors(), report.troubled.len(), report.stalled.len()), (5, 1, 1));
        assert!(report.to_string().ends_with("5 x status 502: /0.ts | /1.ts | /2.ts"), "{report}");
    }

    #[test]
    #[should_panic(expected = "2.1 s at the longest")]
    fn nobody_is_content_with_a_longer_stall() {
        let mut report = Report::default();
        report.stall(0, Duration::from_millis(2100));
        report.assert_content(Duration::from_secs(2));
    }
}
