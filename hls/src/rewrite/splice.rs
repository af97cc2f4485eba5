//! Where one run of a stream ends and the next one begins.

use std::time::Duration;

use super::lines::{LineKind, lines};
use super::segment_state::SegmentState;
use crate::Media;

/// The end of a run, and what of it is listed before the next one's segments.
#[derive(Debug)]
pub struct Splice {
    /// The segments that the old run listed at its end.
    tail: Vec<OldSegment>,
    /// The discontinuity number of the last of them.
    pub(super) discontinuity: u64,
    /// The number of the new run's first segment, as it is given out.
    pub(super) first: u64,
    /// The old run's target duration.
    pub(super) target: Duration,
    /// Whether the old run's last segment is encrypted.
    pub(super) is_encrypted: bool,
}

/// A segment of the old run, in the lines that were given out.
#[derive(Debug)]
pub(super) struct OldSegment {
    /// The keys and the initialisation section that hold from here on; nothing where they are those of the
    /// one before.
    pub(super) state: Option<Vec<u8>>,
    pub(super) lines: Vec<u8>,
    /// The discontinuity number of the segment before it.
    pub(super) discontinuity_before: u64,
}

/// Of a longer list only the newest segments are listed on: nobody is further back and plays live.
const TAIL_MAX: usize = 64;

impl Splice {
    /// Between a list as it was last given out, and the first one of a run that can be told on in its
    /// numbers. `published` are the bytes of `old`, where its segments are still worth listing.
    ///
    /// `None` if it cannot: players count parts, and rely on lists that grow and forget nothing, in ways that
    /// a break in the stream does not allow.
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

    /// What is listed before a list of the new run, by the numbers that are given out: as many segments as
    /// make it as long as the old list was, and none once it has lost its first segment.
    pub(super) fn old_segments(&self, new: &Media, shift: i64) -> &[OldSegment] {
        let room =
            if self.is_listed(new, shift) { self.tail.len().saturating_sub(new.segments.len()) } else { 0 };
        self.tail.get(self.tail.len() - room..).unwrap_or_default()
    }

    /// What holds at the first of these segments, which are the last ones of the tail.
    pub(super) fn state_at(&self, old_segments: &[OldSegment]) -> Option<&[u8]> {
        let until = (self.tail.len() + 1).saturating_sub(old_segments.len());
        self.tail.get(..until)?.iter().rev().find_map(|old| old.state.as_deref())
    }

    /// Does the list begin with the run's first segment?
    pub(super) const fn is_listed(&self, new: &Media, shift: i64) -> bool {
        new.media_sequence.saturating_add_signed(shift) == self.first
    }
}

/// The discontinuity number (section 4.4.3.3) that holds after so many segments of a list.
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

/// The newest segments of a list, and whether the last one is encrypted; `None` if it is not the list that
/// `media` tells of.
fn tail(published: &[u8], media: &Media) -> Option<(Vec<OldSegment>, bool)> {
    let from = media.segments.len().saturating_sub(TAIL_MAX);
    let (mut tail, mut state, mut is_in_list) = (Vec::new(), SegmentState::default(), false);
    let (mut segment_lines, mut is_changed, mut number) = (Vec::new(), true, 0);
    let mut discontinuity = discontinuity_after(media, from);
    for line in lines(published) {
        match line.kind() {
            LineKind::Playlist | LineKind::Version => continue,
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
