//! When the next version is due.

use std::time::Duration;

use crate::{Media, Position};

/// How often and at which moments a playlist moves.
///
/// A poll says only that the playlist has moved since the poll before: the moment lies in a bracket between
/// two polls. As a live playlist moves about once in an interval, the bracket of the last move, one interval
/// later, is that of the next one, and what both leave is narrower than either. A poll in the middle of a
/// wide bracket halves it, whatever it finds; once it is narrow, a poll at its end finds the new version
/// nearly always. If it does not, the next ones come as much later as versions have been late before.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    /// When it was last seen to have moved.
    moved_at: Option<Duration>,
    /// When it was last seen unmoved since then.
    unchanged_at: Option<Duration>,
    bracket: Option<Bracket>,
    /// The mean time between moves.
    mean: Option<Duration>,
    /// Moves without a gap between them.
    moves: u32,
    /// How many moves were seen in a row without a poll just before that had not found them yet.
    unconfirmed: u32,
    /// So many versions in a row were late.
    late_in_a_row: u32,
    /// How late versions are that were expected at a certain moment: a mean.
    mean_lateness: Duration,
    /// What the playlist says about the time between moves.
    announced_interval: Duration,
}

/// The last move was after `earliest` and not after `latest`.
#[derive(Debug, Clone, Copy)]
struct Bracket {
    earliest: Duration,
    latest: Duration,
}

impl Rhythm {
    /// A version that has moved, seen at `now`; the position that was known before, if there was one.
    pub(super) fn record_move(&mut self, media: &Media, previous: Option<Position>, now: Duration) {
        self.announced_interval = announced_interval(media);
        let interval = self.interval();
        if let (Some(expected), true) = (self.due_if_certain(), is_one_move(previous, media)) {
            self.mean_lateness = (self.mean_lateness * 3 + now.saturating_sub(expected).min(interval)) / 4;
        }
        let unseen = now.saturating_sub(interval);
        let earliest = self.unchanged_at.or(self.moved_at).map_or(unseen, |at| at.max(unseen));
        let seen = Bracket { earliest: earliest.min(now), latest: now };
        let last = self.bracket.filter(|_| is_one_move(previous, media));
        self.unconfirmed = if self.unchanged_at.is_some() { 0 } else { self.unconfirmed.saturating_add(1) };
        let expected = last
            .map(|last| last.expected_after(interval, self.tolerance()))
            .or_else(|| self.if_on_time(media, previous, seen));
        let is_late = expected.is_some_and(|expected| expected.latest < seen.earliest);
        self.late_in_a_row = if is_late { self.late_in_a_row.saturating_add(1) } else { 0 };
        let bracket = match expected {
            // One that is late does not make those after it late.
            Some(expected) if (1..LATE_IN_A_ROW).contains(&self.late_in_a_row) => expected,
            expected => expected.map_or(seen, |expected| expected.intersect(seen)),
        };
        if let (Some(_), Some(moved_at)) = (last, self.moved_at) {
            let between = now.saturating_sub(moved_at);
            if between > longest_production_time(media, previous) {
                // It was interrupted, or the way to it was: that is no rhythm.
                (self.mean, self.moves) = (None, 0);
            }
            // The first version was seen at any time after it had come.
            if self.moves > 0 {
                self.mean = Some(self.mean.map_or(between, |mean| {
                    let weight = self.moves.min(MOVES_MEANT);
                    (mean * (weight - 1) + between) / weight
                }));
            }
            self.moves = self.moves.saturating_add(1);
        }
        self.moved_at = Some(now);
        self.unchanged_at = None;
        self.bracket = Some(bracket);
    }

    /// Where the move lies if the encoder has kept its time while nobody could ask: after as much time as it
    /// took to make what is new. `None` if that is not what was seen.
    fn if_on_time(&self, media: &Media, previous: Option<Position>, seen: Bracket) -> Option<Bracket> {
        let expected = self.bracket?.expected_after(production_time(media, previous?)?, self.tolerance());
        (expected.earliest <= seen.latest && seen.earliest <= expected.latest).then_some(expected)
    }

    /// How far before and behind its time the next move is expected. No encoder keeps time to the
    /// millisecond; and the longer nothing has confirmed that moves do not come earlier, the less is known
    /// about that.
    fn tolerance(&self) -> (Duration, Duration) {
        let slack = self.interval() / SLACK;
        (slack * (1 << self.unconfirmed.saturating_sub(UNCONFIRMED_MAX).min(DOUBLINGS_MAX)), slack)
    }

    /// A version that has not moved, seen at `now`.
    pub(super) const fn record_unchanged(&mut self, now: Duration) {
        self.unchanged_at = Some(now);
    }

    pub(super) const fn moved_at(&self) -> Option<Duration> {
        self.moved_at
    }

    /// When to look for the next version, after so many looks in vain: three times for each interval, then
    /// once.
    pub(super) fn poll_at(&self, empty_polls: u32) -> Option<Duration> {
        let (bracket, interval) = (self.bracket?, self.interval());
        let expected = bracket.shifted(interval);
        let rest = Bracket {
            earliest: self.unchanged_at.unwrap_or_default().clamp(expected.earliest, expected.latest),
            ..expected
        };
        let end = expected.latest;
        Some(match (expected.is_narrow(interval), empty_polls) {
            (true, 0) => end,
            (true, 1) => end + (interval / 40).max(self.mean_lateness.min(interval / 4)),
            (_, 2) => end + (interval / 8).max(self.mean_lateness * 4).min(interval / 2),
            // It is not late, it has been left out, or the encoder takes longer: it comes with the one after
            // it.
            (_, 3..) => end + interval.saturating_mul(empty_polls - 2),
            (false, 0) => expected.middle(),
            (false, _) if rest.is_narrow(interval) => end,
            (false, _) => rest.middle(),
        })
    }

