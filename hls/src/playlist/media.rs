//! The media playlist: the segments of one rendition, and what comes next.

mod builder;
mod entries;

use std::sync::Arc;
use std::time::Duration;

pub(super) use builder::Builder;
pub use entries::{ByteRange, Hint, HintKind, Map, Part, Report, ServerControl};

use crate::Directives;

/// One version of a media playlist.
///
/// URIs are as written in the playlist, with their variables replaced: a relative one stays relative. A URI
/// with undefined variables is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Media {
    /// EXT-X-TARGETDURATION: no segment is longer, and a live playlist grows about this often. If it is
    /// missing, the longest segment stands for it.
    pub target_duration: Duration,
    /// EXT-X-MEDIA-SEQUENCE: the number of the first segment, 0 if absent.
    pub media_sequence: u64,
    /// Whether the numbers of its segments are known.
    pub counting: Counting,
    /// EXT-X-DISCONTINUITY-SEQUENCE, 0 if absent.
    pub discontinuity_sequence: u64,
    /// The listed complete segments, oldest first.
    pub segments: Vec<Segment>,
    /// Segments that a delta update leaves out, between `media_sequence` and the first listed one
    /// (EXT-X-SKIP).
    pub skipped: u64,
    /// Parts listed after the last complete segment: those of the segment in progress.
    pub next_parts: Vec<Part>,
    /// EXT-X-ENDLIST is present: nothing will be added.
    pub end_list: bool,
    /// EXT-X-PLAYLIST-TYPE.
    pub playlist_type: Option<PlaylistType>,
    /// PART-TARGET of EXT-X-PART-INF: a low-latency playlist grows about this often.
    pub part_target: Option<Duration>,
    /// What the server offers (EXT-X-SERVER-CONTROL).
    pub server_control: ServerControl,
    /// How many such tags there are.
    pub server_controls: usize,
    /// EXT-X-TARGETDURATION is present.
    pub has_target: bool,
    /// The initialisation section of the segment in progress (the last EXT-X-MAP).
    pub map: Option<Arc<Map>>,
    /// EXT-X-DEFINE is present: URIs may depend on variables.
    pub has_definitions: bool,
    /// The URIs of the keys (EXT-X-KEY), in the playlist's order.
    pub keys: Vec<Arc<str>>,
    /// What clients will request next (EXT-X-PRELOAD-HINT).
    pub hints: Vec<Hint>,
    /// The positions of the other renditions (EXT-X-RENDITION-REPORT).
    pub reports: Vec<Report>,
}

/// A complete segment in a playlist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Segment {
    /// Its URI.
    pub uri: Option<Arc<str>>,
    /// The byte range of the resource (EXT-X-BYTERANGE); all of it if `None`.
    pub range: Option<ByteRange>,
    /// EXTINF.
    pub duration: Duration,
    /// Its media sequence number.
    pub sequence: u64,
    /// Its listed parts; playlists drop the parts of older segments.
    pub parts: Vec<Part>,
    /// Its initialisation section (the last EXT-X-MAP before it).
    pub map: Option<Arc<Map>>,
    /// It is missing and must not be requested (EXT-X-GAP).
    pub is_gap: bool,
    /// It does not continue the one before it (EXT-X-DISCONTINUITY).
    pub is_discontinuity: bool,
}

/// How the numbers of a playlist's segments are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Counting {
    /// EXT-X-MEDIA-SEQUENCE is absent or empty: the first segment has the number 0, unless segments have left
    /// the list.
    #[default]
    Implied,
    /// EXT-X-MEDIA-SEQUENCE has the number of the first segment.
    Declared,
    /// A tag that counts segments is there and cannot be read: negative, or beyond 64 bits.
    Unknown,
}

/// How far a playlist has come. A later position compares as greater.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The number of the segment in progress: that of the last complete one, plus 1.
    pub sequence: u64,
    /// How many of its parts are listed.
    pub parts: u64,
}

/// EXT-X-PLAYLIST-TYPE (section 4.4.3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaylistType {
    /// Grows at its end and drops nothing.
    Event,
    /// Never changes.
    Vod,
}

impl Media {
    /// The number of the newest complete segment; `None` if the playlist is empty.
    pub const fn last_sequence(&self) -> Option<u64> {
        // Does not saturate for a parsed playlist: the builder has checked the sum.
        if self.next_sequence() == self.media_sequence { None } else { Some(self.next_sequence() - 1) }
    }

    /// The number of the segment in progress.
    pub const fn next_sequence(&self) -> u64 {
        self.first_listed().saturating_add(self.segments.len() as u64)
    }

    /// How far the playlist has come.
    pub const fn position(&self) -> Position {
        Position { sequence: self.next_sequence(), parts: self.next_parts.len() as u64 }
    }

    /// The number of the first listed segment, after those that a delta update skips.
    pub const fn first_listed(&self) -> u64 {
        self.media_sequence.saturating_add(self.skipped)
    }

    /// The target duration, but at least half a second, so that it can be multiplied: section 4.4.3.1 rounds
    /// it to whole seconds, and 0 stands for segments shorter than half a second.
    pub fn clamped_target_duration(&self) -> Duration {
        self.target_duration.max(TARGET_DURATION_MIN)
    }

    /// Half the target duration: the lifetime of a playlist that is not followed (appendix B.1).
    pub fn half_target(&self) -> Duration {
        self.clamped_target_duration() / 2
    }

    /// Whether the numbers of its segments are known, so that its versions can be compared.
    pub const fn is_numbered(&self) -> bool {
        !matches!(self.counting, Counting::Unknown)
    }

    /// Whether there is no next version to wait for: it has ended, or it is of type VOD, which must not
    /// change (section 4.4.3.5). Without EXT-X-ENDLIST it may change all the same.
    pub const fn is_ended(&self) -> bool {
        self.end_list || matches!(self.playlist_type, Some(PlaylistType::Vod))
    }

    /// Whether a player can start with it. A player keeps its distance from the end of the list (section
    /// 6.3.3): three segments, or the duration in HOLD-BACK or PART-HOLD-BACK.
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

    /// Whether this version satisfies a blocking request (section 6.2.5.2).
    ///
    /// An old version does not, even if its server sent it in response to one: servers without blocking
    /// reload ignore the directives.
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
        // The newest complete segment. A part beyond its last one means the first part of the next segment.
        let parts = self.segments.last().map_or(0, |segment| segment.parts.len() as u64);
        parts == 0 || part < parts || !self.next_parts.is_empty()
    }
}

/// This many segments of about the target duration keep the distance.
const START_SEGMENTS: usize = 3;

const TARGET_DURATION_MIN: Duration = Duration::from_millis(500);
