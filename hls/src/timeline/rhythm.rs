//! When the next version is due.

use std::time::Duration;

use crate::{Media, Position, Segment};

/// How often and at which moments a playlist moves.
///
/// A poll shows only that the playlist has moved since the poll before: the moment lies in a bracket between
/// two polls. As a live playlist moves about once per interval, the bracket of the last move, one interval
/// later, is that of the next one, and the intersection of both is narrower than either. A poll in the middle
/// of a wide bracket halves it, whatever it finds; once the bracket is narrow, a poll at its end nearly
/// always finds the new version. If it does not, the next polls come as much later as versions have been late
/// before.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    /// When the playlist last moved, as seen here.
    moved_at: Option<Duration>,
    /// The last poll since then that found no change.
    unchanged_at: Option<Duration>,
    bracket: Option<Bracket>,
    /// The mean time between moves.
    mean: Option<Duration>,
    /// Moves without a gap between them.
    moves: u32,
    /// Moves in a row without a confirmed time: no poll shortly before had found the playlist unchanged.
    unconfirmed: u32,
    /// How many versions in a row were late.
    late_in_a_row: u32,
    /// The mean lateness of versions that were expected at a certain moment.
    mean_lateness: Duration,
    /// The time between moves that the playlist announces, if parts are moves.
    part_interval: Option<Duration>,
    /// The same if they are not, or if there are none.
    segment_interval: Duration,
    /// A version has listed parts. Another one may have none, just after a segment is complete.
    has_parts: bool,
    /// No version has listed parts, although there was one for longer than a part takes.
    lacks_parts: bool,
}

/// The last move was after `earliest` and not after `latest`.
#[derive(Debug, Clone, Copy)]
struct Bracket {
    earliest: Duration,
    latest: Duration,
}

impl Rhythm {
    /// Records a new version, received at `now`. `previous` is the position known before, if there was one.
    pub(super) fn record_move(&mut self, media: &Media, previous: Option<Position>, now: Duration) {
        self.has_parts |= lists_parts(media);
        self.lacks_parts &= !self.has_parts;
        (self.part_interval, self.segment_interval) = announced_intervals(media);
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
            // A single late version does not make the next ones late.
            Some(expected) if (1..LATE_IN_A_ROW).contains(&self.late_in_a_row) => expected,
            expected => expected.map_or(seen, |expected| expected.intersect(seen)),
        };
        if let (Some(_), Some(moved_at)) = (last, self.moved_at) {
            let between = now.saturating_sub(moved_at);
            if between > longest_production_time(media, previous) {
                // The encoder, or the path to it, was interrupted: that is no rhythm.
                (self.mean, self.moves) = (None, 0);
            }
            // The first version was seen at any time after its publication. And several parts that were found
            // together were published one by one: the polls were too rare.
            if self.moves > 0 && !(self.expects_parts() && self.is_several_parts(media, previous)) {
                self.mean = Some(self.mean.map_or(between, |mean| {
                    let weight = self.moves.min(MOVES_AVERAGED);
                    (mean * (weight - 1) + between) / weight
                }));
            }
            self.moves = self.moves.saturating_add(1);
        } else {
            // Several segments were found together, some time after the last of them was published: the time
            // to the next move is no rhythm.
            self.moves = 0;
        }
        self.moved_at = Some(now);
        self.unchanged_at = None;
        self.bracket = Some(bracket);
    }

    /// Whether the move is longer than a part.
    fn is_several_parts(&self, media: &Media, previous: Option<Position>) -> bool {
        let produced = previous.and_then(|previous| production_time(media, previous));
        produced.is_some_and(|produced| produced > self.announced_interval() * 3 / 2)
    }

    /// Whether parts are moves, or may be: a version just after a segment is complete lists none, and polls
    /// once in a segment would find such versions again and again.
    const fn expects_parts(&self) -> bool {
        self.part_interval.is_some() && !self.lacks_parts
    }

    fn announced_interval(&self) -> Duration {
        self.part_interval.filter(|_| self.expects_parts()).unwrap_or(self.segment_interval)
    }

    /// The bracket of a move if the encoder kept its time while no poll reached it: the last bracket, later
    /// by the time that the new segments took. `None` if that contradicts `seen`.
    fn if_on_time(&self, media: &Media, previous: Option<Position>, seen: Bracket) -> Option<Bracket> {
        let expected = self.bracket?.expected_after(production_time(media, previous?)?, self.tolerance());
        (expected.earliest <= seen.latest && seen.earliest <= expected.latest).then_some(expected)
    }

    /// How far before and after its time the next move is expected. No encoder keeps time to the millisecond;
    /// and the longer no poll has confirmed that moves do not come earlier, the less is known about that.
    fn tolerance(&self) -> (Duration, Duration) {
        let slack = self.interval() / SLACK;
        (slack * (1 << self.unconfirmed.saturating_sub(UNCONFIRMED_MAX).min(DOUBLINGS_MAX)), slack)
    }

    /// Records a poll at `now` that found no change.
    pub(super) fn record_unchanged(&mut self, now: Duration) {
        self.unchanged_at = Some(now);
        let part_due =
            self.part_interval.zip(self.moved_at).map(|(part, moved)| moved.saturating_add(part * 3 / 2));
        if !self.has_parts && !self.lacks_parts && part_due.is_some_and(|due| now > due) {
            self.lacks_parts = true;
            // It moved at any time in the segment before.
            let since = |latest: Duration| latest.saturating_sub(self.segment_interval);
            self.bracket = self.bracket.map(|seen| Bracket { earliest: since(seen.latest), ..seen });
        }
    }

    pub(super) const fn moved_at(&self) -> Option<Duration> {
        self.moved_at
    }

    /// When to poll for the next version after this many polls without one: three times for each interval,
    /// then once.
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
            // It is not late: it was left out, or the encoder takes longer. It comes with the one after it.
            (_, 3..) => end + interval.saturating_mul(empty_polls - 2),
            (false, 0) => expected.middle(),
            (false, _) if rest.is_narrow(interval) => end,
            (false, _) => rest.middle(),
        })
    }

    /// When the next version is expected.
    pub(super) fn due(&self) -> Option<Duration> {
        Some(self.bracket?.shifted(self.interval()).latest)
    }

    /// The same, if the bracket is narrow.
    fn due_if_certain(&self) -> Option<Duration> {
        self.due().filter(|_| self.bracket.is_some_and(|bracket| bracket.is_narrow(self.interval())))
    }

    /// The announced interval, unless the observed one differs: some encoders publish two segments together,
    /// or shorter ones than they announce. The observed interval is bounded to what is plausible.
    fn interval(&self) -> Duration {
        let announced = self.announced_interval();
        match self.mean {
            Some(mean) if self.moves >= MOVES_MIN && mean.abs_diff(announced) > announced / 8 => {
                mean.clamp(announced / 2, announced * 3)
            }
            _ => announced,
        }
    }
}

