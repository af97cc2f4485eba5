//! The splice between two epochs of a stream.

use std::time::Duration;

use super::segment_state::SegmentState;
use crate::lines::{Line, LineKind, line_break, lines};
use crate::{Media, PlaylistType, Segment};

/// The end of an epoch, with the segments that are listed before those of the next one.
#[derive(Debug)]
pub struct Splice {
    /// The last segments of the old epoch.
    tail: Vec<OldSegment>,
    /// Whether the playlist only grows: then all of them stay listed.
    is_event: bool,
    /// The discontinuity number of the last of them.
    pub(super) discontinuity: u64,
    /// The published number of the new epoch's first segment.
    pub(super) first: u64,
    /// The old epoch's target duration.
    pub(super) target: Duration,
    /// Whether the old epoch's last segment is encrypted.
    pub(super) is_encrypted: bool,
}

/// A segment of the old epoch, in its published lines.
#[derive(Debug)]
pub(super) struct OldSegment {
    /// The keys and the initialisation section in effect from here on; `None` if they are those of the
    /// segment before it.
    pub(super) state: Option<Vec<u8>>,
    pub(super) lines: Vec<u8>,
    /// The discontinuity number of the segment before it.
    pub(super) discontinuity_before: u64,
}

/// Of a longer playlist only the newest segments stay listed: no live viewer is further behind.
const TAIL_MAX: usize = 64;

impl Splice {
    /// The splice between the last published version `old` and the first version `new` of an epoch that can
    /// continue its numbers. `published` are the bytes of `old`, if its segments are still worth listing.
    ///
    /// A segment in progress, of which parts were published, never becomes complete: it is listed as a gap,
    /// because clients count it. A playlist of type EVENT keeps all its segments.
    ///
    /// `None` if it cannot: the old playlist has ended, or its segments are unknown although it may not lose
    /// any.
    pub(super) fn between(published: Option<&[u8]>, old: &Media, new: &Media) -> Option<Self> {
        if new.segments.is_empty() && new.next_parts.is_empty() {
            return None;
        }
        let map = new.segments.first().map_or(&new.map, |first| &first.map);
        let was_fragmented = old.map.is_some() && map.is_none();
        if old.segments.is_empty() || was_fragmented || !can_be_joined(old) || !can_be_joined(new) {
            return None;
        }
        let is_event = is_event(old) || is_event(new);
        let from = if is_event { 0 } else { old.segments.len().saturating_sub(TAIL_MAX) };
        let tail = published.and_then(|published| Tail::of(published, old, from));
        if is_event && tail.is_none() {
            return None;
        }
        let Tail { segments, is_encrypted, discontinuity } = tail.unwrap_or_else(|| Tail::unknown(old));
        let first = old.next_sequence().saturating_add(u64::from(!old.next_parts.is_empty()));
        Some(Self {
            tail: segments,
            is_event,
            discontinuity,
            first,
            target: old.target_duration,
            is_encrypted,
        })
    }

    /// The old segments to list before those of a version of the new epoch with published numbers: enough to
    /// make it as long as the old playlist was, and none once it has lost its first segment.
    pub(super) fn old_segments(&self, new: &Media, shift: i64) -> &[OldSegment] {
        let room = match self.is_listed(new, shift) {
            true if self.is_event => self.tail.len(),
            true => self.tail.len().saturating_sub(new.segments.len()),
            false => 0,
        };
        self.tail.get(self.tail.len() - room..).unwrap_or_default()
    }

    /// The keys and the initialisation section in effect at the first of these segments, which are the last
    /// ones of the tail.
    pub(super) fn state_at(&self, old_segments: &[OldSegment]) -> Option<&[u8]> {
        let until = (self.tail.len() + 1).saturating_sub(old_segments.len());
        self.tail.get(..until)?.iter().rev().find_map(|old| old.state.as_deref())
    }

    /// Whether the playlist begins with the epoch's first segment.
    pub(super) const fn is_listed(&self, new: &Media, shift: i64) -> bool {
        new.media_sequence.saturating_add_signed(shift) == self.first
    }
}

/// The discontinuity number (section 4.4.3.3) after this many segments of a playlist.
pub(super) fn discontinuity_after(media: &Media, segments: usize) -> u64 {
    let listed = media.segments.iter().take(segments).filter(|segment| segment.is_discontinuity);
    media.discontinuity_sequence.saturating_add(listed.count() as u64)
}

