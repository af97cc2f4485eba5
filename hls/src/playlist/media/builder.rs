//! Collects a media playlist line by line.

use std::sync::Arc;
use std::time::Duration;

use super::{
    ByteRange, Counting, Hint, HintKind, Map, Media, Part, PlaylistType, Report, Segment, ServerControl,
};
use crate::attributes::{attributes, value};
use crate::lines::{Line, LineKind};
use crate::playlist::numbers::{DAY, byte_range, seconds, whole};
use crate::playlist::variables::Variables;

/// Collects a media playlist line by line. A tag that cannot be read counts as absent; of a tag that must be
/// there once, the last one that can be read counts.
#[derive(Debug, Default)]
pub(in crate::playlist) struct Builder {
    media: Media,
    target_duration: Option<Duration>,
    /// The longest EXTINF.
    longest: Duration,
    /// The tags so far for the segment whose URI comes next.
    next: Segment,
    /// The start of a byte range without an offset (sections 4.4.4.2 and 4.4.4.9).
    after_segment: LastRange,
    after_part: LastRange,
    /// EXT-X-BYTERANGE precedes the URI that it belongs to.
    range: Option<(u64, Option<u64>)>,
    /// A tag of HLS beside EXTINF, which lists of music have as well.
    has_hls_tag: bool,
    /// A tag that only a media playlist has, before its first segment.
    has_media_tag: bool,
}

impl Builder {
    pub(in crate::playlist) fn line(&mut self, line: Line<'_>, variables: &mut Variables) {
        let text = line.value().map_or(&b""[..], |(_, text)| text);
        match (line.kind(), line.name()) {
            (LineKind::Uri, _) => self.uri(line.content(), variables),
            (_, b"#EXTINF") => {
                self.next.duration = seconds(text).unwrap_or_default();
                self.longest = self.longest.max(self.next.duration);
            }
            (_, name) => {
                self.has_hls_tag |= !line.is_header();
                match line.kind() {
                    LineKind::Playlist => self.playlist_tag(name, text, variables),
                    _ => self.segment_tag(name, text, variables),
                }
            }
        }
    }

    /// A tag about the whole playlist.
    fn playlist_tag(&mut self, name: &[u8], text: &[u8], variables: &mut Variables) {
        let media = &mut self.media;
        match name {
            b"#EXT-X-TARGETDURATION" => {
                // Lifetimes are multiples of the target duration: an absurd one is none.
                let target = seconds(text).filter(|target| *target < DAY);
                self.target_duration = target.or(self.target_duration);
                (media.has_target, self.has_media_tag) = (true, true);
            }
            b"#EXT-X-MEDIA-SEQUENCE" => {
                self.has_media_tag = true;
                if text.trim_ascii().is_empty() {
                    return;
                }
                (media.media_sequence, media.counting) = match whole(text) {
                    Some(number) => (number, Counting::Declared),
                    None => (0, Counting::Unknown),
                };
            }
            b"#EXT-X-DISCONTINUITY-SEQUENCE" => media.discontinuity_sequence = whole(text).unwrap_or(0),
            b"#EXT-X-ENDLIST" => media.end_list = true,
            b"#EXT-X-PLAYLIST-TYPE" => media.playlist_type = playlist_type(text.trim_ascii()),
            b"#EXT-X-PART-INF" => {
                self.has_media_tag = true;
                media.part_target = value(text, b"PART-TARGET").and_then(seconds);
            }
            b"#EXT-X-SERVER-CONTROL" => {
                media.server_control = server_control(text);
                media.server_controls += 1;
            }
            b"#EXT-X-SKIP" => match value(text, b"SKIPPED-SEGMENTS").and_then(whole) {
                Some(skipped) => media.skipped = skipped,
                None => media.counting = Counting::Unknown,
            },
            b"#EXT-X-PRELOAD-HINT" => self.media.hints.extend(hint(text, variables)),
            b"#EXT-X-RENDITION-REPORT" => self.media.reports.extend(report(text, variables)),
            _ => {}
        }
    }

