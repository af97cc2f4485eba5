//! Collects a media playlist tag by tag.

use std::sync::Arc;
use std::time::Duration;

use quick_m3u8::tag::HlsPlaylistType;
use quick_m3u8::tag::hls::{self, EnumeratedString, PreloadHintType, Tag, TagName};

use super::{ByteRange, Hint, HintKind, Map, Media, Part, PlaylistType, Report, Segment, ServerControl};
use crate::playlist::PlaylistError;
use crate::playlist::date::since_epoch;
use crate::playlist::lines::is_optional;
use crate::playlist::variables::Variables;

/// Collects a media playlist tag by tag.
#[derive(Debug, Default)]
pub(in crate::playlist) struct Builder {
    media: Media,
    has_target_duration: bool,
    /// The tags so far for the segment whose URI comes next.
    next: Segment,
    /// EXTINF was among them.
    has_duration: bool,
    /// The start of a byte range without an offset (sections 4.4.4.2 and 4.4.4.9).
    after_segment: LastRange,
    after_part: LastRange,
    /// EXT-X-BYTERANGE precedes the URI that it belongs to.
    range: Option<(u64, Option<u64>)>,
    first_line: Option<usize>,
    sequence_line: usize,
}

impl Builder {
    pub(in crate::playlist) fn tag(
        &mut self,
        tag: &Tag<'_>,
        line: usize,
        variables: &mut Variables,
    ) -> Result<(), PlaylistError> {
        if !is_optional(tag.name()) {
            self.first_line.get_or_insert(line);
        }
        match tag {
            Tag::Targetduration(tag) => {
                self.media.target_duration = target_duration(tag.target_duration(), line)?;
                self.has_target_duration = true;
            }
            Tag::MediaSequence(tag) => {
                self.media.media_sequence = tag.media_sequence();
                self.sequence_line = line;
            }
            Tag::DiscontinuitySequence(tag) => {
                self.media.discontinuity_sequence = tag.discontinuity_sequence();
            }
            Tag::Endlist(_) => self.media.end_list = true,
            Tag::PlaylistType(tag) => self.media.playlist_type = Some(tag.playlist_type().into()),
            Tag::PartInf(tag) => {
                self.media.part_target = Some(seconds(tag.part_target(), TagName::PartInf, line)?);
            }
            Tag::ServerControl(tag) => self.media.server_control = server_control(tag),
            Tag::Skip(tag) => self.media.skipped = tag.skipped_segments(),
            Tag::Inf(tag) => self.duration(tag.duration(), line)?,
            _ => self.optional_tag(tag, variables),
        }
        Ok(())
    }

    /// EXTINF, which every segment has.
    pub(in crate::playlist) fn duration(&mut self, value: f64, line: usize) -> Result<(), PlaylistError> {
        self.first_line.get_or_insert(line);
        self.next.duration = seconds(value, TagName::Inf, line)?;
        self.has_duration = true;
        Ok(())
    }

    /// Tags of segments and parts, hints and reports.
    fn optional_tag(&mut self, tag: &Tag<'_>, variables: &mut Variables) {
        match tag {
            Tag::Byterange(tag) => self.range = Some((tag.length(), tag.offset())),
            Tag::Discontinuity(_) => self.next.is_discontinuity = true,
            Tag::Gap(_) => self.next.is_gap = true,
            Tag::ProgramDateTime(tag) => {
                self.next.program_date_time = since_epoch(&tag.program_date_time());
            }
            Tag::Map(tag) => self.map(tag, variables),
            Tag::Key(tag) => self.key(tag, variables),
            Tag::Part(tag) => self.part(tag, variables),
            Tag::PreloadHint(tag) => self.hint(tag, variables),
            Tag::RenditionReport(tag) => self.media.reports.push(Report {
                uri: resolved(tag.uri(), variables),
                last_sequence: tag.last_msn(),
                last_part: tag.last_part(),
            }),
            _ => {}
        }
    }

    pub(in crate::playlist) fn uri(
        &mut self,
        uri: &str,
        line: usize,
        variables: &mut Variables,
    ) -> Result<(), PlaylistError> {
        if !std::mem::take(&mut self.has_duration) {
            return Err(PlaylistError::SegmentWithoutDuration { line });
        }
        let mut segment = std::mem::take(&mut self.next);
        segment.uri = resolved(uri, variables);
        segment.range = self.after_segment.locate(segment.uri.as_ref(), self.range.take());
        segment.map.clone_from(&self.media.map);
        self.media.segments.push(segment);
        Ok(())
    }

