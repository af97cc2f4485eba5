//! One upstream: its connections, its limits, its health.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use pingora_core::upstreams::peer::HttpPeer;
use tokio::time::Instant;

use crate::balance::peers::Peers;
use crate::connect::connections::Connections;
use crate::connect::dial::dial;
use crate::connect::http1::idle::Key;
use crate::connect::resolve::Resolver;
use crate::error::UpstreamError;
use crate::fetch::limiter::{Class, Limiter, Permit};
use crate::health::latency::Latency;
use crate::health::reported_failures::{REPORT_LIFETIME, ReportedFailures};
use crate::health::retry_after::Pauses;
use crate::health::{Change, Health, Others, State, Status};
use crate::spec::Spec;

/// Bytes that an upstream may send ahead on one HTTP/2 stream.
const STREAM_WINDOW: u32 = 1 << 20;

/// The largest window (RFC 9113 section 6.9.1).
const WINDOW_MAX: u32 = (1 << 31) - 1;

/// Responses without which their times mean nothing.
const ANSWERS_MIN: u64 = 20;
/// Until then, a hedge is sent after this time.
const HEDGE_UNKNOWN: Duration = Duration::from_secs(1);

/// One upstream.
pub struct Upstream {
    name: Arc<str>,
    spec: Spec,
    /// The name that its certificate must have, if it uses TLS.
    tls_name: Option<Arc<str>>,
    resolver: Resolver,
    limiter: Limiter,
    health: Arc<Mutex<Health>>,
    latency: Mutex<Latency>,
    /// The smoothed round-trip time.
    round_trip: Mutex<Option<Duration>>,
    /// When the last trial request was sent.
    last_trial: Mutex<Option<Instant>>,
    reported_failures: ReportedFailures,
    pauses: Pauses,
    peers: Arc<Peers>,
    counts: Counts,
}

/// The counters of an upstream.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    requests: AtomicU64,
    failures: AtomicU64,
    ejections: AtomicU64,
    outpaced: AtomicU64,
    refused: AtomicU64,
    good_probes: AtomicU64,
    failed_probes: AtomicU64,
}

/// The report of an upstream, for the status page and the metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Its name: its address.
    pub name: Arc<str>,
    /// Its group.
    pub group: u32,
    /// Its region.
    pub region: Option<Arc<str>>,
    /// Its weight.
    pub weight: u32,
    /// Its state.
    pub state: State,
    /// How long it has been in that state.
    pub since: Duration,
    /// The error that put it out.
    pub why: Option<UpstreamError>,
    /// Requests in flight, blocked ones included.
    pub in_flight: usize,
    /// Requests in the queue.
    pub waiting: usize,
    /// Requests sent.
    pub requests: u64,
    /// Requests that failed.
    pub failures: u64,
    /// Consecutive failures.
    pub failures_in_a_row: u32,
    /// How often it was ejected or went down.
    pub ejections: u64,
    /// How often another upstream received the request later and responded first.
    pub outpaced: u64,
    /// Requests that found its queue full.
    pub refused: u64,
    /// Probes that succeeded, and that failed.
    pub probes: (u64, u64),
    /// Time to the head of the response: p50, p95, p99.
    pub latency: [Option<Duration>; 3],
    /// The smoothed round-trip time.
    pub round_trip: Option<Duration>,
}

impl Upstream {
    pub(crate) fn new(spec: Spec, peers: &Arc<Peers>) -> Arc<Self> {
        let now = Instant::now();
        let health = Health::new(spec.options.rules, spec.options.probe.is_some(), now);
        let health = Arc::new(Mutex::new(health));
        peers.add(&health);
        let tls_name =
            || spec.options.connections.trust().server_name().unwrap_or_else(|| spec.address.host());
        Arc::new(Self {
            name: spec.address.to_string().into(),
            tls_name: spec.address.is_tls().then(|| tls_name().into()),
            resolver: Resolver::new(&spec.address, &spec.options.dns),
            limiter: Limiter::new(spec.options.limits),
            health,
            latency: Mutex::new(Latency::new(now)),
            round_trip: Mutex::new(None),
            last_trial: Mutex::new(None),
            reported_failures: ReportedFailures::default(),
            pauses: Pauses::default(),
            peers: Arc::clone(peers),
            counts: Counts::default(),
            spec,
        })
    }

    /// Its name in logs and on the status page: its address.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its specification.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Its state.
    pub fn state(&self) -> State {
        self.update(|_, _| None);
        self.health.lock().status().state
    }

