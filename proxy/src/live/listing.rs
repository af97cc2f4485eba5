//! The objects that a playlist lists: requests for them, the memory of them, and their end after a restart.

use std::sync::Arc;

use tidegate_cache::Key;
use tidegate_hls::{Announcement, AnnouncementKind, ByteRange, Media, Multivariant};

use super::renditions::RENDITIONS_MAX;
use super::stream::Stream;
use crate::request::parsed::Request;
use crate::request::slice::Slice;
use crate::tier::Tier;

/// Remembers every segment of a first version: earlier announcements are unknown.
pub(crate) fn remember_listed(tier: &Tier, playlist: &Request, stream: &Arc<Stream>, media: &Media) {
    for segment in media.segments.iter().rev().take(SEGMENTS_MAX) {
        let request = segment.uri.as_ref().and_then(|uri| request_for(playlist, uri));
        if let Some(request) = request.map(|request| request.with_range(segment.range)) {
            tier.streams().announced.add(&request.key, stream);
        }
    }
}

/// Remembers the resources of which a playlist lists byte ranges (HLS section 4.4.4.2): each slice is cached
/// as an object of its own.
pub(crate) fn remember_slices(tier: &Tier, playlist: &Request, media: &Media) {
    let segments = media.segments.iter().filter_map(|segment| segment.range.and(segment.uri.as_ref()));
    let maps = media.segments.iter().filter_map(|segment| segment.map.as_ref()).chain(&media.map);
    let maps = maps.filter_map(|map| map.range.and(map.uri.as_ref()));
    let mut last = None;
    // Most often all slices are of one resource.
    for uri in segments.chain(maps).filter(|uri| last.replace(*uri) != Some(*uri)).take(SLICED_MAX) {
        if let Some(request) = request_for(playlist, uri) {
            tier.streams().announced.add_sliced(request.key);
        }
    }
}

/// Remembers the keys that a live playlist lists: without them, its segments are of no use.
pub(crate) fn remember_keys(tier: &Tier, playlist: &Request, media: &Media) {
    for uri in media.keys.iter().rev().take(KEYS_MAX) {
        if let Some(request) = request_for(playlist, uri) {
            tier.streams().announced.add_key(request.key);
        }
    }
}

/// Passes rendition reports (HLS section 4.4.5.4) on to the streams of the reported renditions.
pub(crate) fn share_reports(tier: &Tier, playlist: &Request, stream: &Stream) {
    let Some(media) = stream.media() else { return };
    for report in &media.reports {
        let of = report.uri.as_ref().and_then(|uri| request_for(playlist, uri));
        if let Some(other) = of.and_then(|request| tier.streams().of(&request.key)) {
            // With parts, the last segment may be incomplete.
            let complete = u64::from(report.last_part.is_none());
            other.note_known_position(report.last_sequence.saturating_add(complete));
        }
    }
}

/// Purges every object that a playlist from before a restart lists: the same names denote other objects now.
pub(crate) fn purge_listed(tier: &Tier, playlist: &Request, old: &Media) {
    let segments = old.segments.iter().rev().take(SEGMENTS_MAX);
    let parts = segments.clone().flat_map(|segment| &segment.parts).chain(&old.next_parts);
    let maps = segments.clone().filter_map(|segment| segment.map.as_ref()).chain(&old.map);
    let listed = segments.map(|segment| (&segment.uri, segment.range));
    let listed = listed.chain(parts.map(|part| (&part.uri, None)));
    for (uri, range) in listed.chain(maps.map(|map| (&map.uri, map.range))) {
        if let Some(request) = uri.as_ref().and_then(|uri| request_for(playlist, uri)) {
            tier.cache().purge(&request.key);
            if range.is_some() {
                tier.cache().purge(&request.with_range(range).key);
            }
        }
    }
}

/// Of a longer playlist only the newest segments count: few viewers request the older ones.
const SEGMENTS_MAX: usize = 2_000;
/// Keys that are remembered of one version, the newest first.
const KEYS_MAX: usize = 16;
/// Sliced resources that are remembered of one playlist.
const SLICED_MAX: usize = 1_000;

/// A request for the object to which the playlist of the request `playlist` refers by `uri`.
fn request_for(playlist: &Request, uri: &str) -> Option<Request> {
    let resource = playlist.resource.resolve(uri, &playlist.site.query)?;
    let key = Key::new(&playlist.site.name, &resource.path_and_query());
    Some(Request { resource, key, slice: None, ..playlist.clone() })
}

/// A request for an announced object. Byte ranges of segments and initialisation sections are slices, cached
/// as objects of their own; parts are byte ranges of a growing resource, which is cached as a whole.
pub(super) fn request_for_announced(playlist: &Request, announced: &Announcement) -> Option<Request> {
    let request = request_for(playlist, &announced.uri)?;
    let is_sliced = matches!(announced.kind, AnnouncementKind::Segment | AnnouncementKind::Map);
    Some(if is_sliced { request.with_range(announced.range) } else { request })
}

impl Request {
    /// The request for a slice of its resource, if `range` is one.
    fn with_range(self, range: Option<ByteRange>) -> Self {
        let Some(slice) = range.and_then(Slice::listed) else { return self };
        let key = slice.key(&self.site, &self.resource.path_and_query());
        Self { slice: Some(slice), key, ..self }
    }
}

/// Remembers the renditions that a multivariant playlist lists.
pub(crate) fn remember_renditions(tier: &Tier, request: &Request, playlist: &Multivariant) {
    let listed = playlist.variants.iter().chain(&playlist.renditions).take(RENDITIONS_MAX);
    let keys: Arc<[Key]> = listed.filter_map(|uri| Some(request_for(request, uri)?.key)).collect();
    tier.streams().renditions.remember(&keys);
}