    /// When the next version is expected to be there.
    pub(super) fn due(&self) -> Option<Duration> {
        Some(self.bracket?.shifted(self.interval()).latest)
    }

    /// The same, if that is known well.
    fn due_if_certain(&self) -> Option<Duration> {
        self.due().filter(|_| self.bracket.is_some_and(|bracket| bracket.is_narrow(self.interval())))
    }

    /// What the playlist announces, unless it was seen to keep another time: encoders publish two segments at
    /// once, or shorter ones than they say. What is observed is bounded by what is plausible.
    fn interval(&self) -> Duration {
        let announced = self.announced_interval;
        match self.mean {
            Some(mean) if self.moves >= MOVES_MIN && mean.abs_diff(announced) > announced / 8 => {
                mean.clamp(announced / 2, announced * 3)
            }
            _ => announced,
        }
    }
}

impl Bracket {
    /// Where the move is expected that comes so much later, give or take this much.
    fn expected_after(self, later: Duration, (margin_before, margin_after): (Duration, Duration)) -> Self {
        let shifted = self.shifted(later);
        Self {
            earliest: shifted.earliest.saturating_sub(margin_before),
            latest: shifted.latest.saturating_add(margin_after),
        }
    }

    fn shifted(self, by: Duration) -> Self {
        Self { earliest: self.earliest.saturating_add(by), latest: self.latest.saturating_add(by) }
    }

    fn is_narrow(self, interval: Duration) -> bool {
        self.latest.saturating_sub(self.earliest) <= interval / NARROW
    }

    fn middle(self) -> Duration {
        self.earliest + self.latest.saturating_sub(self.earliest) / 2
    }

    /// What this expectation leaves of what was seen. If the two have nothing in common, it was wrong.
    fn intersect(self, seen: Self) -> Self {
        let (earliest, latest) = (self.earliest.max(seen.earliest), self.latest.min(seen.latest));
        if earliest <= latest { Self { earliest, latest } } else { seen }
    }
}

/// Section 6.2.2: a new version comes when a segment is complete; with parts, when a part is.
fn announced_interval(media: &Media) -> Duration {
    let newest = media.segments.last();
    let has_parts = !media.next_parts.is_empty() || newest.is_some_and(|segment| !segment.parts.is_empty());
    let interval = match (media.part_target.filter(|_| has_parts), newest) {
        (Some(target), _) => target,
        (None, Some(segment)) => segment.duration,
        (None, None) => media.target_duration,
    };
    // A segment that claims to be much longer than any may be is not waited for.
    interval.clamp(INTERVAL_MIN, media.clamped_target_duration() * 2)
}

/// How long the encoder took over what a list has that the one before had not; `None` for one that is not
/// newer.
fn production_time(media: &Media, previous: Position) -> Option<Duration> {
    let position = media.position();
    let new = usize::try_from(position.sequence.checked_sub(previous.sequence)?).ok()?;
    let newest = media.segments.last().map_or(media.target_duration, |segment| segment.duration);
    let listed = media.segments.iter().rev().map(|segment| segment.duration).take(new);
    // What has come and gone meanwhile was as long as the newest is.
    let unlisted = u32::try_from(new.saturating_sub(media.segments.len())).ok()?;
    let segments = listed.fold(newest.saturating_mul(unlisted), Duration::saturating_add);
    let part = media.part_target.unwrap_or_default();
    let parts = |position: Position| part.saturating_mul(u32::try_from(position.parts).unwrap_or(u32::MAX));
    segments.saturating_add(parts(position)).checked_sub(parts(previous))
}

/// How long the segments that are new may have taken, if nothing was in the way.
fn longest_production_time(media: &Media, previous: Option<Position>) -> Duration {
    let segments = previous.map_or(0, |previous| media.next_sequence().saturating_sub(previous.sequence));
    let segments = u32::try_from(segments).unwrap_or(u32::MAX).max(1);
    media.clamped_target_duration().saturating_mul(segments) * 3 / 2
}

/// Versions that were missed would make the time between moves look long.
fn is_one_move(previous: Option<Position>, media: &Media) -> bool {
    previous.is_some_and(|previous| {
        media.next_sequence().saturating_sub(previous.sequence) <= SEGMENTS_PER_MOVE_MAX
    })
}

/// The mean is that of about so many moves, and counts from so many on.
const MOVES_MEANT: u32 = 8;
const MOVES_MIN: u32 = 6;
/// So many late versions in a row mean that all that follow will come later.
const LATE_IN_A_ROW: u32 = 2;
const SEGMENTS_PER_MOVE_MAX: u64 = 2;
const INTERVAL_MIN: Duration = Duration::from_millis(50);
/// Shares of an interval: how far a move may be from where it is expected, and how wide a narrow bracket is.
const SLACK: u32 = 256;
const NARROW: u32 = 32;
/// So many versions may come as expected before doubt grows; it costs polls.
const UNCONFIRMED_MAX: u32 = 4;
/// Doubt grows to a quarter of an interval.
const DOUBLINGS_MAX: u32 = 5;
