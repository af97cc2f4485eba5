//! The lines of a playlist that matter here, with their numbers.

use std::borrow::Cow;

use quick_m3u8::config::{ParsingOptions, ParsingOptionsBuilder};
use quick_m3u8::tag::hls::{Define, Tag, TagName};
use quick_m3u8::tag::{KnownTag, NoCustomTag, UnknownTag};
use quick_m3u8::{HlsLine, Reader};

use super::PlaylistError;

/// A line that says something.
pub(super) enum Line<'a> {
    /// A tag of media playlists.
    Media(Tag<'a>),
    /// A tag of multivariant playlists.
    Multivariant(Tag<'a>),
    /// EXT-X-DEFINE, which stands in both.
    Define(Define<'a>),
    /// The URI of a segment or of a variant.
    Uri(Cow<'a, str>),
}

/// Reads a playlist line by line. Comments, blank lines and tags that do not matter are passed over unparsed.
pub(super) struct Lines<'a> {
    reader: Reader<&'a str, NoCustomTag>,
    number: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, PlaylistError> {
        // Looked at first: most of what is not a playlist is not text either.
        if !bytes.starts_with(b"#EXTM3U") {
            return Err(PlaylistError::NotAPlaylist);
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            PlaylistError::NotUtf8 { line: before.split(|&byte| byte == b'\n').count() }
        })?;
        let first = text.split('\n').next().unwrap_or_default();
        // Trailing blanks are wrong (section 4.2) and harmless.
        if first.trim_end() != "#EXTM3U" {
            return Err(PlaylistError::NotAPlaylist);
        }
        Ok(Self { reader: Reader::from_str(text, tags()), number: 0 })
    }

    /// The next line that matters, with its number.
    pub(super) fn next_line(&mut self) -> Result<Option<(usize, Line<'a>)>, PlaylistError> {
        loop {
            self.number += 1;
            let line = self.number;
            let read = self.reader.read_line();
            let Some(read) = read.map_err(|e| PlaylistError::BadLine { line, source: e.error })? else {
                return Ok(None);
            };
            match read {
                HlsLine::Uri(uri) if uri.trim().is_empty() => {}
                HlsLine::Uri(uri) => return Ok(Some((line, Line::Uri(uri)))),
                HlsLine::KnownTag(KnownTag::Hls(tag)) => return Ok(Some((line, sort(tag)))),
                HlsLine::UnknownTag(tag) => check(&tag, line)?,
                HlsLine::KnownTag(KnownTag::Custom(_)) | HlsLine::Comment(_) | HlsLine::Blank => {}
            }
        }
    }
}

fn sort(tag: Tag<'_>) -> Line<'_> {
    match tag {
        Tag::Define(define) => Line::Define(define),
        Tag::StreamInf(_) | Tag::IFrameStreamInf(_) | Tag::Media(_) => Line::Multivariant(tag),
        _ => Line::Media(tag),
    }
}

/// A tag that was to be parsed and could not be comes back as an unknown one that carries the error.
fn check(tag: &UnknownTag<'_>, line: usize) -> Result<(), PlaylistError> {
    match (tag.validation_error(), TagName::try_from(tag.name())) {
        (Some(_), Ok(name)) if is_extra(name) => Ok(()),
        (Some(source), Ok(name)) => Err(PlaylistError::BadTag { tag: name.as_str(), line, source }),
        _ => Ok(()),
    }
}

/// What these tags say is good to know, and no playlist is refused for what is wrong in one of them: it goes to
/// the player as it is.
pub(super) const fn is_extra(name: TagName) -> bool {
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

/// The tags that say something to a caching tier. The others are not even looked into, which halves the work.
fn tags() -> ParsingOptions {
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
}