    /// A tag of a segment or part.
    fn segment_tag(&mut self, name: &[u8], text: &[u8], variables: &mut Variables) {
        match name {
            b"#EXT-X-BYTERANGE" => self.range = byte_range(text),
            b"#EXT-X-DISCONTINUITY" => self.next.is_discontinuity = true,
            b"#EXT-X-GAP" => self.next.is_gap = true,
            b"#EXT-X-MAP" => self.map(text, variables),
            b"#EXT-X-KEY" => self.key(text, variables),
            b"#EXT-X-PART" => self.part(text, variables),
            _ => {}
        }
    }

    fn uri(&mut self, uri: &[u8], variables: &mut Variables) {
        let mut segment = std::mem::take(&mut self.next);
        segment.uri = resolved(uri, variables);
        segment.range = self.after_segment.locate(segment.uri.as_ref(), self.range.take());
        segment.map.clone_from(&self.media.map);
        self.media.segments.push(segment);
    }

    fn map(&mut self, list: &[u8], variables: &mut Variables) {
        let range = value(list, b"BYTERANGE").map(byte_range);
        let uri = value(list, b"URI").and_then(|uri| resolved(uri, variables));
        let map = match range {
            None => Map { uri, range: None },
            Some(Some((length, start))) => {
                Map { uri, range: Some(ByteRange { start: start.unwrap_or(0), length: Some(length) }) }
            }
            // Which bytes of the resource it is, nothing tells.
            Some(None) => Map { uri: None, range: None },
        };
        // Some packagers repeat it at every segment: one copy serves all.
        if self.media.map.as_deref() != Some(&map) {
            self.media.map = Some(Arc::new(map));
        }
    }

    fn key(&mut self, list: &[u8], variables: &mut Variables) {
        let uri = value(list, b"URI").and_then(|uri| resolved(uri, variables));
        if let Some(uri) = uri.filter(|uri| self.media.keys.last() != Some(uri)) {
            self.media.keys.push(uri);
        }
    }

    fn part(&mut self, list: &[u8], variables: &mut Variables) {
        let (mut part, mut range, mut is_known) = (Part::default(), None, true);
        for (name, value) in attributes(list) {
            match name {
                b"URI" => part.uri = resolved(value, variables),
                b"DURATION" => part.duration = seconds(value).unwrap_or_default(),
                b"BYTERANGE" => {
                    range = byte_range(value);
                    is_known = range.is_some();
                }
                b"INDEPENDENT" => part.is_independent = value == YES,
                b"GAP" => part.is_gap = value == YES,
                _ => {}
            }
        }
        part.uri = part.uri.filter(|_| is_known);
        part.range = self.after_part.locate(part.uri.as_ref(), range);
        self.next.parts.push(part);
    }

    /// An EXT-X-DEFINE was read.
    pub(in crate::playlist) const fn note_definition(&mut self) {
        self.media.has_definitions = true;
    }

    /// Whether the lines so far leave nothing for the next segment but what applies to all.
    pub(in crate::playlist) fn is_between_segments(&self) -> bool {
        let Segment { duration, parts, is_gap, is_discontinuity, .. } = &self.next;
        self.range.is_none() && duration.is_zero() && parts.is_empty() && !is_gap && !is_discontinuity
    }

    /// How many segments there are so far.
    pub(in crate::playlist) const fn listed(&self) -> usize {
        self.media.segments.len()
    }

    /// The number of the next segment, as far as the lines so far say. `None` if segments of an earlier
    /// version mean something else here, or may.
    pub(in crate::playlist) fn next_number(&self) -> Option<u64> {
        let is_plain = self.has_media_tag && !self.media.has_definitions;
        is_plain.then(|| self.media.next_sequence())
    }

    /// Adds segments of an earlier version whose lines are the next ones here, too. They have neither byte
    /// ranges nor parts, and no line among theirs applies to other segments.
    pub(in crate::playlist) fn extend(&mut self, segments: &[Segment]) {
        for segment in segments {
            self.longest = self.longest.max(segment.duration);
            self.media.segments.push(Segment { map: self.media.map.clone(), ..segment.clone() });
        }
        self.after_segment = LastRange::default();
    }

