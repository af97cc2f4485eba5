//! Where one run of a stream ends and the next one begins.

use std::time::Duration;

use super::lines::{Sort, lines};
use super::state::State;
use crate::Media;

/// The end of a run, and what of it is listed before the next one's segments.
#[derive(Debug)]
pub(super) struct Joint {
    /// The segments that the old run listed at its end.
    tail: Vec<Old>,
    /// The discontinuity number of the last of them.
    pub(super) discontinuity: u64,
    /// The new run's own number of its first segment.
    pub(super) first: u64,
    /// The old run's target duration.
    pub(super) target: Duration,
    /// Whether the old run's last segment is encrypted.
    pub(super) is_encrypted: bool,
}

/// A segment of the old run, in the lines that were given out.
#[derive(Debug)]
pub(super) struct Old {
    /// The keys and the initialisation section that hold here.
    pub(super) state: Vec<u8>,
    pub(super) lines: Vec<u8>,
    /// The discontinuity number of the segment before it.
    pub(super) discontinuity_before: u64,
}

impl Joint {
    /// Between a list as it was last given out, and the first one of a run that can be told on in its numbers.
    ///
    /// `None` if it cannot: players count parts, and rely on lists that grow and forget nothing, in ways that a
    /// break in the stream does not allow.
    pub(super) fn between(published: &[u8], old: &Media, new: &Media) -> Option<Self> {
        let first = new.segments.first()?;
        let was_fragmented = old.map.is_some() && first.map.is_none();
        if old.segments.is_empty() || was_fragmented || !can_be_joined(old) || !can_be_joined(new) {
            return None;
        }
        let (tail, is_encrypted) = tail(published, old)?;
        Some(Self {
            tail,
            discontinuity: discontinuities(old, old.segments.len()),
            first: new.media_sequence,
            target: old.target_duration,
            is_encrypted,
        })
    }

    /// What is listed before a list of the new run: as many segments as make it as long as the old list was, and
    /// none once it has lost its first segment.
    pub(super) fn before(&self, new: &Media) -> &[Old] {
        let room = self.tail.len().saturating_sub(new.segments.len());
        let from = if self.is_listed(new) { self.tail.len() - room } else { self.tail.len() };
        self.tail.get(from..).unwrap_or_default()
    }

    /// Does the list begin with the run's first segment?
    pub(super) const fn is_listed(&self, new: &Media) -> bool {
        new.media_sequence == self.first
    }
}

/// The discontinuity number (section 4.4.3.3) that holds after so many segments of a list.
pub(super) fn discontinuities(media: &Media, segments: usize) -> u64 {
    let listed = media.segments.iter().take(segments).filter(|segment| segment.is_discontinuity);
    media.discontinuity_sequence.saturating_add(listed.count() as u64)
}

fn can_be_joined(media: &Media) -> bool {
    let has_parts = media.part_target.is_some() || !media.next_parts.is_empty() || !media.hints.is_empty();
    let has_pieces = media.segments.iter().any(|segment| segment.range.is_some());
    let is_plain = !has_parts && !has_pieces && media.reports.is_empty() && media.skipped == 0;
    is_plain && !media.is_ended() && media.playlist_type.is_none()
}

/// The segments of a list, and whether the last one is encrypted; `None` if it is not the list that `media` tells of.
fn tail(published: &[u8], media: &Media) -> Option<(Vec<Old>, bool)> {
    let (mut tail, mut state, mut is_in_list) = (Vec::new(), State::default(), false);
    let mut segment = Vec::new();
    for line in lines(published) {
        match line.sort() {
            Sort::Playlist | Sort::Version => continue,
            Sort::Loose if !is_in_list => continue,
            Sort::Key => state.key(line)?,
            Sort::Map => state.map(line)?,
            Sort::ByteRange | Sort::Segment | Sort::Loose => segment.extend_from_slice(line.raw),
            Sort::Uri => {
                segment.extend_from_slice(line.raw);
                tail.push(Old {
                    state: state.lines().flat_map(|line| line.raw).copied().collect(),
                    lines: std::mem::take(&mut segment),
                    discontinuity_before: discontinuities(media, tail.len()),
                });
            }
        }
        is_in_list = true;
    }
    (tail.len() == media.segments.len()).then(|| (tail, state.encrypts()))
}
