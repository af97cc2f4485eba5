//! The position of a low-latency stream: its whole segments, and the parts of the growing one (HLS section
//! 3.2).
//!
//! Like everything that streams in time it is a pure function of the clock. The parts of a segment appear in
//! equal steps, in all renditions simultaneously, so that the renditions' playlists advance together.

use std::time::Duration;

use crate::config::Config;
use crate::media::{Packing, SEGMENT};
use crate::stream::{View, Window};

pub(crate) mod directives;
pub(crate) mod file;
pub(crate) mod growth;
pub(crate) mod watch;

/// How the segments of a stream are cut into parts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Cut {
    pub(crate) per_segment: u64,
    /// PART-TARGET: no part of any rendition is longer.
    pub(crate) target: Duration,
}

impl Cut {
    /// The cut that the configuration gives the stream of this name. A segment has a whole number of parts,
    /// which are cut between frames: the target in the playlist is the longest resulting part.
    pub(crate) fn of(name: &str, config: &Config) -> Self {
        let wanted = config.low_latency.part_targets.get(name).unwrap_or(&config.low_latency.part_target);
        let wanted = wanted.as_millis().max(1);
        let parts = (SEGMENT.as_millis() + wanted / 2) / wanted;
        let per_segment = u64::try_from(parts).unwrap_or(u64::MAX).clamp(PARTS_MIN, PARTS_MAX);
        let longest = Packing::Cmaf.renditions().map(|rendition| rendition.longest_part(per_segment));
        Self { per_segment, target: longest.max().unwrap_or(SEGMENT) }
    }

    /// How many parts beyond the last one a player may request (HLS section 6.2.5.2, Advance Part Limit).
    pub(crate) fn advance_limit(&self) -> u64 {
        let second = Duration::from_secs(1);
        if self.target >= second {
            return 3;
        }
        u64::try_from(3 * second.as_nanos() / self.target.as_nanos().max(1)).unwrap_or(u64::MAX)
    }
}

/// With more than seven parts the shortest would be under 85 % of the longest (HLS section 4.4.4.9): the
/// difference of a part is a whole frame.
const PARTS_MAX: u64 = 7;
const PARTS_MIN: u64 = 2;

/// A part's position in a stream.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Position {
    pub(crate) segment: u64,
    pub(crate) part: u64,
}

/// The encoder's progress in a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Progress {
    pub(crate) window: Window,
    pub(crate) cut: Cut,
    /// Parts of the growing segment; it is number `window.end`.
    pub(crate) parts: u64,
}

impl Progress {
    pub(crate) fn at(view: &View, cut: Cut, config: &Config) -> Self {
        let window = Window::sliding(view, config.low_latency.window_segments, config.live.windows_kept);
        let grown = view.now.saturating_sub(window.began(window.end).unwrap_or(view.now));
        let parts = grown.as_nanos() * u128::from(cut.per_segment) / SEGMENT.as_nanos();
        let parts = u64::try_from(parts).unwrap_or(u64::MAX).min(cut.per_segment - 1);
        Self { window, cut, parts }
    }

    /// The part that is being made.
    pub(crate) fn next(&self) -> Position {
        Position { segment: self.window.end, part: self.parts }
    }

    /// The newest part.
    pub(crate) fn last(&self) -> Position {
        match self.parts.checked_sub(1) {
            Some(part) => Position { segment: self.window.end, part },
            None => Position { segment: self.window.end - 1, part: self.cut.per_segment - 1 },
        }
    }

    /// When a part is complete, since the Unix epoch.
    pub(crate) fn complete(&self, position: Position) -> Option<Duration> {
        let steps = SEGMENT.as_nanos() * u128::from(position.part + 1);
        // Rounded up: at this moment the part exists.
        let nanos = u64::try_from(steps.div_ceil(u128::from(self.cut.per_segment))).ok()?;
        Some(self.window.began(position.segment)? + Duration::from_nanos(nanos))
    }

    /// The first segment whose parts are listed: parts are listed until they are three target durations old
    /// (HLS section 4.4.4.9).
    pub(crate) fn first_in_parts(&self) -> u64 {
        self.window.end.saturating_sub(3).max(self.window.first)
    }

