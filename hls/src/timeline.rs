//! The history of one media playlist, from version to version.

mod announcements;
mod rhythm;
mod step;
mod window;

use std::sync::Arc;
use std::time::Duration;

pub use announcements::{Announcement, AnnouncementKind};
pub use step::{Restart, Step};

use crate::{Map, Media, Position, QueryRules, Resource};
use announcements::Summary;
use rhythm::Rhythm;
use window::{Overlap, Window};

/// The versions of one media playlist as one node received them: its position, its segments, when it moved.
///
/// Times are durations since a moment of the caller's choice and never go back. For a response that was not
/// fresh on arrival (`Age`), pass the time when it was generated.
///
/// A version is judged (see [`Step`]) in this order:
///
/// 1. A segment number that both versions list, or that was listed lately, with another path or another
///    initialisation section: the stream has restarted. Neither the query nor the server's name counts.
/// 2. A greater [`Position`] is a step forward, even far ahead without a common number: versions were missed.
/// 3. A smaller one is a step back and not a restart, as long as it can come from an upstream that lags
///    behind. It cannot if it is more than [`RESET_SEGMENTS_MIN`] segments back and its list begins at its
///    encoder's 0 or 1 where the known one does not, or is less than half as long, or lies further back than
///    the remembered segments.
/// 4. An upstream that keeps lagging, while no upstream has anything newer for [`LAG_TARGETS_MAX`] target
///    durations, is the stream from then on.
/// 5. An empty list is never a restart, whatever its number: encoders write one before they start.
/// 6. A restart is pending until its list is long enough for players to [start](Media::is_startable), has
///    lost its first segment, has ended, or has been seen for [`LAG_TARGETS_MAX`] target durations.
#[derive(Debug, Default)]
pub struct Timeline {
    latest: Option<Latest>,
    window: Window,
    rhythm: Rhythm,
    announcements: Vec<Announcement>,
    lagging: Option<Lagging>,
    pending_restart: Option<PendingRestart>,
    restarts: u64,
    /// See [`Timeline::set_encoder_zero`].
    encoder_zero: u64,
}

#[derive(Debug)]
struct Latest {
    summary: Summary,
    is_ended: bool,
    target_duration: Duration,
    /// The longest time between two versions that is still normal.
    clamped_target_duration: Duration,
}

/// An upstream that lags behind.
#[derive(Debug, Clone, Copy)]
struct Lagging {
    since: Duration,
    position: Position,
}

/// A restart that is pending.
#[derive(Debug, Clone, Copy)]
struct PendingRestart {
    since: Duration,
    media_sequence: u64,
}

impl Timeline {
    /// Judges a version that was received at `now`, without remembering it.
    pub fn judge(&self, media: &Media, now: Duration) -> Step {
        match self.compare(media, now) {
            // A lagging upstream has been waited for already.
            Step::Restarted(why) if why != Restart::Lagged && self.is_restart_pending(media, now) => {
                Step::Restarting
            }
            step => step,
        }
    }

    /// Whether a version shows a restart of the stream, and how, even if players cannot start with it yet.
    pub fn detect_restart(&self, media: &Media, now: Duration) -> Option<Restart> {
        match self.compare(media, now) {
            Step::Restarted(why) => Some(why),
            _ => None,
        }
    }

    /// Sets the published number of the encoder's own 0: its numbers continue those of an older epoch.
    pub const fn set_encoder_zero(&mut self, zero: u64) {
        self.encoder_zero = zero;
    }

    fn compare(&self, media: &Media, now: Duration) -> Step {
        let Some(latest) = &self.latest else { return Step::First };
        let overlap = match self.window.compare(media) {
            Overlap::Contradiction(restart) => return Step::Restarted(restart),
            overlap => overlap,
        };
        let (known, position) = (latest.summary.position(), media.position());
        let ends = media.is_ended() && !latest.is_ended;
        if position < known {
            self.judge_older(latest, media, overlap, now)
        } else if ends {
            Step::Ended
        } else if position > known {
            Step::Forward
        } else if latest.is_ended && !media.is_ended() {
            Step::Backward { by: 0 }
        } else {
            Step::Unchanged
        }
    }

