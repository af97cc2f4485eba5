//! The lines of a playlist as bytes, for reading and for rewriting.
//!
//! Both see the same lines and the same segments in them, however the playlist is written: with any line
//! break (LF, CRLF or CR), with blanks around tags, with a byte order mark, with lines that mean nothing.

/// One line, with its line break if it has one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) raw: &'a [u8],
    kind: LineKind,
}

/// The kind of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineKind {
    /// The URI of a segment, its last line.
    Uri,
    /// The URI of a variant.
    VariantUri,
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
    /// A tag of multivariant playlists.
    Multivariant,
    /// A comment, a blank line, an unknown tag, or a line that is neither a tag nor the URI of anything: it
    /// belongs to the lines around it.
    Other,
}

impl LineKind {
    /// Whether the line belongs to a segment, so that the list of segments begins with the first such line.
    pub(crate) const fn belongs_to_segment(self) -> bool {
        matches!(self, Self::Uri | Self::Key | Self::Map | Self::ByteRange | Self::Segment)
    }
}

/// The lines, in order. Their bytes together are those of the playlist.
pub(crate) const fn lines(bytes: &[u8]) -> Lines<'_> {
    Lines { rest: bytes, next_uri: LineKind::Other }
}

/// See [`lines`].
#[derive(Debug, Clone)]
pub(crate) struct Lines<'a> {
    rest: &'a [u8],
    /// What a line without `#` would be: the URI of a segment after EXTINF, that of a variant after
    /// EXT-X-STREAM-INF. Without either it is nothing.
    next_uri: LineKind,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let (raw, rest) =
            self.rest.split_at_checked(line_len(self.rest)).filter(|(raw, _)| !raw.is_empty())?;
        self.rest = rest;
        let kind = self.classify(content_of(text_of(raw)));
        Some(Line { raw, kind })
    }
}

impl<'a> Lines<'a> {
    /// The lines to come.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Leaves out the next `len` bytes, which end with a line break.
    pub(crate) fn leave_out(&mut self, len: usize) {
        self.rest = self.rest.get(len..).unwrap_or_default();
    }

    /// Whether no URI is due: the last segment or variant has its URI.
    pub(crate) fn is_between_uris(&self) -> bool {
        self.next_uri == LineKind::Other
    }

    fn classify(&mut self, content: &[u8]) -> LineKind {
        if !content.starts_with(b"#") {
            return if is_blank(content) {
                LineKind::Other
            } else {
                std::mem::replace(&mut self.next_uri, LineKind::Other)
            };
        }
        match name_of(content) {
            b"#EXTINF" => {
                self.next_uri = LineKind::Uri;
                LineKind::Segment
            }
            b"#EXT-X-STREAM-INF" => {
                self.next_uri = LineKind::VariantUri;
                LineKind::Multivariant
            }
            b"#EXT-X-KEY" => LineKind::Key,
            b"#EXT-X-MAP" => LineKind::Map,
            b"#EXT-X-BYTERANGE" => LineKind::ByteRange,
            b"#EXT-X-VERSION" => LineKind::Version,
            name if SEGMENT_TAGS.contains(&name) => LineKind::Segment,
            name if PLAYLIST_TAGS.contains(&name) => LineKind::Playlist,
            name if MULTIVARIANT_TAGS.contains(&name) => LineKind::Multivariant,
            _ => LineKind::Other,
        }
    }
}

/// The line break that the playlist uses: that of its first line.
pub(crate) fn line_break(bytes: &[u8]) -> &'static [u8] {
    let first = bytes.get(..line_len(bytes)).unwrap_or_default();
    match first {
        [.., b'\r', b'\n'] => b"\r\n",
        [.., b'\r'] => b"\r",
        _ => b"\n",
    }
}

impl<'a> Line<'a> {
    pub(crate) const fn kind(self) -> LineKind {
        self.kind
    }

    /// The line without its line break.
    pub(crate) fn text(self) -> &'a [u8] {
        text_of(self.raw)
    }

    /// The same without the blanks around it.
    pub(crate) fn content(self) -> &'a [u8] {
        content_of(self.text())
    }

    pub(crate) fn has_break(self) -> bool {
        self.raw.ends_with(b"\n") || self.raw.ends_with(b"\r")
    }

    /// Whether it is the first tag of a playlist. Some servers write attributes or a number after it.
    pub(crate) fn is_header(self) -> bool {
        self.content().starts_with(HEADER)
    }

    /// The text after the tag's name and colon, and its offset in the line.
    pub(crate) fn value(self) -> Option<(usize, &'a [u8])> {
        let text = self.text();
        let start = text.iter().position(|&byte| byte == b':')? + 1;
        Some((start, text.get(start..)?))
    }

    /// The tag's name, without blanks around it.
    pub(crate) fn name(self) -> &'a [u8] {
        name_of(self.content())
    }
}

