//! Fetching what a playlist announces before anybody asks for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;
use prometheus::IntCounter;
use tidegate_cache::{Answer, FillReader, Key, Lookup, Witness};
use tidegate_hls::{Announced, ByteRange, Media, What};

use super::Stream;
use super::follow::watching;
use crate::metrics::Live;
use crate::request::{self, FillOptions, Request};
use crate::slice::Slice;
use crate::tier::Tier;
use crate::vary;

/// Remembers what a new version announces, and fetches it. `sent` are the header fields of a fill.
pub(crate) fn prefetch_announced(
    tier: &Arc<Tier>,
    playlist: &Request,
    stream: &Arc<Stream>,
    news: &[Announced],
    sent: &HeaderMap,
) {
    let is_watched = stream.media().is_some_and(|media| stream.is_watched(watching(&media)));
    let has_parts = news.iter().any(|announced| announced.what == What::Part);
    for announced in news {
        let Some(request) = asks_for(playlist, announced) else { continue };
        tier.streams().announced.add(&request.key, stream);
        if !matches!(announced.what, What::Hint(_)) {
            // Whoever asked too early was told that it is missing; now it is there.
            tier.cache().forgive(&request.key);
        }
        // A segment that was announced part by part is asked for by few: by those who come late.
        let is_wanted = !(has_parts && announced.what == What::Segment)
            && (request.slice.is_some() || is_whole(announced));
        if is_wanted && is_watched && playlist.site.prefetch {
            fetch(tier, stream, request, sent);
        }
    }
}

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
fn asks_for(playlist: &Request, announced: &Announced) -> Option<Request> {
    let request = refers(playlist, &announced.uri)?;
    let is_sliced = matches!(announced.what, What::Segment | What::Map);
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

/// A piece of a resource would bring the whole of it.
fn is_whole(announced: &Announced) -> bool {
    announced.range.is_none_or(|range| range.start == 0 && range.length.is_none())
}

/// Starts a fill that nobody has asked for, if there is none, nothing is held, and the budget allows it. Viewers' own
/// requests are never kept waiting by it: they join it.
fn fetch(tier: &Arc<Tier>, stream: &Arc<Stream>, request: Request, sent: &HeaderMap) {
    let live = &tier.metrics().live;
    let Some(share) = tier.streams().budget.take(stream.usual_bytes()) else {
        live.prefetch_skips.inc();
        return;
    };
    let lookup = tier.cache().look_up(&request.key, &|names| vary::variant(names, sent));
    if let Lookup::Miss(fill_reader, fill_writer) = lookup {
        live.prefetches.inc();
        let unasked = Box::new(Unasked::new(live));
        let (tier, stream, sent) = (Arc::clone(tier), Arc::clone(stream), sent.clone());
        let tasks = tier.tasks().clone();
        tasks.spawn(async move {
            let fill = request::fill(&tier, &request, fill_writer, &sent, FillOptions::default());
            tokio::join!(fill, witness(&fill_reader, &stream, unasked));
            drop((fill_reader, share));
        });
    }
}

/// Sees what becomes of an object that nobody has asked for.
async fn witness(fill_reader: &FillReader, stream: &Stream, unasked: Box<Unasked>) {
    if let Answer::Object(object) = fill_reader.answer().await {
        object.observe_by(unasked);
        if object.body.ended().await.is_ok() {
            stream.record_size(object.body.len());
        }
    }
}

/// Counts whether an object that was fetched ahead is asked for after all.
#[derive(Debug)]
struct Unasked {
    mark_requested: AtomicBool,
    hits: IntCounter,
    waste: IntCounter,
}

impl Unasked {
    fn new(live: &Live) -> Self {
        let (hits, waste) = (live.prefetch_hits.clone(), live.prefetch_waste.clone());
        Self { mark_requested: AtomicBool::new(false), hits, waste }
    }
}

impl Witness for Unasked {
    fn asked(&self) {
        if !self.mark_requested.swap(true, Ordering::AcqRel) {
            self.hits.inc();
        }
    }
}

impl Drop for Unasked {
    fn drop(&mut self) {
        if !*self.mark_requested.get_mut() {
            self.waste.inc();
        }
    }
}
