//! What a playlist lists: requests for it, and the memory of it.

use std::sync::Arc;

use tidegate_cache::Key;
use tidegate_hls::{Announcement, AnnouncementKind, ByteRange, Media, Multivariant};

use super::renditions::OF_ONE_MAX;
use super::stream::Stream;
use crate::request::parsed::Request;
use crate::request::slice::Slice;
use crate::tier::Tier;

/// Remembers everything that a first version lists: nobody knows what else was announced before.
pub(crate) fn remember_listed(tier: &Tier, playlist: &Request, stream: &Arc<Stream>, media: &Media) {
    for segment in media.segments.iter().rev().take(SEGMENTS_MAX) {
        let request = segment.uri.as_ref().and_then(|uri| refers(playlist, uri));
        if let Some(request) = request.map(|request| request.piece(segment.range)) {
            tier.streams().announced.add(&request.key, stream);
        }
    }
}

/// Remembers the resources that a playlist lists in pieces (section 4.4.4.2): each piece is held by itself.
pub(crate) fn remember_slices(tier: &Tier, playlist: &Request, media: &Media) {
    let segments = media.segments.iter().filter_map(|segment| segment.range.and(segment.uri.as_ref()));
    let maps = media.segments.iter().filter_map(|segment| segment.map.as_ref()).chain(&media.map);
    let maps = maps.filter_map(|map| map.range.and(map.uri.as_ref()));
    let mut last = None;
    // Most often it is one resource.
    for uri in segments.chain(maps).filter(|uri| last.replace(*uri) != Some(*uri)).take(PIECED_MAX) {
        if let Some(request) = refers(playlist, uri) {
            tier.streams().announced.add_in_pieces(request.key);
        }
    }
}

/// Tells the other renditions of a stream how far they are, which a playlist reports (section 4.4.5.4).
pub(crate) fn share_reports(tier: &Tier, playlist: &Request, stream: &Stream) {
    let Some(media) = stream.media() else { return };
    for report in &media.reports {
        let of = report.uri.as_ref().and_then(|uri| refers(playlist, uri));
        if let Some(other) = of.and_then(|request| tier.streams().of(&request.key)) {
            // With parts, the last segment may be one that is being made.
            let made = u64::from(report.last_part.is_none());
            other.note_known_position(report.last_sequence.saturating_add(made));
        }
    }
}

/// Forgets everything that a playlist of an earlier incarnation lists: the same names stand for other objects now.
pub(crate) fn purge_listed(tier: &Tier, playlist: &Request, old: &Media) {
    let segments = old.segments.iter().rev().take(SEGMENTS_MAX);
    let parts = segments.clone().flat_map(|segment| &segment.parts).chain(&old.next_parts);
    let maps = segments.clone().filter_map(|segment| segment.map.as_ref()).chain(&old.map);
    let listed = segments.map(|segment| (&segment.uri, segment.range));
    let listed = listed.chain(parts.map(|part| (&part.uri, None)));
    for (uri, range) in listed.chain(maps.map(|map| (&map.uri, map.range))) {
        if let Some(request) = uri.as_ref().and_then(|uri| refers(playlist, uri)) {
            tier.cache().purge(&request.key);
            if range.is_some() {
                tier.cache().purge(&request.piece(range).key);
            }
        }
    }
}

/// Of longer lists only the newest segments count: the others were announced long ago, and are asked for by few.
const SEGMENTS_MAX: usize = 2_000;
/// Of one playlist, so many resources are remembered to be listed in pieces.
const PIECED_MAX: usize = 1_000;

/// A request for what the playlist of `playlist` refers to by `uri`.
pub(super) fn refers(playlist: &Request, uri: &str) -> Option<Request> {
    let resource = playlist.resource.resolve(uri, &playlist.site.query)?;
    let key = Key::new(&playlist.site.name, &resource.path_and_query());
    Some(Request { resource, key, slice: None, ..playlist.clone() })
}

/// A request for something that a playlist announces. Segments and initialisation sections may be pieces of a resource
/// that are held by themselves; parts are pieces of one that grows, and is held as a whole.
pub(super) fn asks_for(playlist: &Request, announced: &Announcement) -> Option<Request> {
    let request = refers(playlist, &announced.uri)?;
    let is_sliced = matches!(announced.kind, AnnouncementKind::Segment | AnnouncementKind::Map);
    Some(if is_sliced { request.piece(announced.range) } else { request })
}

impl Request {
    /// For this piece of the resource, if it is one.
    fn piece(self, range: Option<ByteRange>) -> Self {
        let Some(slice) = range.and_then(Slice::listed) else { return self };
        let key = slice.key(&self.site, &self.resource.path_and_query());
        Self { slice: Some(slice), key, ..self }
    }
}

/// Remembers what a multivariant playlist tells.
pub(crate) fn remember_renditions(tier: &Tier, request: &Request, playlist: &Multivariant) {
    let named = playlist.variants.iter().chain(&playlist.renditions).take(OF_ONE_MAX);
    let keys: Arc<[Key]> = named.filter_map(|uri| Some(refers(request, uri)?.key)).collect();
    tier.streams().renditions.remember(&keys);
}
