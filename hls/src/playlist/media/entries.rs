//! The other entries of a media playlist, besides segments.

use std::sync::Arc;
use std::time::Duration;

/// A range of bytes of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// Its first byte.
    pub start: u64,
    /// Its length in bytes; `None` for everything up to the end, which may not be known yet (section
    /// 4.4.5.3).
    pub length: Option<u64>,
}

/// A part of a segment (EXT-X-PART, section 4.4.4.9).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// Its URI.
    pub uri: Option<Arc<str>>,
    /// DURATION; zero if the value is invalid.
    pub duration: Duration,
    /// The byte range of the resource; all of it if `None`.
    pub range: Option<ByteRange>,
    /// It begins with a frame that can be decoded without others.
    pub is_independent: bool,
    /// It is missing and must not be requested.
    pub is_gap: bool,
}

/// An initialisation section (EXT-X-MAP, section 4.4.4.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// Its URI.
    pub uri: Option<Arc<str>>,
    /// The byte range of the resource; all of it if `None`.
    pub range: Option<ByteRange>,
}

/// Something that clients may request before it is listed (EXT-X-PRELOAD-HINT, section 4.4.5.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// What it will be.
    pub kind: HintKind,
    /// Its URI.
    pub uri: Option<Arc<str>>,
    /// The byte range of the resource. Without BYTERANGE-LENGTH it extends to the end, which is not known
    /// yet.
    pub range: ByteRange,
}

/// The kind of a hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HintKind {
    /// The next part.
    Part,
    /// The next initialisation section.
    Map,
}

/// The position of another rendition (EXT-X-RENDITION-REPORT, section 4.4.5.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its media playlist.
    pub uri: Option<Arc<str>>,
    /// The number of its newest segment, which may be in progress.
    pub last_sequence: u64,
    /// The number of the newest part of that segment.
    pub last_part: Option<u64>,
}

/// The server's capabilities (EXT-X-SERVER-CONTROL, section 4.4.3.8). Invalid durations count as absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerControl {
    /// CAN-BLOCK-RELOAD: it blocks requests for the next version.
    pub can_block_reload: bool,
    /// CAN-SKIP-UNTIL: it sends delta updates, which skip segments older than this.
    pub can_skip_until: Option<Duration>,
    /// CAN-SKIP-DATERANGES: delta updates may skip date ranges as well.
    pub can_skip_dateranges: bool,
    /// HOLD-BACK: how far players should stay behind the newest segment.
    pub hold_back: Option<Duration>,
    /// PART-HOLD-BACK: how far players should stay behind the newest part.
    pub part_hold_back: Option<Duration>,
}