/// The first tag of every playlist.
pub(crate) const HEADER: &[u8] = b"#EXTM3U";
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The length of the first line, with its break: LF, CRLF, or a CR without LF, as players read them.
fn line_len(bytes: &[u8]) -> usize {
    let Some(end) = bytes.iter().position(|&byte| byte == b'\n' || byte == b'\r') else { return bytes.len() };
    let is_crlf = bytes.get(end..end + 2) == Some(b"\r\n");
    end + 1 + usize::from(is_crlf)
}

fn text_of(raw: &[u8]) -> &[u8] {
    let text = raw.strip_suffix(b"\n").unwrap_or(raw);
    text.strip_suffix(b"\r").unwrap_or(text)
}

fn content_of(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim_ascii()
}

fn name_of(content: &[u8]) -> &[u8] {
    let end = content.iter().position(|&byte| byte == b':').unwrap_or(content.len());
    content.get(..end).unwrap_or_default().trim_ascii_end()
}

/// Any Unicode blank is blank.
fn is_blank(content: &[u8]) -> bool {
    match content.first() {
        None => true,
        Some(first) => {
            !first.is_ascii() && std::str::from_utf8(content).is_ok_and(|text| text.trim().is_empty())
        }
    }
}

/// Section 4.4.4, without the tags that have a kind of their own.
const SEGMENT_TAGS: &[&[u8]] =
    &[b"#EXT-X-PART", b"#EXT-X-DISCONTINUITY", b"#EXT-X-PROGRAM-DATE-TIME", b"#EXT-X-GAP", b"#EXT-X-BITRATE"];

/// Sections 4.4.1, 4.4.2, 4.4.3 and 4.4.5.
const PLAYLIST_TAGS: &[&[u8]] = &[
    HEADER,
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

/// Section 4.4.6, without EXT-X-STREAM-INF.
const MULTIVARIANT_TAGS: &[&[u8]] = &[
    b"#EXT-X-MEDIA",
    b"#EXT-X-I-FRAME-STREAM-INF",
    b"#EXT-X-SESSION-DATA",
    b"#EXT-X-SESSION-KEY",
    b"#EXT-X-CONTENT-STEERING",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<(LineKind, &[u8])> {
        lines(text).map(|line| (line.kind(), line.content())).collect()
    }

    #[test]
    fn any_line_break_ends_a_line_and_no_byte_is_lost() {
        for text in ["#EXTM3U\n#EXTINF:1,\na\n", "#EXTM3U\r\n#EXTINF:1,\r\na", "#EXTM3U\r#EXTINF:1,\ra\r"] {
            let expected: [(LineKind, &[u8]); 3] =
                [(LineKind::Playlist, b"#EXTM3U"), (LineKind::Segment, b"#EXTINF:1,"), (LineKind::Uri, b"a")];
            assert_eq!(read(text.as_bytes()), expected, "{text:?}");
        }
        let odd = b"\xEF\xBB\xBF#EXTM3U\r\r\n\n\0\r";
        assert_eq!(lines(odd).flat_map(|line| line.raw).copied().collect::<Vec<_>>(), odd);
        assert_eq!(
            [line_break(b"a\r\n"), line_break(b"a\rb\n"), line_break(b"a")],
            [b"\r\n", &b"\r"[..], b"\n"]
        );
    }

    #[test]
    fn a_uri_is_that_of_a_segment_or_of_a_variant_or_of_nothing() {
        let text = b"a\n#EXTINF:1,\n\n \n\xC2\xA0\n# comment\nb\nc\n#EXT-X-STREAM-INF:\nd\ne\n";
        let found: Vec<_> =
            read(text).into_iter().filter(|(_, text)| text.is_ascii() && text.len() == 1).collect();
        let expected: [(LineKind, &[u8]); 5] = [
            (LineKind::Other, b"a"),
            (LineKind::Uri, b"b"),
            (LineKind::Other, b"c"),
            (LineKind::VariantUri, b"d"),
            (LineKind::Other, b"e"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn blanks_around_a_tag_do_not_count() {
        let line = lines(b"\t #EXT-X-MEDIA-SEQUENCE : 5 \r\n").next().unwrap();
        assert_eq!((line.kind(), line.name()), (LineKind::Playlist, &b"#EXT-X-MEDIA-SEQUENCE"[..]));
        assert_eq!(line.value(), Some((25, &b" 5 "[..])));
        assert_eq!(lines(b"#EXT-X-ENDLIST \n").next().unwrap().name(), b"#EXT-X-ENDLIST");
    }
}
