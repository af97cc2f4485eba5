//! Fetching what a playlist announces before anybody asks for it.

use std::sync::Arc;

use http::HeaderMap;
use tidegate_cache::{Key, Lookup};
use tidegate_hls::{Announced, Media, What};

use crate::request::{self, Errand, Request};
use crate::tier::Tier;
use crate::vary;

/// Remembers what a new version announces, and fetches it. `sent` are the header fields of a fill.
pub(crate) fn announced(tier: &Arc<Tier>, playlist: &Request, news: &[Announced], sent: &HeaderMap) {
    let has_parts = news.iter().any(|announced| announced.what == What::Part);
    for announced in news {
        let Some(request) = refers(playlist, &announced.uri) else { continue };
        tier.streams().announced.add(request.key.clone());
        // A segment that was announced part by part is asked for by few: by those who come late.
        let is_wanted = !(has_parts && announced.what == What::Segment) && is_whole(announced);
        if is_wanted && playlist.site.prefetch {
            fetch(tier, request, sent);
        }
    }
}

/// Remembers everything that a first version lists: nobody knows what else was announced before.
pub(crate) fn listed(tier: &Tier, playlist: &Request, media: &Media) {
    for uri in media.segments.iter().rev().take(SEGMENTS_MAX).filter_map(|segment| segment.uri.as_ref()) {
        if let Some(request) = refers(playlist, uri) {
            tier.streams().announced.add(request.key);
        }
    }
}

/// Ends the freshness of the file whose newest range a new version announces, before anybody can know of it: what is
/// held of a file that grows ends before that range.
pub(crate) fn outgrown(tier: &Tier, playlist: &Request, media: &Media, old: Option<&Media>) {
    let newest = media.segments.last().filter(|newest| newest.range.is_some());
    let newest = newest.filter(|newest| old.is_none_or(|old| newest.sequence >= old.next_sequence()));
    if let Some(request) = newest.and_then(|newest| refers(playlist, newest.uri.as_ref()?)) {
        tier.cache().expire(&request.key);
    }
}

/// Forgets everything that a playlist of an earlier incarnation lists: the same names stand for other objects now.
pub(crate) fn fence_off(tier: &Tier, playlist: &Request, old: &Media) {
    let segments = old.segments.iter().rev().take(SEGMENTS_MAX);
    let parts = segments.clone().flat_map(|segment| &segment.parts).chain(&old.next_parts);
    let maps = segments.clone().filter_map(|segment| segment.map.as_ref()).chain(&old.map);
    let uris = segments.filter_map(|segment| segment.uri.as_ref());
    let uris = uris.chain(parts.filter_map(|part| part.uri.as_ref()));
    for uri in uris.chain(maps.filter_map(|map| map.uri.as_ref())) {
        if let Some(request) = refers(playlist, uri) {
            tier.cache().purge(&request.key);
        }
    }
}

/// Of longer lists only the newest segments count: the others were announced long ago, and are asked for by few.
const SEGMENTS_MAX: usize = 2_000;

/// A request for what the playlist of `playlist` refers to by `uri`.
fn refers(playlist: &Request, uri: &str) -> Option<Request> {
    let resource = playlist.resource.resolve(uri, &playlist.site.query)?;
    let key = Key::new(&playlist.site.name, &resource.path_and_query());
    Some(Request { resource, key, ..playlist.clone() })
}

/// A piece of a resource would bring the whole of it.
fn is_whole(announced: &Announced) -> bool {
    announced.range.is_none_or(|range| range.start == 0 && range.length.is_none())
}

/// Starts a fill that nobody has asked for, if there is none and nothing is held. Viewers' own requests are never kept
/// waiting by it: they join it.
fn fetch(tier: &Arc<Tier>, request: Request, sent: &HeaderMap) {
    let Ok(permit) = Arc::clone(&tier.streams().prefetching).try_acquire_owned() else { return };
    let lookup = tier.cache().look_up(&request.key, &|names| vary::variant(names, sent));
    if let Lookup::Miss(ticket, filling) = lookup {
        let (tier, sent) = (Arc::clone(tier), sent.clone());
        tier.metrics().live.prefetches.inc();
        let tasks = tier.tasks().clone();
        tasks.spawn(async move {
            request::fill(&tier, &request, filling, &sent, Errand::default()).await;
            drop((ticket, permit));
        });
    }
}
