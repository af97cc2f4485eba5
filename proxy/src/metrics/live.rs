//! What is counted of live streams.

use prometheus::{IntCounter, IntGauge};

use super::Held;
use super::table::Book;

/// The instruments of the live streams of one tier.
#[derive(Debug)]
pub struct Live {
    /// Versions of live playlists that came and were new.
    pub versions: IntCounter,
    /// Playlists that were older than one that had been given out.
    pub backward: IntCounter,
    /// Playlists that stood still while another source could be asked.
    pub frozen: IntCounter,
    /// Streams that began anew under their old names.
    pub restarts: IntCounter,
    /// Objects that were fetched before anybody asked.
    pub prefetches: IntCounter,
    blocked: IntGauge,
    followed: IntGauge,
}

impl Live {
    pub(super) fn new(book: &Book<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            versions: book.counter("tidegate_playlist_versions_total", "New versions of live playlists.")?,
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
            blocked: book.gauge(
                "tidegate_blocked_requests",
                "Requests that are held until a live playlist has moved.",
            )?,
            followed: book.gauge(
                "tidegate_followed_playlists",
                "Live playlists whose next version is asked for before any viewer does.",
            )?,
        })
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