    fn map(&mut self, tag: &hls::Map<'_>, variables: &mut Variables) {
        let range =
            tag.byterange().map(|range| ByteRange { start: range.offset, length: Some(range.length) });
        let map = Map { uri: resolved(tag.uri(), variables), range };
        // Some packagers repeat it at every segment: one copy serves all.
        if self.media.map.as_deref() != Some(&map) {
            self.media.map = Some(Arc::new(map));
        }
    }

    fn key(&mut self, tag: &hls::Key<'_>, variables: &mut Variables) {
        let uri = tag.uri().and_then(|uri| resolved(uri, variables));
        if let Some(uri) = uri.filter(|uri| self.media.keys.last() != Some(uri)) {
            self.media.keys.push(uri);
        }
    }

    fn part(&mut self, tag: &hls::Part<'_>, variables: &mut Variables) {
        let uri = resolved(tag.uri(), variables);
        let range = tag.byterange().map(|range| (range.length, range.offset));
        let range = self.after_part.locate(uri.as_ref(), range);
        self.next.parts.push(Part {
            uri,
            duration: Duration::try_from_secs_f64(tag.duration()).unwrap_or_default(),
            range,
            is_independent: tag.independent(),
            is_gap: tag.gap(),
        });
    }

    fn hint(&mut self, tag: &hls::PreloadHint<'_>, variables: &mut Variables) {
        let kind = match tag.hint_type() {
            EnumeratedString::Known(PreloadHintType::Part) => HintKind::Part,
            EnumeratedString::Known(PreloadHintType::Map) => HintKind::Map,
            EnumeratedString::Unknown(_) => return,
        };
        let range = ByteRange { start: tag.byterange_start(), length: tag.byterange_length() };
        self.media.hints.push(Hint { kind, uri: resolved(tag.uri(), variables), range });
    }

    /// The line of the first tag that only a media playlist has.
    pub(in crate::playlist) const fn first_line(&self) -> Option<usize> {
        self.first_line
    }

    pub(in crate::playlist) fn finish(mut self) -> Result<Media, PlaylistError> {
        if !self.has_target_duration {
            return Err(PlaylistError::NoTargetDuration);
        }
        self.media.next_parts = self.next.parts;
        number_segments(&mut self.media).ok_or_else(|| PlaylistError::OutOfRange {
            tag: TagName::MediaSequence.as_str(),
            line: self.sequence_line.max(1),
        })?;
        Ok(self.media)
    }
}

/// Done at the end, because the tags that determine the first number may follow the segments.
fn number_segments(media: &mut Media) -> Option<()> {
    let first = media.media_sequence.checked_add(media.skipped)?;
    // The number after the last one must exist too: a blocking request names it.
    first.checked_add(media.segments.len() as u64)?;
    for (segment, sequence) in media.segments.iter_mut().zip(first..) {
        segment.sequence = sequence;
    }
    Some(())
}

/// The end of the last byte range, and its resource.
#[derive(Debug, Default)]
struct LastRange {
    uri: Option<Arc<str>>,
    end: u64,
}

impl LastRange {
    /// A range without an offset begins where the last range of the same resource ended. The range is unknown
    /// if there was none, or if the sum overflows.
    fn locate(&mut self, uri: Option<&Arc<str>>, range: Option<(u64, Option<u64>)>) -> Option<ByteRange> {
        let located = range.and_then(|(length, offset)| {
            let start = offset.or_else(|| (uri.is_some() && self.uri.as_ref() == uri).then_some(self.end))?;
            Some((start, start.checked_add(length)?, length))
        });
        match located {
            Some((_, end, _)) => *self = Self { uri: uri.map(Arc::clone), end },
            None => *self = Self::default(),
        }
        located.map(|(start, _, length)| ByteRange { start, length: Some(length) })
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

fn server_control(tag: &hls::ServerControl<'_>) -> ServerControl {
    let duration = |seconds: Option<f64>| Duration::try_from_secs_f64(seconds?).ok();
    ServerControl {
        can_block_reload: tag.can_block_reload(),
        can_skip_until: duration(tag.can_skip_until()),
        can_skip_dateranges: tag.can_skip_dateranges(),
        hold_back: duration(tag.hold_back()),
        part_hold_back: duration(tag.part_hold_back()),
    }
}

fn resolved(uri: &str, variables: &mut Variables) -> Option<Arc<str>> {
    variables.resolve(uri).map(Arc::from)
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

/// A day. Lifetimes are multiples of the target duration, so that an absurd one must be refused.
const TARGET_SECONDS_MAX: u64 = 86_400;
