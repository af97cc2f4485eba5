//! Reads one playlist, or the versions of one, one after the other.
//!
//! A live playlist of a day has megabytes, and each version has one segment more than the last one and one
//! less. The lines that two versions have in common are compared, byte by byte, and not read again.

use std::sync::Arc;

use super::media::{self, Media, Segment};
use super::multivariant;
use super::variables::Variables;
use super::{Beginning, Playlist, PlaylistError};
use crate::lines::{Line, LineKind, Lines, lines};

/// Reads the versions of one playlist. It keeps the text and the content of the last long one.
#[derive(Debug)]
pub struct Reader<T> {
    known: Option<Known<T>>,
}

#[derive(Debug)]
struct Known<T> {
    text: T,
    media: Arc<Media>,
    runs: Vec<Run>,
}

/// Lines of a text that mean nothing but complete segments: whatever stands before them, they mean the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// Where the lines begin, and their bytes. The last one has a line break.
    start: usize,
    len: usize,
    /// The index of the first segment, and how many there are.
    first: usize,
    count: usize,
}

impl Playlist {
    /// Reads a whole playlist. The caller bounds its size; memory and time grow linearly with it.
    ///
    /// # Errors
    ///
    /// When the bytes do not begin as a playlist does.
    pub fn parse(bytes: &[u8]) -> Result<Self, PlaylistError> {
        read(bytes, None).map(|(playlist, _)| playlist)
    }
}

impl<T> Default for Reader<T> {
    fn default() -> Self {
        Self { known: None }
    }
}

impl<T: AsRef<[u8]>> Reader<T> {
    /// Reads the next version. The result is that of [`Playlist::parse`].
    ///
    /// # Errors
    ///
    /// When the bytes do not begin as a playlist does.
    pub fn read(&mut self, text: T) -> Result<Playlist, PlaylistError> {
        let earlier =
            self.known.as_ref().map(|known| Earlier::new(known.text.as_ref(), &known.media, &known.runs));
        let (playlist, runs) = read(text.as_ref(), earlier)?;
        let media = playlist.as_media().filter(|media| !runs.is_empty() && !media.has_definitions);
        self.known = media.map(Arc::clone).map(|media| Known { text, media, runs });
        Ok(playlist)
    }

    /// Forgets the last version.
    pub fn forget(&mut self) {
        self.known = None;
    }
}

/// Reads a playlist with the help of an earlier version of it. Returns its runs as well.
pub(super) fn read(
    bytes: &[u8],
    mut earlier: Option<Earlier<'_>>,
) -> Result<(Playlist, Vec<Run>), PlaylistError> {
    if Beginning::of(bytes) != Beginning::Playlist {
        return Err(PlaylistError::NotAPlaylist);
    }
    let mut media = media::Builder::default();
    let mut multivariant = multivariant::Builder::default();
    let mut variables = Variables::default();
    let mut runs = Runs::new(bytes);
    let mut lines = lines(bytes);
    loop {
        let is_between = lines.is_between_uris() && media.is_between_segments();
        if is_between
            && let Some((segments, len)) = earlier.as_mut().and_then(|earlier| earlier.common(&media, &lines))
        {
            runs.add(&lines, media.listed(), len, segments.len());
            media.extend(segments);
            lines.leave_out(len);
            continue;
        }
        let (rest, listed) = (lines.clone(), media.listed());
        let Some(line) = lines.next() else { break };
        match line.kind() {
            LineKind::Other => {}
            LineKind::Playlist if line.name() == b"#EXT-X-DEFINE" => {
                media.note_definition();
                variables.define(line);
            }
            LineKind::Multivariant | LineKind::VariantUri => multivariant.line(line, &mut variables),
            _ => media.line(line, &mut variables),
        }
        runs.line(line, is_between, &rest, listed);
    }
    // Tags of one kind in a playlist of the other (section 4.1) mean nothing: what it lists decides.
    let playlist = if media.has_segments() || (media.is_media() && !multivariant.is_multivariant()) {
        Playlist::Media(Arc::new(media.finish()))
    } else if multivariant.is_multivariant() {
        Playlist::Multivariant(multivariant.finish())
    } else {
        Playlist::Untagged
    };
    Ok((playlist, runs.finish()))
}

