//! The metrics of a tier, for Prometheus: base units, `tidegate_<noun>_<unit>[_total]`, labels only from
//! enums.
//!
//! Each tier has a registry of its own, so that several can live in one process, and every sample has the
//! labels `tier` and `node`. Handles are resolved once, and a labelled series appears with its first use.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use prometheus::{Histogram, IntCounter, IntGauge, Registry, TextEncoder};
use tidegate_cache::Totals;
use tidegate_hls::Kind;
use tidegate_upstream::Pool;

use crate::fate::Fate;
use crate::observe::label::Label;

mod access;
mod audience;
mod cache;
mod connections;
mod gauge_guard;
mod hits;
mod labels;
mod live;
mod purges;
mod reloads;
mod table;
mod tls;
mod upstreams;

pub use self::access::Access;
pub use self::audience::Audience;
pub use self::connections::Connections;
pub use self::live::Live;
pub use self::purges::Purges;
pub use self::reloads::Reloads;
pub use gauge_guard::GaugeGuard;
pub use labels::{
    CmcdEvent, CmcdResult, ConnectionRefusal, Failover, FillEnd, Http2Error, Ordered, PurgeKind, Reload,
    StatusClass, TokenRefusal, UnsharedReason, UpstreamEnd, UpstreamState, WebhookResult,
};
pub use tls::Tls;
pub use upstreams::Upstreams;

use cache::Cache;
use hits::{Hits, Instruments};
use table::{CounterTable, HistogramTable, Registrar};

/// The instruments of one tier. Those without rules of their own are public handles.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: CounterTable,
    response_body_bytes: CounterTable,
    time_to_first_byte: HistogramTable,
    fills: CounterTable,
    requests_per_fill: Histogram,
    hits: Hits,
    upstream_requests: CounterTable,
    failovers: CounterTable,
    playlist_age: Histogram,
    cache: Cache,
    /// Access and limits.
    pub access: Access,
    /// Viewers.
    pub audience: Audience,
    /// Live streams.
    pub live: Live,
    /// Purges.
    pub purges: Purges,
    /// Reloads of the configuration.
    pub reloads: Reloads,
    /// Upstreams.
    pub upstreams: Upstreams,
    /// The TLS listener.
    pub tls: Tls,
    /// Requests sent upstream, retries, rescues and passes included.
    pub origin_requests: IntCounter,
    /// Upstream requests that would have been enough: one per fill and one per pass.
    pub origin_requests_needed: IntCounter,
    /// Viewers' connections.
    pub connections: Connections,
    /// Access-log lines dropped.
    pub access_log_dropped: IntCounter,
    /// 1 while the tier drains.
    pub draining: IntGauge,
}

impl Metrics {
    /// Makes and registers the instruments. `tier` and `node` are labels of every sample.
    pub fn new(tier: &str, node: &str, commit: &str) -> Result<Self, prometheus::Error> {
        let common =
            [("tier", tier), ("node", node)].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let registry = Registry::new_custom(None, Some(HashMap::from(common)))?;
        let registrar = Registrar::new(&registry);
        registrar.constant(
            "tidegate_build_info",
            "Always 1; version and commit of the running build are in the labels.",
            &[("version", env!("CARGO_PKG_VERSION")), ("commit", commit)],
        )?;
        registrar.process()?;
        Self::register(&registrar, registry.clone())
    }

    /// The text that Prometheus scrapes.
    pub fn render(&self) -> String {
        self.hits.flush();
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }

    /// Counts a finished request. `status` is `None` when the viewer left before the response began.
    pub fn request(&self, fate: Fate, status: Option<StatusCode>, kind: Kind) {
        let class = StatusClass::of(status);
        self.requests.with([&fate, &class, &kind], IntCounter::inc);
    }

    /// Counts a complete hit: the same as [`Metrics::request`], [`Metrics::body_bytes`] and
    /// [`Metrics::first_byte`].
    pub fn hit(&self, kind: Kind, body_bytes: u64, first_byte: Option<Duration>) {
        self.hits.count(self, kind, body_bytes, first_byte);
    }

    /// Counts a hit on the fast path, with its body from a file or from memory.
    pub fn fast_path_hit(&self, is_from_file: bool) {
        self.hits.count_fast_path(is_from_file);
    }

    /// Counts body bytes sent to a viewer.
    pub fn body_bytes(&self, fate: Fate, bytes: u64) {
        self.response_body_bytes.with([&fate], |sent| sent.inc_by(bytes));
    }

    /// Records the time from the request that was read to the first byte of its response.
    pub fn first_byte(&self, fate: Fate, after: Duration) {
        self.time_to_first_byte.with([&fate], |histogram| histogram.observe(after.as_secs_f64()));
    }

    /// Counts a fill that ended, and the requests that it served.
    pub fn fill_ended(&self, end: FillEnd, requests: usize) {
        self.fills.with([&end], IntCounter::inc);
        // A float represents every 32-bit count exactly.
        self.requests_per_fill.observe(f64::from(u32::try_from(requests).unwrap_or(u32::MAX)));
    }

