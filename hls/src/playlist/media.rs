//! The media playlist: which segments one rendition has, and what is next.

mod builder;
mod entries;

use std::sync::Arc;
use std::time::Duration;

pub(super) use builder::Builder;
pub use entries::{ByteRange, Hint, HintKind, Map, Part, Report, ServerControl};

use crate::Directives;

/// One version of a media playlist.
///
/// URIs are as they stand in the playlist, with their variables replaced: a relative one is relative. A URI whose
/// variables are not defined there is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Media {
    /// EXT-X-TARGETDURATION: no segment is longer, and a live playlist grows about this often.
    pub target_duration: Duration,
    /// EXT-X-MEDIA-SEQUENCE: the number of the first segment, 0 if it is not given.
    pub media_sequence: u64,
    /// EXT-X-DISCONTINUITY-SEQUENCE, 0 if it is not given.
    pub discontinuity_sequence: u64,
    /// The segments that are listed and complete, oldest first.
    pub segments: Vec<Segment>,
    /// Segments that a delta update leaves out, between `media_sequence` and the first listed one (EXT-X-SKIP).
    pub skipped: u64,
    /// Parts listed after the last complete segment: those of the segment that is being made.
    pub next_parts: Vec<Part>,
    /// EXT-X-ENDLIST is there: nothing will be added.
    pub end_list: bool,
    /// EXT-X-PLAYLIST-TYPE.
    pub playlist_type: Option<PlaylistType>,
    /// PART-TARGET of EXT-X-PART-INF: a low-latency playlist grows about this often.
    pub part_target: Option<Duration>,
    /// What the server offers (EXT-X-SERVER-CONTROL).
    pub server_control: ServerControl,
    /// The initialisation section of what is being made (the last EXT-X-MAP).
    pub map: Option<Arc<Map>>,
    /// The URIs of the keys (EXT-X-KEY), in the playlist's order.
    pub keys: Vec<Arc<str>>,
    /// What will be asked for next (EXT-X-PRELOAD-HINT).
    pub hints: Vec<Hint>,
    /// How far the other renditions are (EXT-X-RENDITION-REPORT).
    pub reports: Vec<Report>,
}

/// A complete segment in a playlist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Segment {
    /// Where it is.
    pub uri: Option<Arc<str>>,
    /// The piece of the resource that it is (EXT-X-BYTERANGE); all of it if there is none.
    pub range: Option<ByteRange>,
    /// EXTINF.
    pub duration: Duration,
    /// Its media sequence number.
    pub sequence: u64,
    /// Parts of it that are listed; playlists forget the parts of older segments.
    pub parts: Vec<Part>,
    /// Its initialisation section (the last EXT-X-MAP before it).
    pub map: Option<Arc<Map>>,
    /// It is missing and must not be asked for (EXT-X-GAP).
    pub is_gap: bool,
    /// It does not continue the one before it (EXT-X-DISCONTINUITY).
    pub is_discontinuity: bool,
    /// When its first sample was taken, since the Unix epoch (EXT-X-PROGRAM-DATE-TIME directly at this segment).
    pub program_date_time: Option<Duration>,
}

/// How far a playlist has come. What has come further compares as greater.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The number of the segment that is being made, or would be: that of the last complete one, plus 1.
    pub sequence: u64,
    /// How many parts of it are there.
    pub parts: u64,
}

/// EXT-X-PLAYLIST-TYPE (section 4.4.3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaylistType {
    /// Grows at its end and forgets nothing.
    Event,
    /// Never changes.
    Vod,
}

impl Media {
    /// The number of the newest complete segment; `None` if the playlist is empty.
    pub const fn last_sequence(&self) -> Option<u64> {
        // Saturates nowhere in a playlist that was parsed: the builder has checked the sum.
        if self.next_sequence() == self.media_sequence { None } else { Some(self.next_sequence() - 1) }
    }

    /// The number of the segment that is being made, or would be.
    pub const fn next_sequence(&self) -> u64 {
        self.first_listed().saturating_add(self.segments.len() as u64)
    }

    /// How far it has come.
    pub const fn position(&self) -> Position {
        Position { sequence: self.next_sequence(), parts: self.next_parts.len() as u64 }
    }

    /// The number of the first segment that is listed, after those that a delta update leaves out.
    pub const fn first_listed(&self) -> u64 {
        self.media_sequence.saturating_add(self.skipped)
    }

    /// A target duration that can be multiplied: section 4.4.3.1 rounds it to whole seconds, so that 0 stands for
    /// segments of less than half a second.
    pub fn clamped_target_duration(&self) -> Duration {
        self.target_duration.max(TARGET_DURATION_MIN)
    }

    /// Will it ever change? A playlist of type VOD must not, with or without EXT-X-ENDLIST (section 4.4.3.5).
    pub const fn is_ended(&self) -> bool {
        self.end_list || matches!(self.playlist_type, Some(PlaylistType::Vod))
    }

    /// Has it enough for a player to start? A player keeps its distance from the end of the list (section 6.3.3): three
    /// segments, or the time that HOLD-BACK or PART-HOLD-BACK says.
    pub fn is_startable(&self) -> bool {
        let segments = self.segments.iter().map(|segment| segment.duration);
        let all = segments.chain(self.next_parts.iter().map(|part| part.duration));
        let listed = all.fold(Duration::ZERO, Duration::saturating_add);
        let control = &self.server_control;
        let distance = match self.part_target {
            Some(target) => control.part_hold_back.unwrap_or_else(|| target.saturating_mul(3)),
            None => control.hold_back.unwrap_or_else(|| self.target_duration.saturating_mul(3)),
        };
        self.skipped > 0 || self.segments.len() >= START_SEGMENTS || listed >= distance
    }

    /// Does this version answer a blocking request (section 6.2.5.2)?
    ///
    /// An old one does not, even though its server has sent it in reply to one: servers that do not know
    /// blocking reload ignore the directives.
    pub fn satisfies(&self, directives: &Directives) -> bool {
        let Some(msn) = directives.msn else { return true };
        let next = self.next_sequence();
        if self.is_ended() || msn.saturating_add(1) < next {
            return true;
        }
        let Some(part) = directives.part else { return msn < next };
        if msn >= next {
            return msn == next && part < self.next_parts.len() as u64;
        }
        // The newest complete segment. A part beyond its last one means the first of the segment that follows.
        let parts = self.segments.last().map_or(0, |segment| segment.parts.len() as u64);
        parts == 0 || part < parts || !self.next_parts.is_empty()
    }
}

/// With so many segments of about the target duration the distance is kept.
const START_SEGMENTS: usize = 3;

const TARGET_DURATION_MIN: Duration = Duration::from_millis(500);