impl Bracket {
    /// The bracket of a move that is expected this much later, with these margins before and after.
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

    /// The intersection of the expected and the seen bracket. If it is empty, the expectation was wrong and
    /// `seen` counts.
    fn intersect(self, seen: Self) -> Self {
        let (earliest, latest) = (self.earliest.max(seen.earliest), self.latest.min(seen.latest));
        if earliest <= latest { Self { earliest, latest } } else { seen }
    }
}

/// Section 6.2.2: a new version comes when a part is complete, if there are parts, and when a segment is.
fn announced_intervals(media: &Media) -> (Option<Duration>, Duration) {
    let plausible = |interval: Duration| interval.clamp(INTERVAL_MIN, media.clamped_target_duration() * 2);
    let part = media.part_target.filter(|part| !part.is_zero());
    (part.map(plausible), newest_duration(media).max(INTERVAL_MIN))
}

/// The duration of the newest segment.
fn newest_duration(media: &Media) -> Duration {
    let newest = media.segments.last();
    newest.map_or_else(|| media.clamped_target_duration(), |segment| duration(media, segment))
}

/// The duration of a segment, or the target duration where that is not plausible: encoders that do not know
/// it write 0 or -1, and some write it in another unit. The segment after a short one is rarely short itself.
fn duration(media: &Media, segment: &Segment) -> Duration {
    let target = media.clamped_target_duration();
    let is_plausible = segment.duration > target / SHORTEST && segment.duration <= target * 2;
    if is_plausible { segment.duration } else { target }
}

fn lists_parts(media: &Media) -> bool {
    let newest = media.segments.last();
    !media.next_parts.is_empty() || newest.is_some_and(|segment| !segment.parts.is_empty())
}

/// How long the encoder took for the segments and parts since `previous`; `None` if there are none.
fn production_time(media: &Media, previous: Position) -> Option<Duration> {
    let position = media.position();
    let new = usize::try_from(position.sequence.checked_sub(previous.sequence)?).ok()?;
    let newest = newest_duration(media);
    let listed = media.segments.iter().rev().map(|segment| duration(media, segment)).take(new);
    // Segments that came and went in between are taken to be as long as the newest one.
    let unlisted = u32::try_from(new.saturating_sub(media.segments.len())).ok()?;
    let segments = listed.fold(newest.saturating_mul(unlisted), Duration::saturating_add);
    let part = media.part_target.unwrap_or_default();
    let parts = |position: Position| part.saturating_mul(u32::try_from(position.parts).unwrap_or(u32::MAX));
    segments.saturating_add(parts(position)).checked_sub(parts(previous))
}

/// How long the new segments may have taken without an interruption.
fn longest_production_time(media: &Media, previous: Option<Position>) -> Duration {
    let segments = previous.map_or(0, |previous| media.next_sequence().saturating_sub(previous.sequence));
    let segments = u32::try_from(segments).unwrap_or(u32::MAX).max(1);
    media.clamped_target_duration().saturating_mul(segments) * 3 / 2
}

/// Missed versions would make the time between moves look long.
fn is_one_move(previous: Option<Position>, media: &Media) -> bool {
    previous.is_some_and(|previous| {
        media.next_sequence().saturating_sub(previous.sequence) <= SEGMENTS_PER_MOVE_MAX
    })
}

/// The mean is that of about this many moves, and counts from this many on.
const MOVES_AVERAGED: u32 = 8;
const MOVES_MIN: u32 = 6;
/// This many late versions in a row mean that all later ones come later.
const LATE_IN_A_ROW: u32 = 2;
const SEGMENTS_PER_MOVE_MAX: u64 = 2;
const INTERVAL_MIN: Duration = Duration::from_millis(50);
/// The duration of a segment is more than this share of the target duration.
const SHORTEST: u32 = 16;
/// Shares of an interval: the tolerance of a move, and the width of a narrow bracket.
const SLACK: u32 = 256;
const NARROW: u32 = 32;
/// This many moves may go unconfirmed before the tolerance grows; it costs polls.
const UNCONFIRMED_MAX: u32 = 4;
/// The tolerance grows to a quarter of an interval.
const DOUBLINGS_MAX: u32 = 5;
