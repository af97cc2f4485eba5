//! What a version announces that the version before it did not.

use std::sync::Arc;

use crate::{ByteRange, HintKind, Map, Media, Part, Position};

/// An object that a new version announces. Gaps are not announced, nor are unknown URIs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Announcement {
    /// The kind of object.
    pub kind: AnnouncementKind,
    /// Its URI, as written in the playlist.
    pub uri: Arc<str>,
    /// The byte range of the resource; all of it if `None`.
    pub range: Option<ByteRange>,
}

/// The kind of an announced object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnnouncementKind {
    /// An initialisation section.
    Map,
    /// A complete segment.
    Segment,
    /// A listed part.
    Part,
    /// A hinted part or initialisation section, which does not exist yet: a request for it blocks.
    Hint(HintKind),
}

/// The new objects since `previous`, in the order in which players will request them: oldest first. For a
/// first version they are the newest segment and what follows it, because no player starts further back.
pub(super) fn since(previous: Option<&Summary>, media: &Media) -> Vec<Announcement> {
    let position = previous.map_or_else(|| start(media), |previous| previous.position);
    let mut announcements = Vec::new();
    let mut map = previous.and_then(|previous| previous.map.as_ref());
    let skip = usize::try_from(position.sequence.saturating_sub(media.first_listed())).unwrap_or(usize::MAX);
    for segment in media.segments.iter().skip(skip).take(SEGMENTS_MAX) {
        announce_map(&mut announcements, &mut map, segment.map.as_ref());
        let known = if segment.sequence == position.sequence { position.parts } else { 0 };
        announce_parts(&mut announcements, &segment.parts, known);
        if !segment.is_gap {
            announce(&mut announcements, AnnouncementKind::Segment, segment.uri.as_ref(), segment.range);
        }
    }
    announce_map(&mut announcements, &mut map, media.map.as_ref());
    let known = if media.next_sequence() == position.sequence { position.parts } else { 0 };
    announce_parts(&mut announcements, &media.next_parts, known);
    for hint in media.hints.iter().take(HINTS_MAX) {
        let announced = hint.uri.as_ref().map(|uri| (uri, hint.range));
        let is_known = |previous: &Summary| announced.is_some_and(|(uri, range)| previous.hints(uri, range));
        if !previous.is_some_and(is_known) {
            announce(
                &mut announcements,
                AnnouncementKind::Hint(hint.kind),
                hint.uri.as_ref(),
                Some(hint.range),
            );
        }
    }
    announcements
}

/// The facts about a version that are needed to find the new objects of the next one.
#[derive(Debug)]
pub(super) struct Summary {
    position: Position,
    map: Option<Arc<Map>>,
    hints: Vec<(Arc<str>, ByteRange)>,
    parts: Vec<Arc<str>>,
}

impl Summary {
    pub(super) fn of(media: &Media) -> Self {
        let hints = media.hints.iter().take(HINTS_MAX);
        let of_segments = media.segments.iter().rev().take(SEGMENTS_MAX).flat_map(|segment| &segment.parts);
        let parts = media.next_parts.iter().rev().chain(of_segments).take(PARTS_MAX);
        Self {
            position: media.position(),
            map: media.map.as_ref().map(Arc::clone),
            hints: hints.filter_map(|hint| Some((Arc::clone(hint.uri.as_ref()?), hint.range))).collect(),
            parts: parts.filter_map(|part| part.uri.as_ref().map(Arc::clone)).collect(),
        }
    }

    /// Forgets everything that can be read from the version again.
    pub(super) fn sleep(&mut self) {
        (self.hints, self.parts) = (Vec::new(), Vec::new());
    }

    pub(super) const fn position(&self) -> Position {
        self.position
    }

    pub(super) const fn map(&self) -> Option<&Arc<Map>> {
        self.map.as_ref()
    }

    /// Whether it is a listed part, a hint, or the initialisation section in effect.
    pub(super) fn announces(&self, matches: impl Fn(&str) -> bool) -> bool {
        let map = self.map.as_ref().and_then(|map| map.uri.as_ref());
        let hints = self.hints.iter().map(|(hint, _)| hint);
        self.parts.iter().chain(hints).chain(map).any(|uri| matches(uri))
    }

    fn hints(&self, uri: &Arc<str>, range: ByteRange) -> bool {
        self.hints.iter().any(|(hint, known)| hint == uri && *known == range)
    }
}

fn start(media: &Media) -> Position {
    let sequence = media.next_sequence().saturating_sub(1).max(media.first_listed());
    Position { sequence, parts: 0 }
}

fn announce(
    announcements: &mut Vec<Announcement>,
    kind: AnnouncementKind,
    uri: Option<&Arc<str>>,
    range: Option<ByteRange>,
) {
    if let Some(uri) = uri.filter(|_| announcements.len() < ANNOUNCEMENTS_MAX) {
        announcements.push(Announcement { kind, uri: Arc::clone(uri), range });
    }
}

fn announce_parts(announcements: &mut Vec<Announcement>, parts: &[Part], known: u64) {
    let known = usize::try_from(known).unwrap_or(usize::MAX);
    for part in parts.iter().skip(known).filter(|part| !part.is_gap) {
        announce(announcements, AnnouncementKind::Part, part.uri.as_ref(), part.range);
    }
}

fn announce_map<'a>(
    announcements: &mut Vec<Announcement>,
    last: &mut Option<&'a Arc<Map>>,
    map: Option<&'a Arc<Map>>,
) {
    if let Some(map) = map.filter(|map| *last != Some(*map)) {
        announce(announcements, AnnouncementKind::Map, map.uri.as_ref(), map.range);
        *last = Some(map);
    }
}

/// More than this is not an update but another playlist.
const ANNOUNCEMENTS_MAX: usize = 256;
const SEGMENTS_MAX: usize = 64;
const PARTS_MAX: usize = 1_024;
const HINTS_MAX: usize = 8;