/// Collects the runs of a text.
struct Runs<'a> {
    text: &'a [u8],
    found: Vec<Run>,
    /// The present one, up to its last complete segment.
    open: Option<Run>,
}

impl<'a> Runs<'a> {
    const fn new(text: &'a [u8]) -> Self {
        Self { text, found: Vec::new(), open: None }
    }

    /// Adds a line, which is the first of `rest`. `listed` segments are before it, and it is between two if
    /// `is_between`.
    fn line(&mut self, line: Line<'_>, is_between: bool, rest: &Lines<'_>, listed: usize) {
        if !is_about_one_segment(line) {
            self.close();
        } else if self.open.is_some() || is_between {
            let is_complete = line.kind() == LineKind::Uri;
            self.add(rest, listed, if is_complete { line.raw.len() } else { 0 }, usize::from(is_complete));
        }
    }

    /// Adds `count` segments that end `len` bytes after the beginning of `rest`.
    fn add(&mut self, rest: &Lines<'_>, listed: usize, len: usize, count: usize) {
        let at = self.text.len() - rest.rest().len();
        let open = self.open.get_or_insert(Run { start: at, len: 0, first: listed, count: 0 });
        if count > 0 {
            open.len = at + len - open.start;
            open.count += count;
        }
    }

    fn close(&mut self) {
        let ends_line =
            |run: &Run| self.text.get(run.start..run.start + run.len).is_some_and(|run| run.ends_with(b"\n"));
        self.found.extend(self.open.take().filter(|run| run.count >= SEGMENTS_MIN && ends_line(run)));
    }

    fn finish(mut self) -> Vec<Run> {
        self.close();
        self.found
    }
}

/// Whether a line means something for the segment that it belongs to, or nothing at all.
fn is_about_one_segment(line: Line<'_>) -> bool {
    match line.kind() {
        LineKind::Uri | LineKind::Other => true,
        LineKind::Segment => line.name() != b"#EXT-X-PART",
        LineKind::Playlist => line.name() == b"#EXT-X-DATERANGE",
        _ => false,
    }
}

/// An earlier version, as far as the present one has been compared with it.
pub(super) struct Earlier<'a> {
    text: &'a [u8],
    media: &'a Media,
    runs: &'a [Run],
    /// The lines from the segment with this index on.
    lines: Lines<'a>,
    index: usize,
    failures: usize,
}

impl<'a> Earlier<'a> {
    fn new(text: &'a [u8], media: &'a Media, runs: &'a [Run]) -> Self {
        Self { text, media, runs, lines: lines(&[]), index: usize::MAX, failures: 0 }
    }

    /// The segments of the earlier version whose lines are the next ones of the present version too, up to
    /// the end of a run, and the bytes of these lines.
    fn common(&mut self, media: &media::Builder, lines: &Lines<'_>) -> Option<(&'a [Segment], usize)> {
        if self.failures == FAILURES_MAX {
            return None;
        }
        let index = usize::try_from(media.next_number()?.checked_sub(self.media.first_listed())?).ok()?;
        let after = self.runs.partition_point(|run| run.first + run.count <= index);
        let run = *self.runs.get(after).filter(|run| run.first <= index)?;
        self.go_to(index, run);
        let end = run.start + run.len;
        let known = self.text.get(self.text.len() - self.lines.rest().len()..end)?;
        if !lines.rest().starts_with(known) {
            self.failures += 1;
            return None;
        }
        Some((self.media.segments.get(index..run.first + run.count)?, known.len()))
    }

