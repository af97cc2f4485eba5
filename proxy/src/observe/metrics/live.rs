//! What is counted of live streams.

use prometheus::{Histogram, IntCounter, IntGauge};

use super::held::Held;
use super::table::Book;

/// The instruments of the live streams of one tier.
#[derive(Debug)]
pub struct Live {
    /// Versions of live playlists that came and were new.
    pub versions: IntCounter,
    /// Requests for the next version of a live playlist.
    pub polls: IntCounter,
    /// By how many segments a playlist that is served is behind the newest version that is known of.
    pub lag: Histogram,
    /// Playlists that were older than one that had been given out.
    pub backward: IntCounter,
    /// Playlists that stood still while another source could be asked.
    pub frozen: IntCounter,
    /// Streams that began anew under their old names.
    pub restarts: IntCounter,
    /// Objects that were fetched before anybody asked.
    pub prefetches: IntCounter,
    /// Those of them that were asked for afterwards.
    pub prefetch_hits: IntCounter,
    /// Those that were forgotten before anybody asked.
    pub prefetch_waste: IntCounter,
    /// Announced objects that were not fetched because the budget was used up.
    pub prefetch_skips: IntCounter,
    blocked: IntGauge,
    followed: IntGauge,
    known: IntGauge,
    asleep: IntGauge,
}

impl Live {
    pub(super) fn new(book: &Book<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            versions: book.counter("tidegate_playlist_versions_total", "New versions of live playlists.")?,
            polls: book.counter(
                "tidegate_playlist_polls_total",
                "Requests to upstreams for the next version of a live playlist.",
            )?,
            lag: book.histogram(
                "tidegate_playlist_lag_segments",
                "Segments by which a live playlist that is served is behind the newest version known of.",
                &[0.0, 1.0, 2.0, 3.0, 5.0, 10.0],
            )?,
            backward: book.counter(
                "tidegate_backward_playlists_total",
                "Live playlists that were not given out because they went back.",
            )?,
            frozen: book.counter(
                "tidegate_frozen_playlists_total",
                "Live playlists that stood still and were asked for at another source.",
            )?,
            restarts: book.counter(
                "tidegate_stream_restarts_total",
                "Streams that began anew under their old names.",
            )?,
            prefetches: book
                .counter("tidegate_prefetches_total", "Objects fetched before anybody asked for them.")?,
            prefetch_hits: book.counter(
                "tidegate_prefetch_hits_total",
                "Objects fetched before anybody asked that were asked for afterwards.",
            )?,
            prefetch_waste: book.counter(
                "tidegate_prefetch_waste_total",
                "Objects fetched before anybody asked that were forgotten before anybody did.",
            )?,
            prefetch_skips: book.counter(
                "tidegate_prefetch_skips_total",
                "Announced objects not fetched ahead because the budget was used up.",
            )?,
            blocked: book.gauge(
                "tidegate_blocked_requests",
                "Requests that are held until a live playlist has moved.",
            )?,
            followed: book.gauge(
                "tidegate_followed_playlists",
                "Live playlists whose next version is asked for before any viewer does.",
            )?,
            known: book.gauge(
                "tidegate_known_playlists",
                "Live playlists that are known: no older version of them is given out.",
            )?,
            asleep: book.gauge(
                "tidegate_sleeping_playlists",
                "Those of them that nobody watches, and that are kept in little memory.",
            )?,
        })
    }

    /// So many playlists are known, and so many of them sleep.
    pub(crate) fn known(&self, (known, asleep): (usize, usize)) {
        let told = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.known.set(told(known));
        self.asleep.set(told(asleep));
    }

    /// A request is held as long as what is returned.
    pub fn block(&self) -> Held {
        Held::new(&self.blocked)
    }

    /// A playlist is followed as long as what is returned.
    pub fn follow(&self) -> Held {
        Held::new(&self.followed)
    }
}