    /// The share of its load, from 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        self.health.lock().share(Instant::now())
    }

    /// Requests in flight, without blocked ones.
    pub(crate) fn load(&self) -> usize {
        self.limiter.load()
    }

    /// The smoothed round-trip time, if known.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        *self.round_trip.lock()
    }

    /// Whether its round-trip time matters and is unknown.
    pub(crate) fn needs_round_trip(&self) -> bool {
        self.peers.geography.is_some() && self.round_trip().is_none()
    }

    /// Whether a request may be sent. To an upstream that is out it is a trial: there is one now and then,
    /// for the upstream that has waited longest; `rest` are the others that may be next.
    pub(crate) fn admit_request(&self, rest: &[Arc<Self>]) -> bool {
        if self.state().is_available() {
            return true;
        }
        let is_alone = !rest.iter().any(|other| other.state().is_available());
        if is_alone && self.health.lock().accepts_connections() {
            // Only its responses to probes are missing, and there is no better upstream.
            return true;
        }
        let mine = *self.last_trial.lock();
        let is_peer =
            |other: &&Arc<Self>| Arc::ptr_eq(&self.peers, &other.peers) && !other.state().is_available();
        let mut others = rest.iter().filter(is_peer);
        let is_turn = others.all(|other| *other.last_trial.lock() >= mine);
        let may_try = is_turn && self.peers.admit_trial();
        if may_try {
            *self.last_trial.lock() = Some(Instant::now());
        }
        may_try
    }

    /// The failures behind it that it has reported.
    pub(crate) fn reported_failures(&self) -> &ReportedFailures {
        &self.reported_failures
    }

    /// The pauses that it has asked for.
    pub(crate) fn pauses(&self) -> &Pauses {
        &self.pauses
    }

    /// The error that put it out.
    pub fn why(&self) -> Option<UpstreamError> {
        self.health.lock().status().why
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.spec.options.connections
    }

    /// Waits for a permit, which lasts until it is dropped.
    ///
    /// # Errors
    /// If the queue is full, or the wait takes too long.
    pub async fn acquire(&self, class: Class) -> Result<Permit, UpstreamError> {
        let passed = self.limiter.acquire(class).await;
        if passed.is_err() {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
        }
        passed
    }

    pub(crate) fn count_request(&self) {
        self.counts.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// When a hedge is sent.
    pub(crate) fn hedge_delay(&self) -> Option<Duration> {
        let least = self.spec.options.hedge_delay?;
        let now = Instant::now();
        let mut latency = self.latency.lock();
        let known = latency.count(now) >= ANSWERS_MIN;
        let usual = if known { latency.quantile(0.95, now)? } else { HEDGE_UNKNOWN };
        Some(usual.max(least))
    }

    /// Records the first byte of the response to a request sent at `sent`, if the time means anything.
    pub(crate) fn record_first_byte(&self, sent: Option<Instant>) {
        if let Some(took) = sent.map(|sent| sent.elapsed()) {
            self.latency.lock().observe(took, Instant::now());
            // A response takes a round trip and the server's time: it can only show that the round trip is
            // shorter.
            if self.round_trip().is_some_and(|known| took < known) {
                self.observe_round_trip(took);
            }
        }
        self.update(|health, now| health.record_first_byte(sent.unwrap_or(now), now));
    }

    /// It blocked a request until the timeout, without anything new.
    pub(crate) fn record_blocked_timeout(&self, folder: &Arc<str>, blocked_for: Duration) {
        // Another tier would block the next request for as long.
        self.reported_failures.record(folder, REPORT_LIFETIME + blocked_for, Instant::now());
    }

    /// Records that it has reported a failure behind it.
    pub(crate) fn record_reported_failure(&self, error: UpstreamError, folder: &Arc<str>) {
        self.reported_failures.record(folder, REPORT_LIFETIME, Instant::now());
        self.counts.failures.fetch_add(1, Ordering::Relaxed);
        let others = self.others();
        self.update(|health, now| health.record_reported_failure(error, others, fastrand::f64(), now));
    }

    /// Records a complete response.
    pub(crate) fn record_success(&self) {
        self.update(|health, now| {
            health.record_success(now);
            None
        });
    }

    pub(crate) fn record_failure(&self, error: UpstreamError) {
        if error == UpstreamError::Full {
            // It is this tier that has sent too much.
            return;
        }
        self.counts.failures.fetch_add(1, Ordering::Relaxed);
        if error == UpstreamError::Outpaced {
            self.counts.outpaced.fetch_add(1, Ordering::Relaxed);
        }
        let others = self.others();
        self.update(|health, now| health.record_failure(error, others, fastrand::f64(), now));
    }

    fn others(&self) -> Others {
        self.peers.others(&self.health, self.spec.options.rules.ejected_share_max)
    }

    /// Records a round-trip time.
    pub(crate) fn observe_round_trip(&self, round_trip: Duration) {
        let mut known = self.round_trip.lock();
        // The smoothing of RFC 6298 section 2.
        *known = Some(known.map_or(round_trip, |known| known.mul_f64(0.875) + round_trip.mul_f64(0.125)));
        drop(known);
        if let Some(geography) = &self.peers.geography {
            geography.observe(self.spec.region.as_ref(), round_trip);
        }
    }

    /// Records the result of a probe, with the round-trip time if the response shows it.
    pub fn record_probe(&self, result: Result<Option<Duration>, UpstreamError>) {
        match result {
            Ok(took) => {
                self.counts.good_probes.fetch_add(1, Ordering::Relaxed);
                if let Some(took) = took {
                    self.observe_round_trip(took);
                }
            }
            Err(_) => {
                self.counts.failed_probes.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.update(|health, now| health.record_probe(result.map(drop), fastrand::f64(), now));
    }

    /// Updates its health, at least to the current time, and logs each change.
    fn update(&self, change: impl FnOnce(&mut Health, Instant) -> Option<Change>) {
        let now = Instant::now();
        let changes = {
            let mut health = self.health.lock();
            [health.advance(now), change(&mut health, now)]
        };
        for change in changes.into_iter().flatten() {
            self.peers.reset_half_open();
            self.log(change);
        }
    }

    fn log(&self, change: Change) {
        let (upstream, from, to) = (&*self.name, change.from.as_str(), change.to.as_str());
        if let Some(error) = change.why.filter(|_| !change.to.is_available()) {
            self.counts.ejections.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(upstream, from, to, why = %error, "upstream changed");
        } else {
            tracing::info!(upstream, from, to, "upstream changed");
        }
    }

    /// Its report.
    pub fn report(&self) -> Report {
        self.update(|_, _| None);
        let now = Instant::now();
        let (Status { state, since, why }, failures_in_a_row) = {
            let health = self.health.lock();
            (health.status(), health.failures())
        };
        let mut latency = self.latency.lock();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Report {
            name: Arc::clone(&self.name),
            group: self.spec.group,
            region: self.spec.region.clone(),
            weight: self.spec.weight,
            state,
            since: now.saturating_duration_since(since),
            why,
            in_flight: self.limiter.in_flight(),
            waiting: self.limiter.waiting(),
            requests: count(&self.counts.requests),
            failures: count(&self.counts.failures),
            failures_in_a_row,
            ejections: count(&self.counts.ejections),
            outpaced: count(&self.counts.outpaced),
            refused: count(&self.counts.refused),
            probes: (count(&self.counts.good_probes), count(&self.counts.failed_probes)),
            latency: [0.5, 0.95, 0.99].map(|quantile| latency.quantile(quantile, now)),
            round_trip: self.round_trip(),
        }
    }

    /// Connects to `address`, or to the next addresses of its name if that fails or takes long. Returns the
    /// address of the connection, which is the one in use from now on.
    pub(crate) async fn dial<T, F: Future<Output = Result<T, UpstreamError>>>(
        &self,
        address: SocketAddr,
        connect: impl Fn(SocketAddr) -> F,
    ) -> Result<(SocketAddr, T), UpstreamError> {
        let others = || self.resolver.others(address);
        let unreachable = |address| self.resolver.mark_unreachable(address);
        let dialled = dial(address, others, connect, unreachable).await;
        if let Ok((connected, _)) = &dialled
            && *connected != address
        {
            self.resolver.mark_reachable(*connected);
        }
        dialled
    }

    /// Its address.
    pub(crate) async fn address(&self) -> Result<SocketAddr, UpstreamError> {
        self.resolver.address(self.spec.options.timeouts.connect).await
    }

    /// The key of its connections.
    pub(crate) fn key(&self, address: SocketAddr) -> Key {
        Key { address, name: self.tls_name.clone() }
    }

    /// What pingora must know to connect.
    pub(crate) fn peer(&self, address: SocketAddr) -> HttpPeer {
        let options = &self.spec.options;
        let name = self.tls_name.as_deref().unwrap_or_default().to_owned();
        let mut peer = HttpPeer::new(address, self.spec.address.is_tls(), name);
        peer.options.connection_timeout = Some(options.timeouts.connect);
        peer.options.total_connection_timeout = Some(options.timeouts.connect);
        peer.options.max_h2_streams = options.streams_max;
        if options.http2 {
            peer.options.set_http_version(2, 2);
            // The connection has room for all its streams: a viewer that reads its private response slowly
            // must not block the others.
            let streams = u32::try_from(options.streams_max).unwrap_or(u32::MAX);
            peer.options.h2_stream_window_size = Some(STREAM_WINDOW);
            peer.options.h2_connection_window_size =
                Some(STREAM_WINDOW.saturating_mul(streams).min(WINDOW_MAX));
        }
        peer
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.health.lock().status().state;
        f.debug_struct("Upstream").field("name", &self.name).field("state", &state).finish_non_exhaustive()
    }
}
