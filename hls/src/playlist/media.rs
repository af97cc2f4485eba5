//! The media playlist: which segments one rendition has, and what is next.

use std::borrow::Cow;
use std::time::Duration;

use quick_m3u8::tag::HlsPlaylistType;
use quick_m3u8::tag::hls::{Tag, TagName};

use super::PlaylistError;
use crate::Directives;

/// One version of a media playlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// EXT-X-TARGETDURATION: no segment is longer, and a live playlist grows about this often.
    pub target_duration: Duration,
    /// EXT-X-MEDIA-SEQUENCE: the number of the first segment, 0 if it is not given.
    pub media_sequence: u64,
    /// EXT-X-DISCONTINUITY-SEQUENCE, 0 if it is not given.
    pub discontinuity_sequence: u64,
    /// The segments that are listed and complete, oldest first.
    pub segments: Vec<Segment>,
    /// Segments that a delta update leaves out, between `media_sequence` and the first listed one (EXT-X-SKIP).
    pub skipped: u64,
    /// Parts listed after the last complete segment: those of the segment that is being made.
    pub next_parts: u64,
    /// EXT-X-ENDLIST is there: nothing will be added.
    pub end_list: bool,
    /// EXT-X-PLAYLIST-TYPE.
    pub playlist_type: Option<PlaylistType>,
    /// PART-TARGET of EXT-X-PART-INF: a low-latency playlist grows about this often.
    pub part_target: Option<Duration>,
    /// The server says that it holds requests for what is next (CAN-BLOCK-RELOAD).
    pub can_block_reload: bool,
    /// The initialisation section of the newest segment (the last EXT-X-MAP).
    pub map: Option<String>,
}

/// A complete segment in a playlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// As it stands in the playlist: a relative URI is relative.
    pub uri: String,
    /// EXTINF.
    pub duration: Duration,
    /// Its media sequence number.
    pub sequence: u64,
    /// Parts of it that are listed; playlists forget the parts of older segments.
    pub parts: u64,
}

/// EXT-X-PLAYLIST-TYPE (section 4.4.3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaylistType {
    /// Grows at its end and forgets nothing.
    Event,
    /// Never changes.
    Vod,
}

impl Media {
    /// The number of the newest complete segment; `None` if the playlist is empty.
    pub const fn last_sequence(&self) -> Option<u64> {
        // Saturates nowhere in a playlist that was parsed: the builder has checked the sum.
        if self.next_sequence() == self.media_sequence { None } else { Some(self.next_sequence() - 1) }
    }

    /// The number of the segment that is being made, or would be.
    pub const fn next_sequence(&self) -> u64 {
        self.media_sequence.saturating_add(self.skipped).saturating_add(self.segments.len() as u64)
    }

    /// Will it ever change? A playlist of type VOD must not, with or without EXT-X-ENDLIST (section 4.4.3.5).
    pub const fn is_ended(&self) -> bool {
        self.end_list || matches!(self.playlist_type, Some(PlaylistType::Vod))
    }

    /// Does this version answer a blocking request (section 6.2.5.2)?
    ///
    /// An old one does not, even though its server has sent it in reply to one: servers that do not know
    /// blocking reload ignore the directives.
    pub fn satisfies(&self, directives: &Directives) -> bool {
        let Some(msn) = directives.msn else { return true };
        let next = self.next_sequence();
        if self.is_ended() || msn.saturating_add(1) < next {
            return true;
        }
        let Some(part) = directives.part else { return msn < next };
        if msn >= next {
            return msn == next && part < self.next_parts;
        }
        // The newest complete segment. A part beyond its last one means the first of the segment that follows.
        let parts = self.segments.last().map_or(0, |segment| segment.parts);
        parts == 0 || part < parts || self.next_parts > 0
    }
}

/// Collects a media playlist tag by tag.
#[derive(Debug, Default)]
pub(super) struct Builder {
    target_duration: Option<Duration>,
    media_sequence: u64,
    discontinuity_sequence: u64,
    segments: Vec<Segment>,
    skipped: u64,
    parts: u64,
    duration: Option<Duration>,
    end_list: bool,
    playlist_type: Option<PlaylistType>,
    part_target: Option<Duration>,
    can_block_reload: bool,
    map: Option<String>,
    first_line: Option<usize>,
    sequence_line: usize,
}

