//! The objects that a playlist announces are fetched before viewers request them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderMap, StatusCode};
use prometheus::IntCounter;
use tidegate_cache::{Answer, FillReader, Lookup, Observer};
use tidegate_headers::vary;
use tidegate_hls::{Announcement, AnnouncementKind};

use super::listing::request_for_announced;
use super::stream::{Stream, watch_interval};
use crate::fill::{self, FillOptions};
use crate::observe::metrics::Live;
use crate::request::parsed::Request;
use crate::request::whole;
use crate::tier::Tier;

/// Remembers the objects that a new version announces, and fetches them, with the fields `fill_headers`.
pub(crate) fn prefetch_announced(
    tier: &Arc<Tier>,
    playlist: &Request,
    stream: &Arc<Stream>,
    announcements: &[Announcement],
    fill_headers: &HeaderMap,
) {
    // Of a playlist that is requested once, and then not again, nothing else is needed.
    let is_watched =
        stream.is_followed() && stream.media().is_some_and(|media| stream.is_watched(watch_interval(&media)));
    let has_parts = announcements.iter().any(|announced| announced.kind == AnnouncementKind::Part);
    for announced in announcements {
        let Some(request) = request_for_announced(playlist, announced) else { continue };
        tier.streams().announced.add(&request.key, stream);
        if !matches!(announced.kind, AnnouncementKind::Hint(_)) {
            // An early request may have left a 404 in the cache; now the object is there.
            tier.cache().purge_negative(&request.key);
        }
        // Few viewers request a segment whose parts were announced: only those that are late.
        let is_wanted = !(has_parts && announced.kind == AnnouncementKind::Segment)
            && (request.slice.is_some() || is_whole_resource(announced));
        if is_wanted && is_watched && playlist.site.prefetch {
            fetch(tier, stream, request, fill_headers);
        }
    }
}

/// Whether an announced object is a whole resource: a fill for a byte range of it would fetch all of it.
fn is_whole_resource(announced: &Announcement) -> bool {
    announced.range.is_none_or(|range| range.start == 0 && range.length.is_none())
}

/// Starts a fill that no viewer has requested, if the object is neither cached nor being filled, and the
/// budget allows it. It delays no request of a viewer: such a request joins it.
fn fetch(tier: &Arc<Tier>, stream: &Arc<Stream>, request: Request, fill_headers: &HeaderMap) {
    if whole::serves(tier, &request) {
        return;
    }
    let live = &tier.metrics().live;
    let Some(share) = tier.streams().budget.try_acquire(stream.expected_bytes(), &stream.prefetches) else {
        live.prefetch_skips.inc();
        return;
    };
    let lookup = tier.cache().look_up(&request.key, &|names| vary::variant(names, fill_headers));
    if let Lookup::Miss(fill_reader, fill_writer) = lookup
        && let Some(fill_writer) = whole::unless_served(tier, &request, fill_writer)
    {
        live.prefetches.inc();
        let usage = Box::new(Usage::new(live));
        let (tier, stream, fill_headers) = (Arc::clone(tier), Arc::clone(stream), fill_headers.clone());
        let tasks = tier.tasks().clone();
        tasks.spawn(async move {
            let fill = fill::fill(&tier, &request, fill_writer, &fill_headers, FillOptions::default());
            let (filled, ()) = tokio::join!(fill, observe_fill(&request, &fill_reader, &stream, usage));
            if let Some(playlist) = &filled.stream {
                // The segment turned out to be a playlist: it is not followed before a viewer has requested
                // it.
                playlist.discard_received();
            }
            drop((fill_reader, share));
        });
    }
}

/// Observes the use of a prefetched object, and records its size.
async fn observe_fill(request: &Request, fill_reader: &FillReader, stream: &Stream, usage: Box<Usage>) {
    if let Answer::Object(object) = fill_reader.answer().await {
        object.set_observer(usage);
        // The whole resource in place of a slice says nothing about the next slice.
        let is_expected = request.slice.is_none() || object.head.status == StatusCode::PARTIAL_CONTENT;
        if is_expected && object.body.wait_for_end().await.is_ok() {
            stream.record_size(object.body.len());
        }
    }
}

/// Counts whether a viewer requests a prefetched object.
#[derive(Debug)]
struct Usage {
    is_requested: AtomicBool,
    hits: IntCounter,
    waste: IntCounter,
}

impl Usage {
    fn new(live: &Live) -> Self {
        let (hits, waste) = (live.prefetch_hits.clone(), live.prefetch_waste.clone());
        Self { is_requested: AtomicBool::new(false), hits, waste }
    }
}

impl Observer for Usage {
    fn on_request(&self) {
        if !self.is_requested.swap(true, Ordering::AcqRel) {
            self.hits.inc();
        }
    }
}

impl Drop for Usage {
    fn drop(&mut self) {
        if !*self.is_requested.get_mut() {
            self.waste.inc();
        }
    }
}