    /// Whether it lists segments of HLS.
    pub(in crate::playlist) fn has_segments(&self) -> bool {
        let is_timed = self.has_media_tag || !self.longest.is_zero();
        !self.media.segments.is_empty() && self.has_hls_tag && is_timed
    }

    /// Whether it has a tag that only media playlists have.
    pub(in crate::playlist) const fn is_media(&self) -> bool {
        self.has_media_tag
    }

    pub(in crate::playlist) fn finish(mut self) -> Media {
        self.media.next_parts = self.next.parts;
        self.media.target_duration = self.target_duration.unwrap_or_else(|| assumed_target(self.longest));
        number_segments(&mut self.media);
        self.media
    }
}

/// The target duration of a playlist without one: its longest segment, in whole seconds (section 4.4.3.1).
fn assumed_target(longest: Duration) -> Duration {
    if longest.is_zero() {
        return TARGET_ASSUMED;
    }
    Duration::from_secs(longest.as_secs() + u64::from(longest.subsec_nanos() > 0)).min(DAY)
}

/// Done at the end, because the tags that determine the first number may follow the segments.
fn number_segments(media: &mut Media) {
    // The number after the last one must exist too: a blocking request names it.
    let first = media.media_sequence.checked_add(media.skipped);
    if first.and_then(|first| first.checked_add(media.segments.len() as u64)).is_none() {
        (media.media_sequence, media.skipped, media.counting) = (0, 0, Counting::Unknown);
    }
    let first = media.first_listed();
    for (segment, sequence) in media.segments.iter_mut().zip(first..) {
        segment.sequence = sequence;
    }
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

/// Players read it in any case.
fn playlist_type(text: &[u8]) -> Option<PlaylistType> {
    match text {
        text if text.eq_ignore_ascii_case(b"VOD") => Some(PlaylistType::Vod),
        text if text.eq_ignore_ascii_case(b"EVENT") => Some(PlaylistType::Event),
        _ => None,
    }
}

fn server_control(list: &[u8]) -> ServerControl {
    let mut control = ServerControl::default();
    for (name, value) in attributes(list) {
        match name {
            b"CAN-BLOCK-RELOAD" => control.can_block_reload = value == YES,
            b"CAN-SKIP-UNTIL" => control.can_skip_until = seconds(value),
            b"CAN-SKIP-DATERANGES" => control.can_skip_dateranges = value == YES,
            b"HOLD-BACK" => control.hold_back = seconds(value),
            b"PART-HOLD-BACK" => control.part_hold_back = seconds(value),
            _ => {}
        }
    }
    control
}

fn hint(list: &[u8], variables: &mut Variables) -> Option<Hint> {
    let kind = match value(list, b"TYPE")? {
        b"PART" => HintKind::Part,
        b"MAP" => HintKind::Map,
        _ => return None,
    };
    let uri = resolved(value(list, b"URI")?, variables);
    let start = value(list, b"BYTERANGE-START").map_or(Some(0), whole)?;
    let length = value(list, b"BYTERANGE-LENGTH").and_then(whole);
    Some(Hint { kind, uri, range: ByteRange { start, length } })
}

fn report(list: &[u8], variables: &mut Variables) -> Option<Report> {
    Some(Report {
        uri: resolved(value(list, b"URI")?, variables),
        last_sequence: whole(value(list, b"LAST-MSN")?)?,
        last_part: value(list, b"LAST-PART").and_then(whole),
    })
}

/// A URI that is no text, or that is not closed, is unknown.
fn resolved(uri: &[u8], variables: &mut Variables) -> Option<Arc<str>> {
    let uri = std::str::from_utf8(uri).ok()?.trim();
    let is_cut = uri.starts_with('"');
    variables.resolve(uri).filter(|uri| !uri.is_empty() && !is_cut).map(Arc::from)
}

const YES: &[u8] = b"YES";
/// The target duration of a playlist that says nothing about time.
const TARGET_ASSUMED: Duration = Duration::from_secs(2);
