//! Probes: small requests of this tier's own that show whether a server can be reached.
//!
//! They are separate from viewers' requests: the cache, limits and the failures of viewers' requests play no
//! part in them. A shield receives `OPTIONS *`, which concerns the server itself (RFC 9110 section 9.3.7) and
//! never reaches an origin.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::error::UpstreamError;
use crate::fetch::exchange::{Exchange, STALE_CONNECTIONS_MAX, reuse_at};
use crate::request::UpstreamRequest;
use crate::spec::{Probe, Question};
use crate::upstream::Upstream;

/// A longer body is not read: its connection is closed instead.
const BODY_MAX: u64 = 64 * 1024;

/// Probes `upstream` until `stop`.
pub(crate) async fn keep_probing(upstream: Arc<Upstream>, stop: CancellationToken) {
    let Some(probe) = upstream.spec().options.probe.clone() else { return };
    // Spreads the probes of all members, and those of all edges.
    let mut pause = probe.interval.mul_f64(fastrand::f64() / 2.0);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(pause) => {}
        }
        let result = tokio::select! {
            () = stop.cancelled() => return,
            result = probe_until_timed(&upstream, &probe) => result,
        };
        upstream.record_probe(result);
        pause = probe.interval.mul_f64(0.8 + 0.4 * fastrand::f64());
    }
}

/// A probe; the first one is made twice, so that the round-trip time is known soon.
async fn probe_until_timed(
    upstream: &Arc<Upstream>,
    probe: &Probe,
) -> Result<Option<Duration>, UpstreamError> {
    let first = probe_once(upstream, probe).await?;
    if first.is_some() || !upstream.needs_round_trip() {
        return Ok(first);
    }
    // Whatever the result of the second request, the first one has succeeded.
    Ok(probe_once(upstream, probe).await.unwrap_or_default())
}

/// One probe. Returns the round-trip time, if the response shows it.
async fn probe_once(upstream: &Arc<Upstream>, probe: &Probe) -> Result<Option<Duration>, UpstreamError> {
    let asked = timeout(probe.timeout, async {
        match &probe.question {
            Question::Connect => connect(upstream).await,
            Question::Http { method, target, expected } => {
                match request(upstream, method, target, expected).await {
                    // A small server may know GET only, and close the connection at any other method.
                    Err(UpstreamError::Closed | UpstreamError::Protocol) if *method == Method::HEAD => {
                        request(upstream, &Method::GET, target, expected).await
                    }
                    result => result,
                }
            }
        }
    });
    asked.await.unwrap_or(Err(UpstreamError::FirstByteTimeout))
}

async fn connect(upstream: &Upstream) -> Result<Option<Duration>, UpstreamError> {
    let address = upstream.address().await?;
    let began = Instant::now();
    let connect = async |address| TcpStream::connect(address).await.map_err(|_error| UpstreamError::Refused);
    let (connected, _closed_immediately) = upstream.dial(address, connect).await?;
    Ok((connected == address).then(|| began.elapsed()))
}

async fn request(
    upstream: &Arc<Upstream>,
    method: &Method,
    target: &str,
    expected: &RangeInclusive<u16>,
) -> Result<Option<Duration>, UpstreamError> {
    let request = UpstreamRequest {
        // The probe concerns the server itself.
        folder: Arc::default(),
        method: method.clone(),
        path_and_query: target.to_owned(),
        host: upstream.spec().address.authority(),
        headers: HeaderMap::new(),
        span: None,
        head_timeout: None,
        late_after: None,
        is_backup: false,
        is_pass: false,
    };
    for tries in 1..=STALE_CONNECTIONS_MAX + 1 {
        let began = Instant::now();
        let mut exchange = Exchange::probe(upstream, &request, reuse_at(tries)).await?;
        let is_reused = exchange.is_reused();
        let head = match exchange.head().await {
            Err(UpstreamError::Closed) if is_reused => continue,
            head => head?,
        };
        let took = began.elapsed();
        exchange.discard_body(BODY_MAX).await;
        if !expected.contains(&head.status.as_u16()) {
            return Err(UpstreamError::Status(head.status));
        }
        // A new connection costs a round trip or more of its own.
        return Ok(is_reused.then_some(took));
    }
    Err(UpstreamError::Closed)
}
