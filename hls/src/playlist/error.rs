//! Why bytes are not a playlist.

/// Why bytes are not a playlist that a tier can act on. Lines count from 1.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaylistError {
    /// The first line is not `#EXTM3U` (section 4.4.1.1); a byte order mark before it counts (section 4).
    #[error("a playlist must begin with the line #EXTM3U")]
    NotAPlaylist,
    /// Section 4: a playlist is UTF-8.
    #[error("line {line} of the playlist is not UTF-8")]
    NotUtf8 {
        /// The line of the first wrong byte.
        line: usize,
    },
    /// A line that begins like a tag and is not one, such as a bare `#EXT`.
    #[error("line {line} of the playlist cannot be read: {source}")]
    BadLine {
        /// The line.
        line: usize,
        /// The parser's error.
        source: quick_m3u8::error::SyntaxError,
    },
    /// A relevant tag with an invalid value: not a number, or an attribute is missing.
    #[error("#EXT{tag} in line {line} of the playlist is invalid: {source}")]
    BadTag {
        /// The tag without its `#EXT`: `-X-TARGETDURATION`, `INF`.
        tag: &'static str,
        /// Its line.
        line: usize,
        /// The parser's error.
        source: quick_m3u8::error::ValidationError,
    },
    /// A number that is not allowed here: a negative or infinite duration, a sequence number beyond 64 bits.
    #[error("#EXT{tag} in line {line} of the playlist is out of range")]
    OutOfRange {
        /// The tag without its `#EXT`.
        tag: &'static str,
        /// Its line.
        line: usize,
    },
    /// Section 4.4.4.1: every segment has its EXTINF.
    #[error("the segment in line {line} of the playlist has no EXTINF before it")]
    SegmentWithoutDuration {
        /// The line of the URI.
        line: usize,
    },
    /// Section 4.4.3.1: every media playlist has its target duration.
    #[error("the playlist has no EXT-X-TARGETDURATION")]
    NoTargetDuration,
    /// Section 4.4.6.2: EXT-X-STREAM-INF is followed by the URI of its media playlist.
    #[error("the playlist ends before the URI of its last EXT-X-STREAM-INF")]
    VariantWithoutUri,
    /// Section 4.1: it has tags of media playlists and tags of multivariant playlists.
    #[error("the playlist is both a media playlist and a multivariant playlist: see line {line}")]
    Mixed {
        /// The first line of the kind that comes second.
        line: usize,
    },
}
