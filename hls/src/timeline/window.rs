//! The remembered segments, by their numbers.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::{Map, Media, Restart, Segment};

/// The newest segments of one epoch: the listed ones, and some that were listed until lately.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Consecutive numbers, oldest first.
    segments: VecDeque<WindowSegment>,
    /// The number of the first one.
    first: u64,
    /// The number of the first listed one.
    first_listed: u64,
}

#[derive(Debug)]
struct WindowSegment {
    uri: Option<Arc<str>>,
    map: Option<Arc<Map>>,
}

impl Window {
    /// Adds a version, which is of the same epoch and lags behind in nothing, unless the window is
    /// empty.
    pub(super) fn extend(&mut self, media: &Media) {
        let too_many = media.segments.len().saturating_sub(SEGMENTS_MAX);
        let from = media.first_listed().saturating_add(too_many as u64);
        if from > self.end() || from < self.first {
            // A gap separates the two: the segments in it were never seen.
            self.segments.clear();
            self.first = from;
        }
        // Replaced, because some origins sign their URIs for each version.
        self.segments.truncate(distance(self.first, from));
        self.segments.extend(media.segments.iter().skip(too_many).map(WindowSegment::from));
        // The segments that a delta update skips are still listed.
        self.first_listed = media.media_sequence;
        let listed = distance(self.first_listed.max(self.first), self.end());
        let keep = listed.saturating_add(UNLISTED_MAX).min(SEGMENTS_MAX);
        let excess = self.segments.len().saturating_sub(keep);
        self.segments.drain(..excess);
        self.first = self.first.saturating_add(excess as u64);
    }

    /// Compares the window and a version by their common numbers.
    pub(super) fn compare(&self, media: &Media) -> Overlap {
        let start = media.first_listed().max(self.first);
        let known = self.segments.iter().skip(distance(self.first, start));
        let listed = media.segments.iter().skip(distance(media.first_listed(), start));
        let mut overlap = Overlap::None;
        for (known, listed) in known.zip(listed) {
            if let Some(restart) = known.contradicts(listed) {
                return Overlap::Contradiction(restart);
            }
            overlap = Overlap::Consistent;
        }
        overlap
    }

    /// Whether it is a listed segment or initialisation section.
    pub(super) fn lists(&self, matches: impl Fn(&str) -> bool) -> bool {
        let listed = self.segments.iter().skip(distance(self.first, self.first_listed));
        let mut last_map = None;
        // The newest are requested most.
        listed.rev().any(|known| {
            let map =
                known.map.as_ref().and_then(|map| map.uri.as_deref()).filter(|map| last_map != Some(*map));
            last_map = map.or(last_map);
            known.uri.as_deref().is_some_and(&matches) || map.is_some_and(&matches)
        })
    }

    pub(super) fn uri(&self, sequence: u64) -> Option<&Arc<str>> {
        let index = usize::try_from(sequence.checked_sub(self.first)?).ok()?;
        self.segments.get(index)?.uri.as_ref()
    }

    /// How many of its segments are listed.
    pub(super) fn listed(&self) -> u64 {
        self.end().saturating_sub(self.first_listed)
    }

    pub(super) const fn first_listed(&self) -> u64 {
        self.first_listed
    }

    fn end(&self) -> u64 {
        self.first.saturating_add(self.segments.len() as u64)
    }
}

/// How a version overlaps with the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overlap {
    /// No common number.
    None,
    /// At least one common number, and nothing speaks against one stream.
    Consistent,
    /// They cannot be one stream.
    Contradiction(Restart),
}

impl WindowSegment {
    fn contradicts(&self, segment: &Segment) -> Option<Restart> {
        let differ = |one: Option<&Arc<str>>, other: Option<&Arc<str>>| match (one, other) {
            (Some(one), Some(other)) => one != other && object_path(one) != object_path(other),
            // A URI that could not be resolved, or was not kept, is unknown.
            _ => false,
        };
        if differ(self.uri.as_ref(), segment.uri.as_ref()) {
            return Some(Restart::ChangedUri);
        }
        let (known, listed) = (self.map.as_ref()?, segment.map.as_ref()?);
        let differs = differ(known.uri.as_ref(), listed.uri.as_ref()) || known.range != listed.range;
        differs.then_some(Restart::ChangedMap)
    }
}

impl From<&Segment> for WindowSegment {
    fn from(segment: &Segment) -> Self {
        let uri = segment.uri.as_ref().filter(|uri| uri.len() <= URI_BYTES_MAX).map(Arc::clone);
        Self { uri, map: segment.map.as_ref().map(Arc::clone) }
    }
}

/// The part of a URI that names the object. Origins may sign the URIs of each version in the query, and a
/// backup may have its own name before the path: neither makes another stream.
fn object_path(uri: &str) -> &str {
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    match path.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => path.strip_prefix('/').unwrap_or(path),
    }
}

fn distance(from: u64, to: u64) -> usize {
    usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX)
}

/// How many segments are remembered after they have left the list: enough to recognise an upstream that lags
/// by more than its list is long.
pub(super) const UNLISTED_MAX: usize = 64;
/// Four hours of two-second segments. Of a longer list only the newest are remembered.
const SEGMENTS_MAX: usize = 8_192;
/// No server accepts a longer one.
const URI_BYTES_MAX: usize = 8_192;