    /// Counts an upstream request that ended.
    pub fn upstream_request(&self, end: UpstreamEnd) {
        self.upstream_requests.with([&end], IntCounter::inc);
    }

    /// Counts a failover to the next upstream.
    pub fn failover(&self, reason: Failover) {
        self.failovers.with([&reason], IntCounter::inc);
    }

    /// Failovers by reason; a reason without any is left out.
    pub fn failovers_by_reason(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for reason in Failover::ALL {
            self.failovers.with([reason], |counter| _ = counts.insert(reason.as_str(), counter.get()));
        }
        counts.retain(|_, count| *count > 0);
        counts
    }

    /// Records the age of a served live playlist.
    pub fn playlist_served(&self, age: Duration) {
        self.playlist_age.observe(age.as_secs_f64());
    }

    /// Copies the cache's own counts, and the bytes of sendfile copies. Call it before [`Metrics::render`].
    pub fn cache(&self, totals: &Totals, sendfile_bytes: u64) {
        self.cache.observe(totals, sendfile_bytes);
    }

    /// Copies the pools' own counts. Call it before [`Metrics::render`].
    pub fn upstreams(&self, pools: &[Arc<Pool>]) {
        self.upstreams.observe(pools);
    }

    fn register(registrar: &Registrar<'_>, registry: Registry) -> Result<Self, prometheus::Error> {
        let fate = ("fate", values(Fate::ALL));
        Ok(Self {
            registry,
            requests: registrar.counters(
                "tidegate_requests_total",
                "Finished requests from viewers (at a shield: from edges).",
                &[fate, ("status_class", values(StatusClass::ALL)), ("kind", values(Kind::ALL))],
            )?,
            response_body_bytes: registrar.counters(
                "tidegate_response_body_bytes_total",
                "Body bytes sent to viewers (at a shield: to edges).",
                &[fate],
            )?,
            time_to_first_byte: registrar.histograms(
                "tidegate_time_to_first_byte_seconds",
                "Time from the request that was read to the first byte of its response.",
                &[fate],
                &FIRST_BYTE_BUCKETS,
            )?,
            fills: registrar.counters(
                "tidegate_fills_total",
                "Finished fills of the cache, by outcome.",
                &[("outcome", values(FillEnd::ALL))],
            )?,
            requests_per_fill: registrar.histogram(
                "tidegate_requests_per_fill",
                "Requests that one fill served.",
                &REQUESTS_PER_FILL_BUCKETS,
            )?,
            upstream_requests: registrar.counters(
                "tidegate_upstream_requests_total",
                "Finished upstream requests, by outcome. Each is counted once.",
                &[("outcome", values(UpstreamEnd::ALL))],
            )?,
            failovers: registrar.counters(
                "tidegate_failovers_total",
                "Failovers to the next upstream, by the failure of the one before.",
                &[("reason", values(Failover::ALL))],
            )?,
            playlist_age: registrar.histogram(
                "tidegate_playlist_age_at_serve_seconds",
                "Age of live playlists at the moment they were served.",
                &AGE_BUCKETS,
            )?,
            cache: Cache::new(registrar)?,
            access: Access::new(registrar)?,
            audience: Audience::new(registrar)?,
            live: Live::new(registrar)?,
            purges: Purges::new(registrar)?,
            reloads: Reloads::new(registrar)?,
            upstreams: Upstreams::new(registrar)?,
            tls: Tls::new(registrar)?,
            origin_requests: registrar.counter(
                "tidegate_origin_requests_total",
                "Upstream requests sent, retries, rescues and passes included.",
            )?,
            origin_requests_needed: registrar.counter(
                "tidegate_origin_requests_needed_total",
                "Upstream requests that would have been enough: one per fill and one per pass.",
            )?,
            hits: Hits::new(registrar)?,
            connections: Connections::new(registrar)?,
            access_log_dropped: registrar.counter(
                "tidegate_access_log_dropped_total",
                "Access-log lines dropped: full queue or failed write.",
            )?,
            draining: registrar.gauge("tidegate_draining", "1 while the node drains, else 0.")?,
        })
    }
}

impl Instruments for Metrics {
    fn hits(&self, kind: Kind) -> Option<IntCounter> {
        self.requests.handle([&Fate::Hit, &StatusClass::Success, &kind])
    }

    fn body_bytes(&self) -> Option<IntCounter> {
        self.response_body_bytes.handle([&Fate::Hit])
    }

    fn first_byte(&self) -> Option<Histogram> {
        self.time_to_first_byte.handle([&Fate::Hit])
    }
}

/// The number of values of a label.
fn values<L: Label>(values: &[L]) -> usize {
    values.len()
}

/// A hit takes microseconds, a blocking reload up to three target durations.
const FIRST_BYTE_BUCKETS: [f64; 16] =
    [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const REQUESTS_PER_FILL_BUCKETS: [f64; 13] =
    [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0];
const AGE_BUCKETS: [f64; 13] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 20.0, 60.0];

#[cfg(test)]
mod tests;
