//! The lines of a playlist as bytes, for rewriting.

/// One line, with its line break if it has one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) raw: &'a [u8],
}

/// The kind of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineKind {
    /// The URI of a segment, its last line.
    Uri,
    /// EXT-X-KEY: applies to all segments that follow.
    Key,
    /// EXT-X-MAP: applies to all segments that follow.
    Map,
    /// EXT-X-BYTERANGE.
    ByteRange,
    /// Another tag of one segment or part.
    Segment,
    /// EXT-X-VERSION.
    Version,
    /// A tag about the whole playlist or about a time in it, wherever it is.
    Playlist,
    /// A comment, a blank line, or an unknown tag: it belongs to the lines around it.
    Other,
}

impl LineKind {
    /// Whether the line belongs to a segment, so that the list of segments begins with the first such line.
    pub(super) const fn belongs_to_segment(self) -> bool {
        matches!(self, Self::Uri | Self::Key | Self::Map | Self::ByteRange | Self::Segment)
    }
}

/// The lines, in order. Their bytes together are those of the playlist.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = Line<'_>> {
    bytes.split_inclusive(|&byte| byte == b'\n').map(|raw| Line { raw })
}

/// The line break that the playlist uses: that of its first line.
pub(super) fn line_break(bytes: &[u8]) -> &'static [u8] {
    let first = lines(bytes).next().map_or(&b""[..], |line| line.raw);
    if first.ends_with(b"\r\n") { b"\r\n" } else { b"\n" }
}

impl<'a> Line<'a> {
    pub(super) fn text(self) -> &'a [u8] {
        let text = self.raw.strip_suffix(b"\n").unwrap_or(self.raw);
        text.strip_suffix(b"\r").unwrap_or(text)
    }

    /// The text after the tag's name and colon, and its offset in the line.
    pub(super) fn value(self) -> Option<(usize, &'a [u8])> {
        let text = self.text();
        let start = text.iter().position(|&byte| byte == b':')? + 1;
        Some((start, text.get(start..)?))
    }

    pub(super) fn name(self) -> &'a [u8] {
        self.text().split(|&byte| byte == b':').next().unwrap_or_default()
    }

    pub(super) fn kind(self) -> LineKind {
        let text = self.text();
        if !text.starts_with(b"#") {
            // As in the parser, any Unicode blank is blank.
            let is_blank = std::str::from_utf8(text).is_ok_and(|text| text.trim().is_empty());
            return if is_blank { LineKind::Other } else { LineKind::Uri };
        }
        match self.name() {
            b"#EXT-X-KEY" => LineKind::Key,
            b"#EXT-X-MAP" => LineKind::Map,
            b"#EXT-X-BYTERANGE" => LineKind::ByteRange,
            b"#EXT-X-VERSION" => LineKind::Version,
            name if SEGMENT_TAGS.contains(&name) => LineKind::Segment,
            name if PLAYLIST_TAGS.contains(&name) => LineKind::Playlist,
            _ => LineKind::Other,
        }
    }
}

/// Section 4.4.4, without the tags that have a kind of their own.
const SEGMENT_TAGS: &[&[u8]] = &[
    b"#EXTINF",
    b"#EXT-X-PART",
    b"#EXT-X-DISCONTINUITY",
    b"#EXT-X-PROGRAM-DATE-TIME",
    b"#EXT-X-GAP",
    b"#EXT-X-BITRATE",
];

/// Sections 4.4.1, 4.4.2, 4.4.3 and 4.4.5.
const PLAYLIST_TAGS: &[&[u8]] = &[
    b"#EXTM3U",
    b"#EXT-X-INDEPENDENT-SEGMENTS",
    b"#EXT-X-START",
    b"#EXT-X-DEFINE",
    b"#EXT-X-TARGETDURATION",
    b"#EXT-X-MEDIA-SEQUENCE",
    b"#EXT-X-DISCONTINUITY-SEQUENCE",
    b"#EXT-X-ENDLIST",
    b"#EXT-X-PLAYLIST-TYPE",
    b"#EXT-X-I-FRAMES-ONLY",
    b"#EXT-X-PART-INF",
    b"#EXT-X-SERVER-CONTROL",
    b"#EXT-X-DATERANGE",
    b"#EXT-X-SKIP",
    b"#EXT-X-PRELOAD-HINT",
    b"#EXT-X-RENDITION-REPORT",
];
