//! The lines of a playlist as bytes, for writing them again.

/// One line with the line break that ends it, if one does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) raw: &'a [u8],
}

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineKind {
    /// It ends what is said about a segment.
    Uri,
    /// EXT-X-KEY: holds for all segments that follow.
    Key,
    /// EXT-X-MAP: holds for all segments that follow.
    Map,
    /// EXT-X-BYTERANGE.
    ByteRange,
    /// Another tag of one segment or part.
    Segment,
    /// EXT-X-VERSION.
    Version,
    /// A tag that says something about the playlist as a whole or about a time in it, wherever it stands.
    Playlist,
    /// A comment, nothing, or a tag that nobody here knows: it belongs to the lines around it.
    Other,
}

impl LineKind {
    /// Does the list of segments begin with such a line, at the latest?
    pub(super) const fn belongs_to_segment(self) -> bool {
        matches!(self, Self::Uri | Self::Key | Self::Map | Self::ByteRange | Self::Segment)
    }
}

/// The lines, in order. Nothing is lost: their bytes together are those of the playlist.
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

    /// What follows the tag's name and its colon, and where in the line that begins.
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
            // As the parser sees it, for which any blank of Unicode is blank.
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

/// Section 4.4.4, without those that have a sort of their own.
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