impl Builder {
    pub(super) fn tag(&mut self, tag: &Tag<'_>, line: usize) -> Result<(), PlaylistError> {
        self.first_line.get_or_insert(line);
        match tag {
            Tag::Targetduration(tag) => {
                self.target_duration = Some(target_duration(tag.target_duration(), line)?);
            }
            Tag::MediaSequence(tag) => {
                self.media_sequence = tag.media_sequence();
                self.sequence_line = line;
            }
            Tag::DiscontinuitySequence(tag) => self.discontinuity_sequence = tag.discontinuity_sequence(),
            Tag::Endlist(_) => self.end_list = true,
            Tag::PlaylistType(tag) => self.playlist_type = Some(tag.playlist_type().into()),
            Tag::PartInf(tag) => self.part_target = Some(seconds(tag.part_target(), TagName::PartInf, line)?),
            Tag::ServerControl(tag) => self.can_block_reload = tag.can_block_reload(),
            Tag::Inf(tag) => self.duration = Some(seconds(tag.duration(), TagName::Inf, line)?),
            Tag::Map(tag) => self.map = Some(tag.uri().to_owned()),
            Tag::Part(_) => self.parts += 1,
            Tag::Skip(tag) => self.skipped = tag.skipped_segments(),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn uri(&mut self, uri: Cow<'_, str>, line: usize) -> Result<(), PlaylistError> {
        let duration = self.duration.take().ok_or(PlaylistError::SegmentWithoutDuration { line })?;
        let parts = std::mem::take(&mut self.parts);
        self.segments.push(Segment { uri: uri.into_owned(), duration, sequence: 0, parts });
        Ok(())
    }

    /// Where the first tag stood that only a media playlist has.
    pub(super) const fn first_line(&self) -> Option<usize> {
        self.first_line
    }

    pub(super) fn finish(mut self) -> Result<Media, PlaylistError> {
        let target_duration = self.target_duration.ok_or(PlaylistError::NoTargetDuration)?;
        self.number_segments()?;
        Ok(Media {
            target_duration,
            media_sequence: self.media_sequence,
            discontinuity_sequence: self.discontinuity_sequence,
            segments: self.segments,
            skipped: self.skipped,
            next_parts: self.parts,
            end_list: self.end_list,
            playlist_type: self.playlist_type,
            part_target: self.part_target,
            can_block_reload: self.can_block_reload,
            map: self.map,
        })
    }

    /// Done at the end, because nothing makes the tags that decide the first number stand before the segments.
    fn number_segments(&mut self) -> Result<(), PlaylistError> {
        let too_big = || PlaylistError::OutOfRange {
            tag: TagName::MediaSequence.as_str(),
            line: self.sequence_line.max(1),
        };
        let first = self.media_sequence.checked_add(self.skipped).ok_or_else(too_big)?;
        // The number after the last one must exist too: it is what a blocking request asks for.
        first.checked_add(self.segments.len() as u64).ok_or_else(too_big)?;
        for (segment, sequence) in self.segments.iter_mut().zip(first..) {
            segment.sequence = sequence;
        }
        Ok(())
    }
}

impl From<HlsPlaylistType> for PlaylistType {
    fn from(value: HlsPlaylistType) -> Self {
        match value {
            HlsPlaylistType::Event => Self::Event,
            HlsPlaylistType::Vod => Self::Vod,
        }
    }
}

fn target_duration(seconds: u64, line: usize) -> Result<Duration, PlaylistError> {
    if seconds > TARGET_SECONDS_MAX {
        return Err(PlaylistError::OutOfRange { tag: TagName::Targetduration.as_str(), line });
    }
    Ok(Duration::from_secs(seconds))
}

fn seconds(value: f64, tag: TagName, line: usize) -> Result<Duration, PlaylistError> {
    Duration::try_from_secs_f64(value)
        .ok()
        .ok_or_else(|| PlaylistError::OutOfRange { tag: tag.as_str(), line })
}

/// A day. Lifetimes are multiples of the target duration, so that an absurd one must not get through.
const TARGET_SECONDS_MAX: u64 = 86_400;
