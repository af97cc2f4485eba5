//! Fetching what a playlist announces before anybody asks for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;
use prometheus::IntCounter;
use tidegate_cache::{Answer, FillReader, Lookup, Observer};
use tidegate_headers::vary;
use tidegate_hls::{Announcement, AnnouncementKind};

use super::listing::asks_for;
use super::stream::{Stream, watch_interval};
use crate::fill::{self, FillOptions};
use crate::observe::metrics::Live;
use crate::request::parsed::Request;
use crate::tier::Tier;

/// Remembers what a new version announces, and fetches it. `sent` are the header fields of a fill.
pub(crate) fn prefetch_announced(
    tier: &Arc<Tier>,
    playlist: &Request,
    stream: &Arc<Stream>,
    news: &[Announcement],
    sent: &HeaderMap,
) {
    let is_watched = stream.media().is_some_and(|media| stream.is_watched(watch_interval(&media)));
    let has_parts = news.iter().any(|announced| announced.kind == AnnouncementKind::Part);
    for announced in news {
        let Some(request) = asks_for(playlist, announced) else { continue };
        tier.streams().announced.add(&request.key, stream);
        if !matches!(announced.kind, AnnouncementKind::Hint(_)) {
            // Whoever asked too early was told that it is missing; now it is there.
            tier.cache().purge_negative(&request.key);
        }
        // A segment that was announced part by part is asked for by few: by those who come late.
        let is_wanted = !(has_parts && announced.kind == AnnouncementKind::Segment)
            && (request.slice.is_some() || is_whole(announced));
        if is_wanted && is_watched && playlist.site.prefetch {
            fetch(tier, stream, request, sent);
        }
    }
}

/// A piece of a resource would bring the whole of it.
fn is_whole(announced: &Announcement) -> bool {
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
            let fill = fill::fill(&tier, &request, fill_writer, &sent, FillOptions::default());
            let (filled, ()) = tokio::join!(fill, witness(&fill_reader, &stream, unasked));
            if let Some(playlist) = &filled.stream {
                // A segment that is a playlist in truth: it is not followed before a viewer has requested it.
                playlist.dismiss();
            }
            drop((fill_reader, share));
        });
    }
}

/// Sees what becomes of an object that nobody has asked for.
async fn witness(fill_reader: &FillReader, stream: &Stream, unasked: Box<Unasked>) {
    if let Answer::Object(object) = fill_reader.answer().await {
        object.set_observer(unasked);
        if object.body.wait_for_end().await.is_ok() {
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

impl Observer for Unasked {
    fn on_request(&self) {
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