    /// Judges a version and remembers it, unless it lags behind.
    pub fn observe(&mut self, media: &Media, now: Duration) -> Step {
        let step = self.judge(media, now);
        match step {
            Step::Restarted(_) => {
                let restarts = self.restarts.wrapping_add(1);
                *self = Self { restarts, ..Self::default() };
                self.accept(media);
                self.rhythm.record_move(media, None, now);
            }
            Step::First | Step::Forward | Step::Ended => {
                let before = self.position();
                self.accept(media);
                self.rhythm.record_move(media, before, now);
            }
            Step::Unchanged => {
                self.accept(media);
                self.rhythm.record_unchanged(now);
            }
            Step::Backward { .. } => {
                self.announcements.clear();
                self.lagging.get_or_insert_with(|| Lagging { since: now, position: media.position() });
            }
            Step::Restarting => {
                self.announcements.clear();
                let media_sequence = media.media_sequence;
                self.pending_restart.get_or_insert(PendingRestart { since: now, media_sequence });
            }
        }
        if step.replaces_latest() {
            (self.lagging, self.pending_restart) = (None, None);
        }
        step
    }

    fn accept(&mut self, media: &Media) {
        self.announcements = announcements::since(self.latest.as_ref().map(|latest| &latest.summary), media);
        self.window.extend(media);
        let newest = media.segments.last().map_or(Duration::ZERO, |segment| segment.duration);
        self.latest = Some(Latest {
            summary: Summary::of(media),
            is_ended: media.is_ended(),
            target_duration: media.target_duration,
            // Some encoders exceed the target duration that they announce.
            clamped_target_duration: media
                .clamped_target_duration()
                .max(newest.min(media.clamped_target_duration() * 2)),
        });
    }

    /// Frees memory while no client requests the playlist: the segments of the newest and of earlier versions
    /// are forgotten. The position, and since when, stays. Before anything else it has to [wake](Self::wake).
    pub fn sleep(&mut self) {
        (self.window, self.announcements) = (Window::default(), Vec::new());
        if let Some(latest) = &mut self.latest {
            latest.summary.sleep();
        }
    }

    /// Restores the knowledge from before it [slept](Self::sleep); `newest` is its newest version.
    pub fn wake(&mut self, newest: &Media) {
        self.window.extend(newest);
        if let Some(latest) = &mut self.latest {
            latest.summary = Summary::of(newest);
        }
    }

    /// Judges a version that is older than the known one.
    fn judge_older(&self, latest: &Latest, media: &Media, overlap: Overlap, now: Duration) -> Step {
        let by = latest.summary.position().sequence - media.next_sequence();
        let is_empty = media.next_sequence() == media.media_sequence && media.next_parts.is_empty();
        if is_empty {
            return Step::Backward { by };
        }
        if by > RESET_SEGMENTS_MIN && self.is_reset(media, by, overlap) {
            return Step::Restarted(Restart::SequenceReset);
        }
        let is_lagging = self.lagging.is_some_and(|lagging| {
            media.position() > lagging.position
                && now.saturating_sub(lagging.since) > latest.clamped_target_duration * LAG_TARGETS_MAX
        });
        if is_lagging { Step::Restarted(Restart::Lagged) } else { Step::Backward { by } }
    }

    /// Whether a restart has too little to play, and may still get more.
    fn is_restart_pending(&self, media: &Media, now: Duration) -> bool {
        let may_still_grow = self.pending_restart.is_none_or(|pending| {
            media.media_sequence == pending.media_sequence
                && now.saturating_sub(pending.since) <= media.clamped_target_duration() * LAG_TARGETS_MAX
        });
        // Viewers of the old stream have long reached its end.
        let is_over = self.moved_at().is_none_or(|moved| {
            let listed =
                u32::try_from(self.window.listed()).unwrap_or(u32::MAX).saturating_add(LAG_TARGETS_MAX);
            now.saturating_sub(moved) > self.clamped_target_duration().saturating_mul(listed)
        });
        may_still_grow && !is_over && !media.is_ended() && !media.is_startable()
    }

    fn is_reset(&self, media: &Media, by: u64, overlap: Overlap) -> bool {
        let first = media.media_sequence;
        let is_encoders_first_list =
            first <= self.encoder_zero.saturating_add(1) && self.window.first_listed() > first;
        let listed = media.next_sequence() - first;
        let has_shrunk = listed.saturating_mul(2) < self.window.listed();
        let memory = self.window.listed().saturating_add(window::UNLISTED_MAX as u64);
        let is_beyond_memory = overlap == Overlap::None && by >= memory;
        is_encoders_first_list || has_shrunk || is_beyond_memory
    }

    /// The position of the stream.
    pub fn position(&self) -> Option<Position> {
        self.latest.as_ref().map(|latest| latest.summary.position())
    }

    /// EXT-X-TARGETDURATION of the newest version.
    pub fn target_duration(&self) -> Option<Duration> {
        self.latest.as_ref().map(|latest| latest.target_duration)
    }

    /// The initialisation section of the segment in progress.
    pub fn map(&self) -> Option<&Arc<Map>> {
        self.latest.as_ref()?.summary.map()
    }

