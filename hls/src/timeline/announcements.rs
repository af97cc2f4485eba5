//! What a version announces that the version before it did not.

use std::sync::Arc;

use crate::{ByteRange, HintKind, Map, Media, Part, Position};

/// Something that a new version announces. Gaps are not announced, nor is what has no known URI.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Announcement {
    /// What it is.
    pub kind: AnnouncementKind,
    /// Where it is, as it stands in the playlist.
    pub uri: Arc<str>,
    /// The piece of the resource that it is; all of it if there is none.
    pub range: Option<ByteRange>,
}

/// What sort of thing is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnnouncementKind {
    /// An initialisation section.
    Map,
    /// A complete segment.
    Segment,
    /// A part that is there.
    Part,
    /// A part or an initialisation section that is not there yet: to be asked for and waited for.
    Hint(HintKind),
}

/// What is new since `before`, in the order in which players will ask: oldest first. Of a first version it is
/// the newest segment and what follows it, because nobody begins further back.
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

/// What has to be remembered of a version to tell what is new in the next one.
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

    /// Forgets what can be read from the version.
    pub(super) fn sleep(&mut self) {
        (self.hints, self.parts) = (Vec::new(), Vec::new());
    }

    pub(super) const fn position(&self) -> Position {
        self.position
    }

    pub(super) const fn map(&self) -> Option<&Arc<Map>> {
        self.map.as_ref()
    }

    /// Is it one of the parts that are listed, or something that is hinted?
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

/// More than this at once is no announcements but another playlist.
const ANNOUNCEMENTS_MAX: usize = 256;
const SEGMENTS_MAX: usize = 64;
const PARTS_MAX: usize = 1_024;
const HINTS_MAX: usize = 8;
