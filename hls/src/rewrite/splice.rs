//! The splice between two epochs of a stream.

use std::time::Duration;

use super::segment_state::SegmentState;
use crate::Media;
use crate::lines::{LineKind, lines};

/// The end of an epoch, with the segments that are listed before those of the next one.
#[derive(Debug)]
pub struct Splice {
    /// The last segments of the old epoch.
    tail: Vec<OldSegment>,
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
    /// `None` if it cannot: clients count parts, and rely on playlists that only grow, in ways that a break
    /// in the stream does not allow.
    pub(super) fn between(published: Option<&[u8]>, old: &Media, new: &Media) -> Option<Self> {
        let first = new.segments.first()?;
        let was_fragmented = old.map.is_some() && first.map.is_none();
        if old.segments.is_empty() || was_fragmented || !can_be_joined(old) || !can_be_joined(new) {
            return None;
        }
        let (tail, is_encrypted) = published.and_then(|published| tail(published, old)).unwrap_or_default();
        Some(Self {
            tail,
            discontinuity: discontinuity_after(old, old.segments.len()),
            first: old.next_sequence(),
            target: old.target_duration,
            is_encrypted,
        })
    }

    /// The old segments to list before those of a version of the new epoch with published numbers: enough to
    /// make it as long as the old playlist was, and none once it has lost its first segment.
    pub(super) fn old_segments(&self, new: &Media, shift: i64) -> &[OldSegment] {
        let room =
            if self.is_listed(new, shift) { self.tail.len().saturating_sub(new.segments.len()) } else { 0 };
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
    let has_parts = media.part_target.is_some() || !media.next_parts.is_empty() || !media.hints.is_empty();
    let has_ranges = media.segments.iter().any(|segment| segment.range.is_some());
    let is_plain = !has_parts && !has_ranges && media.reports.is_empty() && media.skipped == 0;
    is_plain && !media.is_ended() && media.playlist_type.is_none()
}

/// The newest segments of a playlist, and whether the last one is encrypted; `None` if `media` is not the
/// parsed `published`.
fn tail(published: &[u8], media: &Media) -> Option<(Vec<OldSegment>, bool)> {
    let from = media.segments.len().saturating_sub(TAIL_MAX);
    let (mut tail, mut state, mut is_in_list) = (Vec::new(), SegmentState::default(), false);
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
            LineKind::ByteRange | LineKind::Segment | LineKind::Other => {
                segment_lines.extend_from_slice(line.raw);
            }
            LineKind::Uri => {
                segment_lines.extend_from_slice(line.raw);
                let lines = std::mem::take(&mut segment_lines);
                if number >= from {
                    let current_lines = || state.lines().flat_map(|line| line.raw).copied().collect();
                    let state = std::mem::take(&mut is_changed).then(current_lines);
                    tail.push(OldSegment { state, lines, discontinuity_before: discontinuity });
                    discontinuity += u64::from(media.segments.get(number)?.is_discontinuity);
                }
                number += 1;
            }
        }
        is_in_list = true;
    }
    (number == media.segments.len()).then(|| (tail, state.encrypts()))
}