    /// The number of segments that a delta update leaves out: those that ended before the skip boundary (HLS
    /// section 6.2.5.1).
    pub(crate) fn skippable(&self) -> u64 {
        let grown = SEGMENT.as_millis() * u128::from(self.parts) / u128::from(self.cut.per_segment);
        let within = (SKIP_BOUNDARY.as_millis() - grown).div_ceil(SEGMENT.as_millis());
        let listed = self.window.end - self.window.first;
        listed.saturating_sub(u64::try_from(within).unwrap_or(u64::MAX))
    }
}

/// CAN-SKIP-UNTIL: six target durations, the minimum (HLS section 4.4.3.8).
pub(crate) const SKIP_BOUNDARY: Duration = Duration::from_secs(6 * SEGMENT.as_secs());

/// How long a request is blocked at most: three target durations (HLS section 6.2.5.2).
pub(crate) const BLOCK_MAX: Duration = Duration::from_secs(3 * SEGMENT.as_secs());

/// How a stream offers its parts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flavour {
    /// As separate files.
    Files,
    /// As byte ranges of their segment, which can be requested while it grows.
    Ranges,
    /// As files, by an origin that cannot block requests: directives are ignored, nothing is hinted.
    Unblocked,
}

impl Flavour {
    const ALL: [Self; 3] = [Self::Files, Self::Ranges, Self::Unblocked];

    /// Its name in paths.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Files => "cmaf",
            Self::Ranges => "cmaf-ranges",
            Self::Unblocked => "cmaf-unblocked",
        }
    }

    /// Whether requests for a part or version that does not exist yet are blocked.
    pub(crate) fn can_block(self) -> bool {
        self != Self::Unblocked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Epoch;

    pub(crate) fn progress(millis: u64) -> Progress {
        let now = Duration::from_millis(millis);
        let view = View { now, started: now, epoch: Epoch::default(), skew_ms: 0 };
        let config = Config::default();
        Progress::at(&view, Cut::of("ch1", &config), &config)
    }

    #[test]
    fn a_segment_of_the_default_stream_has_six_parts() {
        let cut = Cut::of("ch1", &Config::default());
        assert_eq!((cut.per_segment, cut.target), (6, Duration::from_millis(360)));
        assert_eq!(cut.advance_limit(), 8);
    }

    #[test]
    fn a_stream_may_have_its_own_target() {
        let config = Config::parse("[low_latency.part_targets]\nslow = \"1s\"\n").unwrap();
        let cut = Cut::of("slow", &config);
        assert_eq!((cut.per_segment, cut.advance_limit()), (2, 3));
        assert_eq!(Cut::of("ch1", &config).per_segment, 6);
    }

    #[test]
    fn parts_appear_in_equal_steps() {
        let next = |millis| {
            let Position { segment, part } = progress(millis).next();
            (segment, part)
        };
        assert_eq!(next(1_000_000), (500, 0));
        assert_eq!(next(1_000_333), (500, 0));
        assert_eq!(next(1_000_334), (500, 1));
        assert_eq!(next(1_001_999), (500, 5));
        assert_eq!(next(1_002_000), (501, 0));
    }

    #[test]
    fn a_part_exists_from_the_moment_when_it_is_complete() {
        let (config, cut) = (Config::default(), Cut::of("ch1", &Config::default()));
        for part in 0..6 {
            let position = Position { segment: 500, part };
            let moment = progress(1_000_000).complete(position).unwrap();
            let at = |now| {
                let view = View { now, started: now, epoch: Epoch::default(), skew_ms: 0 };
                Progress::at(&view, cut, &config)
            };
            assert_eq!(at(moment).last(), position);
            assert_eq!(at(moment.checked_sub(Duration::from_nanos(1)).unwrap()).next(), position);
        }
    }

    #[test]
    fn segments_older_than_twelve_seconds_are_skipped() {
        assert_eq!(progress(1_000_000).skippable(), 9);
        assert_eq!(progress(1_001_999).skippable(), 9);
    }
}
