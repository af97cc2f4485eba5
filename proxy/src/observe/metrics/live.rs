//! Counts of live streams.

use prometheus::{Histogram, IntCounter, IntGauge};

use super::gauge_guard::GaugeGuard;
use super::labels::UnsharedReason;
use super::table::{CounterTable, Registrar};

/// The instruments of the live streams of one tier.
#[derive(Debug)]
pub struct Live {
    /// New versions of live playlists received.
    pub versions: IntCounter,
    /// Requests for the next version of a live playlist.
    pub polls: IntCounter,
    /// Segments by which a served playlist is behind the newest known version.
    pub lag: Histogram,
    /// Playlists rejected because they were older than one already served.
    pub backward: IntCounter,
    /// Playlists that did not advance in time while another upstream was available.
    pub frozen: IntCounter,
    /// Streams whose encoder restarted.
    pub restarts: IntCounter,
    /// Playlists by which players leave this node.
    pub leaving: IntCounter,
    /// Announced objects that were prefetched.
    pub prefetches: IntCounter,
    /// Prefetched objects that a viewer requested later.
    pub prefetch_hits: IntCounter,
    /// Prefetched objects that left the cache without a request.
    pub prefetch_waste: IntCounter,
    /// Announced objects that were not prefetched because the budget was used up.
    pub prefetch_skips: IntCounter,
    /// Live playlists that were not followed because a limit was reached.
    pub followers_refused: IntCounter,
    unshared_fills: CounterTable,
    blocked: IntGauge,
    followed: IntGauge,
    known: IntGauge,
    asleep: IntGauge,
}

impl Live {
    pub(super) fn new(registrar: &Registrar<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            versions: registrar.counter(
                "tidegate_playlist_versions_total",
                "New versions of live playlists received from upstreams.",
            )?,
            polls: registrar.counter(
                "tidegate_playlist_polls_total",
                "Upstream requests for the next version of a live playlist.",
            )?,
            lag: registrar.histogram(
                "tidegate_playlist_lag_segments",
                "Segments by which a served live playlist is behind the newest known version.",
                &[0.0, 1.0, 2.0, 3.0, 5.0, 10.0],
            )?,
            backward: registrar.counter(
                "tidegate_backward_playlists_total",
                "Live playlists rejected because they were older than one already served.",
            )?,
            frozen: registrar.counter(
                "tidegate_frozen_playlists_total",
                "Live playlists that did not advance in time and were requested from another upstream.",
            )?,
            restarts: registrar
                .counter("tidegate_stream_restarts_total", "Streams whose encoder restarted.")?,
            leaving: registrar.counter(
                "tidegate_leaving_playlists_total",
                "Playlists that lead players to another host, by a redirect or by their URIs.",
            )?,
            prefetches: registrar
                .counter("tidegate_prefetches_total", "Announced objects that were prefetched.")?,
            prefetch_hits: registrar.counter(
                "tidegate_prefetch_hits_total",
                "Prefetched objects that a viewer requested later.",
            )?,
            prefetch_waste: registrar.counter(
                "tidegate_prefetch_waste_total",
                "Prefetched objects that left the cache without a request.",
            )?,
            prefetch_skips: registrar.counter(
                "tidegate_prefetch_skips_total",
                "Announced objects not prefetched because a limit of prefetches was reached.",
            )?,
            followers_refused: registrar.counter(
                "tidegate_followers_refused_total",
                "Times that a live playlist was not followed because of followers_max or followers_per_path_max.",
            )?,
            unshared_fills: registrar.counters(
                "tidegate_unshared_fills_total",
                "Fills of playlists and segments that viewers cannot share, by reason.",
                &[("reason", UnsharedReason::ALL.len())],
            )?,
            blocked: registrar
                .gauge("tidegate_blocked_requests", "Requests blocked until a live playlist advances.")?,
            followed: registrar.gauge(
                "tidegate_followed_playlists",
                "Live playlists whose next version is requested ahead of viewers.",
            )?,
            known: registrar.gauge(
                "tidegate_known_playlists",
                "Live playlists remembered so that no older version is served.",
            )?,
            asleep: registrar.gauge(
                "tidegate_sleeping_playlists",
                "Known live playlists without viewers, kept in a compact form.",
            )?,
        })
    }

    /// Sets how many playlists are known and how many of them sleep.
    pub(crate) fn known(&self, (known, asleep): (usize, usize)) {
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.known.set(gauge(known));
        self.asleep.set(gauge(asleep));
    }

    /// Counts a fill that viewers cannot share.
    pub(crate) fn unshared(&self, reason: UnsharedReason) {
        self.unshared_fills.with([&reason], IntCounter::inc);
    }

    /// Counts a blocked request for as long as the guard lives.
    pub fn block(&self) -> GaugeGuard {
        GaugeGuard::new(&self.blocked)
    }

    /// Counts a followed playlist for as long as the guard lives.
    pub fn follow(&self) -> GaugeGuard {
        GaugeGuard::new(&self.followed)
    }
}