    /// Moves on to a segment of a run.
    fn go_to(&mut self, index: usize, run: Run) {
        if !(run.first..=index).contains(&self.index) {
            self.lines = lines(self.text.get(run.start..).unwrap_or_default());
            self.index = run.first;
        }
        while self.index < index {
            match self.lines.next() {
                Some(line) => self.index += usize::from(line.kind() == LineKind::Uri),
                None => return,
            }
        }
    }
}

/// Shorter runs are read faster than compared.
const SEGMENTS_MIN: usize = 64;
/// After this many comparisons that have failed, the versions have little in common: the URIs may be signed
/// for each version.
const FAILURES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// A playlist of 200 segments from `first` on; `line` has the lines before each URI.
    fn playlist(head: &str, first: usize, line: impl Fn(usize) -> String, end: &str) -> String {
        let segments = (first..first + 200).map(|number| format!("{}{number}.m4s\n", line(number)));
        let segments = segments.collect::<String>();
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n{head}{segments}{end}")
    }

    /// Reads both, one after the other. Returns how many segments of the second were not read again.
    fn common(one: &str, other: &str) -> usize {
        let mut reader = Reader::default();
        let [known, media] = [one, other].map(|text| {
            let read = reader.read(text.to_owned());
            assert_eq!(read, Playlist::parse(text.as_bytes()), "{one}\n{other}");
            read.ok().and_then(|playlist| playlist.as_media().map(Arc::clone)).unwrap_or_default()
        });
        let known: HashSet<_> =
            known.segments.iter().filter_map(|known| known.uri.as_ref()).map(Arc::as_ptr).collect();
        let uris = media.segments.iter().filter_map(|segment| segment.uri.as_ref());
        uris.filter(|uri| known.contains(&Arc::as_ptr(uri))).count()
    }

    fn plain(_: usize) -> String {
        "#EXTINF:2,\n".to_owned()
    }

    #[test]
    fn the_segments_that_a_window_keeps_are_not_read_again() {
        let map = "#EXT-X-MAP:URI=\"init.mp4\"\n";
        for head in [
            "",
            map,
            "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n",
            "#EXT-X-PROGRAM-DATE-TIME:2026-11-30T00:00:00Z\n",
        ] {
            let version = |first| playlist(head, first, plain, "");
            assert_eq!(common(&version(10), &version(11)), 199, "{head}");
            assert_eq!(common(&version(10), &version(10)), 200, "{head}");
            assert_eq!(common(&version(10), &version(60)), 150, "{head}");
            assert_eq!(common(&version(10), &version(210)), 0, "{head}");
            assert_eq!(common(&version(10), &version(9)), 0, "{head}: its end is missing");
        }
    }

    #[test]
    fn a_line_for_other_segments_ends_a_run_and_the_next_one_follows() {
        let version = |first, key: &str| {
            let line = |number: usize| {
                let key = if number == 90 { key } else { "" };
                let dateranges =
                    if number.is_multiple_of(10) { "#EXT-X-DATERANGE:ID=\"a\"\n#EXT-X-GAP\n" } else { "" };
                format!("{key}{dateranges}#EXT-X-DISCONTINUITY\n#EXTINF:2,title\n")
            };
            playlist("", first, line, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p\"\n")
        };
        for line in
            ["#EXT-X-KEY:METHOD=NONE\n", "#EXT-X-MAP:URI=\"m\"\n", "#EXT-X-PART:URI=\"p\",DURATION=1\n"]
        {
            assert_eq!(
                common(&version(10, line), &version(11, line)),
                199 - usize::from(line.contains("PART")),
                "{line}"
            );
        }
        let (key, other) = ("#EXT-X-KEY:METHOD=NONE\n", "#EXT-X-MAP:URI=\"m\"\n");
        assert_eq!(common(&version(10, key), &version(11, other)), 199, "the maps after it differ");
        assert_eq!(common(&version(10, ""), &version(11, key)), 0, "it is in the middle of a run");
    }

    #[test]
    fn segments_of_other_lines_are_read() {
        let signed = |token: &str| playlist("", 10, |number| format!("#EXTINF:2,\n{token}/{number}/"), "");
        assert_eq!(common(&signed("a"), &signed("b")), 0);
        let defined = |value: &str| {
            playlist(
                &format!("#EXT-X-DEFINE:NAME=\"a\",VALUE=\"{value}\"\n"),
                10,
                |_| "#EXTINF:2,\n{$a}".to_owned(),
                "",
            )
        };
        assert_eq!(common(&defined("x"), &defined("y")), 0);
        assert_eq!(common(&playlist("", 10, |_| "#EXTINF:2,\n{$a}".to_owned(), ""), &defined("y")), 0);
        let plain = playlist("", 10, plain, "");
        for end in ["\n", ""] {
            let cut = format!("{}{end}", plain.trim_end());
            assert!(common(&cut, &plain) == if end.is_empty() { 0 } else { 200 });
        }
        // With CR alone, a line break may go on in the next version.
        let returns = plain.replace('\n', "\r");
        assert_eq!(common(&returns, &format!("{returns}\n")), 0);
        assert_eq!(common(&plain.replace('\n', "\r\n"), &plain.replace('\n', "\r\n")), 200);
    }

    proptest! {
        #[test]
        fn a_version_reads_as_if_it_were_the_first(
            kinds in proptest::collection::vec(0..400_usize, 150..300),
            sizes in [70..150_usize, 70..150],
            shift in 0..4_usize,
            heads in [0..LINES.len(), 0..LINES.len()],
            line_break in 0..3_usize,
            changes in proptest::collection::vec((0..400_usize, 0..LINES.len()), 0..3),
        ) {
            let segment = |number: usize| {
                let line = kinds.get(number).and_then(|kind| LINES.get(*kind)).unwrap_or(&"");
                format!("{line}#EXTINF:2,\n{number}.ts\n")
            };
            let text = |first: usize, size: usize, head: usize| {
                let segments: String = (first..first + size).map(segment).collect();
                format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n{}{segments}", LINES[head])
            };
            let one = text(0, sizes[0], heads[0]);
            let mut other: Vec<_> =
                text(shift, sizes[1], heads[1]).split_inclusive('\n').map(str::to_owned).collect();
            for (at, line) in changes {
                other.insert(at.min(other.len() - 1), LINES[line].to_owned());
            }
            let line_break = ["\n", "\r\n", "\r"][line_break];
            common(&one.replace('\n', line_break), &other.concat().replace('\n', line_break));
        }
    }

    /// Lines that may stand before a segment.
    const LINES: [&str; 22] = [
        "",
        "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n",
        "#EXT-X-MAP:URI=\"a\"\n",
        "#EXT-X-MAP:URI=\"b\",BYTERANGE=\"9@0\"\n",
        "#EXT-X-BYTERANGE:5@0\n",
        "#EXT-X-BYTERANGE:5\n",
        "#EXT-X-PART:URI=\"p\",DURATION=1,BYTERANGE=\"4@4\"\n",
        "#EXT-X-PART:URI=\"p\",DURATION=1,BYTERANGE=\"4\"\n",
        "#EXT-X-DISCONTINUITY\n",
        "#EXT-X-GAP\n",
        "#EXT-X-DATERANGE:ID=\"d\"\n",
        "#EXT-X-DEFINE:NAME=\"a\",VALUE=\"b\"\n",
        "#EXT-X-MEDIA-SEQUENCE:3\n",
        "#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n",
        "#EXT-X-ENDLIST\n",
        "#EXT-X-STREAM-INF:BANDWIDTH=1\n",
        "#EXTINF:9,\n{$a}.ts\n",
        "#EXTINF:0,\n",
        "#EXT-X-PRELOAD-HINT:TYPE=MAP,URI=\"h\"\n",
        "# a comment\n\n",
        "a\n",
        "\r",
    ];
}