fn can_be_joined(media: &Media) -> bool {
    media.skipped == 0 && !media.is_ended()
}

fn is_event(media: &Media) -> bool {
    media.playlist_type == Some(PlaylistType::Event)
}

/// The end of a published playlist.
struct Tail {
    segments: Vec<OldSegment>,
    /// Whether the last one is encrypted.
    is_encrypted: bool,
    /// The discontinuity number of the last one.
    discontinuity: u64,
}

impl Tail {
    /// The segments from the one at the index `from`; `None` if `media` is not the parsed `published`.
    fn of(published: &[u8], media: &Media, from: usize) -> Option<Self> {
        let (mut segments, mut state, mut is_in_list) = (Vec::new(), SegmentState::default(), false);
        let (mut segment_lines, mut is_changed, mut number) = (Vec::new(), true, 0);
        let mut discontinuity = discontinuity_after(media, from);
        for line in lines(published) {
            match line.kind() {
                LineKind::Playlist | LineKind::Version | LineKind::Multivariant | LineKind::VariantUri => {
                    continue;
                }
                LineKind::Other if !is_in_list => continue,
                LineKind::Key | LineKind::Map => {
                    is_changed = true;
                    state.apply(line)?;
                }
                LineKind::ByteRange => segment_lines.extend(whole_range(line, media.segments.get(number)?)),
                LineKind::Segment | LineKind::Other => segment_lines.extend_from_slice(line.raw),
                LineKind::Uri => {
                    segment_lines.extend_from_slice(line.raw);
                    let lines = std::mem::take(&mut segment_lines);
                    if number >= from {
                        let current_lines = || state.lines().flat_map(|line| line.raw).copied().collect();
                        let state = std::mem::take(&mut is_changed).then(current_lines);
                        segments.push(OldSegment { state, lines, discontinuity_before: discontinuity });
                        discontinuity += u64::from(media.segments.get(number)?.is_discontinuity);
                    }
                    number += 1;
                }
            }
            is_in_list = true;
        }
        if let Some(lines) = unfinished(media, &segment_lines, line_break(published)) {
            segments.push(OldSegment { state: None, lines, discontinuity_before: discontinuity });
            discontinuity += u64::from(has_discontinuity(&segment_lines));
        }
        (number == media.segments.len()).then(|| Self {
            segments,
            is_encrypted: state.encrypts(),
            discontinuity,
        })
    }

    /// No segments: their lines are unknown.
    fn unknown(media: &Media) -> Self {
        let discontinuity = discontinuity_after(media, media.segments.len());
        Self { segments: Vec::new(), is_encrypted: false, discontinuity }
    }
}

/// The line with the offset of its range, which may follow from a segment that is no longer listed.
fn whole_range(line: Line<'_>, segment: &Segment) -> Vec<u8> {
    let range = segment.range.and_then(|range| Some((range.length?, range.start)));
    let Some((length, start)) = range else { return line.raw.to_vec() };
    let mut whole = format!("#EXT-X-BYTERANGE:{length}@{start}").into_bytes();
    whole.extend_from_slice(line.raw.get(line.text().len()..).unwrap_or_default());
    whole
}

/// The segment in progress, of which some parts are published and the rest will never be. `begun` are its
/// lines. Players that have its parts keep them; no player can request it.
fn unfinished(media: &Media, begun: &[u8], line_break: &[u8]) -> Option<Vec<u8>> {
    let last = media.next_parts.last()?;
    let length =
        media.next_parts.iter().map(|part| part.duration).fold(Duration::ZERO, Duration::saturating_add);
    let mut segment = Vec::new();
    if has_discontinuity(begun) {
        segment.extend_from_slice(b"#EXT-X-DISCONTINUITY");
        segment.extend_from_slice(line_break);
    }
    segment.extend_from_slice(b"#EXT-X-GAP");
    segment.extend_from_slice(line_break);
    segment.extend_from_slice(format!("#EXTINF:{:.5},", length.as_secs_f64()).as_bytes());
    segment.extend_from_slice(line_break);
    // No player requests it, but it must read as a URI.
    let uri = last.uri.as_deref().filter(|uri| !uri.starts_with('#') && !uri.trim().is_empty());
    segment.extend_from_slice(uri.unwrap_or("gap").as_bytes());
    segment.extend_from_slice(line_break);
    Some(segment)
}

fn has_discontinuity(segment_lines: &[u8]) -> bool {
    lines(segment_lines).any(|line| line.name() == b"#EXT-X-DISCONTINUITY")
}