    /// The URI of a segment, as long as it is remembered.
    pub fn uri(&self, sequence: u64) -> Option<&Arc<str>> {
        self.window.uri(sequence)
    }

    /// Counts the restarts. Objects that were cached under another count belong to another stream.
    pub const fn restarts(&self) -> u64 {
        self.restarts
    }

    /// Whether the playlist has ended.
    pub fn is_ended(&self) -> bool {
        self.latest.as_ref().is_some_and(|latest| latest.is_ended)
    }

    /// When the playlist last moved, as seen here.
    pub const fn moved_at(&self) -> Option<Duration> {
        self.rhythm.moved_at()
    }

    /// Whether it has not moved for more than one and a half target durations and has not ended (section
    /// 6.3.4).
    pub fn is_frozen(&self, now: Duration) -> bool {
        self.frozen_after().is_some_and(|moment| now > moment)
    }

    /// The moment after which it counts as frozen unless it moves; `None` if it has ended.
    pub fn frozen_after(&self) -> Option<Duration> {
        let latest = self.latest.as_ref().filter(|latest| !latest.is_ended)?;
        Some(self.moved_at()?.saturating_add(latest.clamped_target_duration * 3 / 2))
    }

    /// When to poll for the next version, for a client that has polled `empty_polls` times since the last one
    /// without finding it; `None` if there will be none.
    ///
    /// The first three polls aim at a version that comes within the duration of the newest segment. Then
    /// there is one poll per such duration, one as soon as the playlist counts as [frozen](Self::is_frozen),
    /// and from then on one each half target duration.
    pub fn next_poll(&self, empty_polls: u32) -> Option<Duration> {
        let frozen = self.frozen_after()?.saturating_add(self.clamped_target_duration() / 64);
        let is_early = |empty_polls| {
            empty_polls < POLLS_MAX || self.rhythm.poll_at(empty_polls).is_some_and(|look| look < frozen)
        };
        if is_early(empty_polls) {
            return self.rhythm.poll_at(empty_polls);
        }
        let late = (POLLS_MAX..empty_polls).filter(|&earlier| !is_early(earlier)).count();
        let late = u32::try_from(late).unwrap_or(u32::MAX);
        Some(frozen.saturating_add(self.clamped_target_duration().saturating_mul(late) / 2))
    }

    /// When the next version is expected, as far as known; `None` if there will be none. A poll may find it
    /// earlier: [`Timeline::next_poll`].
    pub fn due(&self) -> Option<Duration> {
        self.latest.as_ref().filter(|latest| !latest.is_ended).and_then(|_| self.rhythm.due())
    }

    fn clamped_target_duration(&self) -> Duration {
        self.latest.as_ref().map_or(Duration::ZERO, |latest| latest.clamped_target_duration)
    }

    /// Whether the newest version lists or hints this URI, as written in the playlist. If a server lacks it,
    /// it does not have it yet.
    pub fn announces(&self, uri: &str) -> bool {
        self.lists_any(|listed| listed == uri)
    }

    /// The same for the resource `wanted`, where `playlist` is the resource of this timeline.
    pub fn announces_at(&self, playlist: &Resource, wanted: &Resource, rules: &QueryRules) -> bool {
        let name = wanted.path.rsplit('/').next().unwrap_or_default();
        let is_wanted = |found: Resource| found.path == wanted.path && found.query == wanted.query;
        self.lists_any(|uri| may_end_in(uri, name) && playlist.resolve(uri, rules).is_some_and(is_wanted))
    }

    fn lists_any(&self, matches: impl Fn(&str) -> bool) -> bool {
        let latest = self.latest.as_ref();
        latest.is_some_and(|latest| latest.summary.announces(&matches)) || self.window.lists(&matches)
    }

    /// The announcements of the last observed version, in the order in which players will request them. For a
    /// first version they are the newest segment and what follows it. They are returned once.
    pub fn take_announcements(&mut self) -> Vec<Announcement> {
        std::mem::take(&mut self.announcements)
    }
}

/// Whether it is worth resolving a URI. One that may need escaping always is.
fn may_end_in(uri: &str, name: &str) -> bool {
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    let last = path.rsplit('/').next().unwrap_or(path);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    last == name || last.is_empty() || !last.bytes().all(is_plain)
}

/// A player stays three target durations behind the newest segment (section 6.3.3), so a player may have come
/// from an upstream that is up to one more behind.
pub const RESET_SEGMENTS_MIN: u64 = 4;
/// The number of polls for a version before it counts as late.
const POLLS_MAX: u32 = 3;
/// After this many target durations without anything new a player has nothing left to play.
pub const LAG_TARGETS_MAX: u32 = 4;

#[cfg(test)]
mod tests;
