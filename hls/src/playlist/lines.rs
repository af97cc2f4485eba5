//! The relevant lines of a playlist, with their numbers.

use std::borrow::Cow;
use std::sync::LazyLock;

use quick_m3u8::HlsLine;
use quick_m3u8::config::{ParsingOptions, ParsingOptionsBuilder};
use quick_m3u8::custom_parsing::line::parse_with_custom;
use quick_m3u8::tag::hls::{Define, Tag, TagName};
use quick_m3u8::tag::{KnownTag, NoCustomTag, UnknownTag};

use super::PlaylistError;

/// A relevant line.
pub(super) enum Line<'a> {
    /// A tag of media playlists.
    Media(Tag<'a>),
    /// A tag of multivariant playlists.
    Multivariant(Tag<'a>),
    /// EXT-X-DEFINE, which both kinds of playlist may have.
    Define(Define<'a>),
    /// EXTINF: the duration of the next segment, in seconds.
    Inf(f64),
    /// The URI of a segment or of a variant.
    Uri(Cow<'a, str>),
}

/// Reads a playlist line by line. Comments, blank lines and irrelevant tags are skipped unparsed.
pub(super) struct Lines<'a> {
    /// The unread rest; empty at the end.
    rest: &'a str,
    number: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, PlaylistError> {
        // Checked first: most files that are no playlist are no text either.
        if !bytes.starts_with(b"#EXTM3U") {
            return Err(PlaylistError::NotAPlaylist);
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            PlaylistError::NotUtf8 { line: before.split(|&byte| byte == b'\n').count() }
        })?;
        let first = text.split('\n').next().unwrap_or_default();
        // Trailing blanks are invalid (section 4.2) and harmless.
        if first.trim_end() != "#EXTM3U" {
            return Err(PlaylistError::NotAPlaylist);
        }
        Ok(Self { rest: text, number: 0 })
    }

    /// The next relevant line, with its number.
    pub(super) fn next_line(&mut self) -> Result<Option<(usize, Line<'a>)>, PlaylistError> {
        loop {
            if self.rest.is_empty() {
                return Ok(None);
            }
            self.number += 1;
            let line = self.number;
            if let Some((found, rest)) = parse_frequent(self.rest) {
                self.rest = rest;
                return Ok(Some((line, found)));
            }
            let read = parse_with_custom::<NoCustomTag>(self.rest, &TAGS)
                .map_err(|e| PlaylistError::BadLine { line, source: e.error })?;
            self.rest = read.remaining.unwrap_or_default();
            match read.parsed {
                HlsLine::Uri(uri) if uri.trim().is_empty() => {}
                HlsLine::Uri(uri) => return Ok(Some((line, Line::Uri(uri)))),
                HlsLine::KnownTag(KnownTag::Hls(tag)) => return Ok(Some((line, classify(tag)))),
                HlsLine::UnknownTag(tag) => check_unknown(&tag, line)?,
                HlsLine::KnownTag(KnownTag::Custom(_)) | HlsLine::Comment(_) | HlsLine::Blank => {}
            }
        }
    }
}

/// Reads the two kinds of lines that a media playlist has most of, and returns the rest. They are read here
/// with quick-m3u8's results; the library would return a value much larger than the line for each, and copy
/// it.
fn parse_frequent(text: &str) -> Option<(Line<'_>, &str)> {
    let (line, rest) = match text.split_once('\n') {
        Some((line, rest)) => (line.strip_suffix('\r').unwrap_or(line), rest),
        None => (text, ""),
    };
    if let Some(inf) = line.strip_prefix("#EXTINF:") {
        let seconds = inf.split(',').next().unwrap_or_default();
        let is_plain = seconds.starts_with(|first: char| first.is_ascii_digit())
            && seconds.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        return is_plain.then(|| Some((Line::Inf(seconds.parse().ok()?), rest))).flatten();
    }
    let is_uri = !line.starts_with('#') && !line.trim().is_empty();
    is_uri.then_some((Line::Uri(Cow::Borrowed(line)), rest))
}

fn classify(tag: Tag<'_>) -> Line<'_> {
    match tag {
        Tag::Define(define) => Line::Define(define),
        Tag::StreamInf(_) | Tag::IFrameStreamInf(_) | Tag::Media(_) => Line::Multivariant(tag),
        _ => Line::Media(tag),
    }
}

/// The library returns a relevant tag that it cannot parse as an unknown tag that carries the error.
fn check_unknown(tag: &UnknownTag<'_>, line: usize) -> Result<(), PlaylistError> {
    match (tag.validation_error(), TagName::try_from(tag.name())) {
        (Some(_), Ok(name)) if is_optional(name) => Ok(()),
        (Some(source), Ok(name)) => Err(PlaylistError::BadTag { tag: name.as_str(), line, source }),
        _ => Ok(()),
    }
}

/// These tags are useful but not essential: a playlist with a mistake in one of them is not refused, since
/// players receive it unchanged.
pub(super) const fn is_optional(name: TagName) -> bool {
    matches!(
        name,
        TagName::Define
            | TagName::Byterange
            | TagName::Discontinuity
            | TagName::Gap
            | TagName::Key
            | TagName::ProgramDateTime
            | TagName::PreloadHint
            | TagName::RenditionReport
    )
}

/// The tags that matter to a caching tier. The parser does not look into the others, which halves the work.
static TAGS: LazyLock<ParsingOptions> = LazyLock::new(|| {
    ParsingOptionsBuilder::new()
        .with_parsing_for_targetduration()
        .with_parsing_for_media_sequence()
        .with_parsing_for_discontinuity_sequence()
        .with_parsing_for_endlist()
        .with_parsing_for_playlist_type()
        .with_parsing_for_part_inf()
        .with_parsing_for_server_control()
        .with_parsing_for_inf()
        .with_parsing_for_map()
        .with_parsing_for_part()
        .with_parsing_for_skip()
        .with_parsing_for_media()
        .with_parsing_for_stream_inf()
        .with_parsing_for_i_frame_stream_inf()
        .with_parsing_for_define()
        .with_parsing_for_byterange()
        .with_parsing_for_discontinuity()
        .with_parsing_for_gap()
        .with_parsing_for_key()
        .with_parsing_for_program_date_time()
        .with_parsing_for_preload_hint()
        .with_parsing_for_rendition_report()
        .build()
});

#[cfg(test)]
mod tests {
    use super::*;

    /// The library's reading of the first line.
    fn by_library(text: &str) -> (Option<String>, &str) {
        let read = parse_with_custom::<NoCustomTag>(text, &TAGS).unwrap();
        let value = match read.parsed {
            HlsLine::Uri(uri) => Some(uri.into_owned()),
            HlsLine::KnownTag(KnownTag::Hls(Tag::Inf(inf))) => Some(inf.duration().to_string()),
            _ => None,
        };
        (value, read.remaining.unwrap_or_default())
    }

    #[test]
    fn frequent_lines_are_read_as_the_library_reads_them() {
        for text in [
            "a.ts\nb.ts\n",
            "a.ts\r\nb.ts",
            "a.ts",
            "a.ts\r",
            " a b \n",
            "\u{e9}.ts\n\n",
            "#EXTINF:4,\na.ts\n",
            "#EXTINF:4.004000,a title, with a comma\r\na.ts",
            "#EXTINF:4\n",
            "#EXTINF:007.5,",
            "#EXTINF:3.,\n",
            "#EXTINF:9007199254740993.1,\n",
            "#EXTINF:0.1234567890123456789012345678901234567890,\n",
        ] {
            let (line, rest) = parse_frequent(text).unwrap();
            let ours = match line {
                Line::Uri(uri) => uri.into_owned(),
                Line::Inf(seconds) => seconds.to_string(),
                _ => panic!("{text:?}"),
            };
            assert_eq!((Some(ours), rest), by_library(text), "{text:?}");
        }
    }

    #[test]
    fn less_frequent_lines_are_left_to_the_library() {
        for text in [
            "",
            "\n",
            "\r\n",
            "  \n",
            "#EXTINF",
            "#EXTINF:",
            "#EXTINF:,",
            "#EXTINF:-4,",
            "#EXTINF:4e1,",
            "#EXTINF:4.0.0,",
            "#EXTINF:.5,",
            "#EXTINF: 4,",
            "#EXTINF:inf,",
            "#EXTINF:4 ,",
            "#EXTINFO:4,",
            "#EXT-X-GAP\n",
            "# comment\n",
        ] {
            assert!(parse_frequent(text).is_none(), "{text:?}");
        }
    }
}
