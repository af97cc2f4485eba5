//! What a media playlist lists besides segments.

use std::sync::Arc;
use std::time::Duration;

/// A piece of a resource, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// Its first byte.
    pub start: u64,
    /// How many bytes; `None` for all there will be, however many (section 4.4.5.3).
    pub length: Option<u64>,
}

/// A part of a segment (EXT-X-PART, section 4.4.4.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where it is.
    pub uri: Option<Arc<str>>,
    /// DURATION; zero if that is no time.
    pub duration: Duration,
    /// The piece of the resource that it is; all of it if there is none.
    pub range: Option<ByteRange>,
    /// It begins with a frame that can be decoded without others.
    pub is_independent: bool,
    /// It is missing and must not be asked for.
    pub is_gap: bool,
}

/// An initialisation section (EXT-X-MAP, section 4.4.4.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// Where it is.
    pub uri: Option<Arc<str>>,
    /// The piece of the resource that it is; all of it if there is none.
    pub range: Option<ByteRange>,
}

/// Something that will be asked for before it is listed (EXT-X-PRELOAD-HINT, section 4.4.5.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// What it is.
    pub kind: HintKind,
    /// Where it will be.
    pub uri: Option<Arc<str>>,
    /// The piece of the resource that it will be. Without BYTERANGE-LENGTH it goes on to the end, which nobody
    /// knows yet.
    pub range: ByteRange,
}

/// What a hint announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HintKind {
    /// The next part.
    Part,
    /// The next initialisation section.
    Map,
}

/// How far another rendition is (EXT-X-RENDITION-REPORT, section 4.4.5.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its media playlist.
    pub uri: Option<Arc<str>>,
    /// The number of its newest segment, which may be one that is being made.
    pub last_sequence: u64,
    /// The number of the newest part of that segment.
    pub last_part: Option<u64>,
}

/// What a server offers (EXT-X-SERVER-CONTROL, section 4.4.3.8). Durations that are none count as not given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerControl {
    /// CAN-BLOCK-RELOAD: it holds requests for what is next.
    pub can_block_reload: bool,
    /// CAN-SKIP-UNTIL: it makes delta updates, which leave out what is older than this.
    pub can_skip_until: Option<Duration>,
    /// CAN-SKIP-DATERANGES: delta updates may leave out date ranges as well.
    pub can_skip_dateranges: bool,
    /// HOLD-BACK: how far players should stay behind the newest segment.
    pub hold_back: Option<Duration>,
    /// PART-HOLD-BACK: how far players should stay behind the newest part.
    pub part_hold_back: Option<Duration>,
}
