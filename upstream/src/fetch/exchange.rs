//! One request and its response on a pooled connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tidegate_cache::Head;
use tokio::time::Instant;

use crate::connect::session::{Reuse, Session};
use crate::error::UpstreamError;
use crate::fetch::informational::Informational;
use crate::fetch::limiter::Permit;
use crate::request::{Rest, UpstreamRequest};
use crate::upstream::Upstream;

/// A request whose head has been sent; the head of the response is not read yet.
pub struct Exchange {
    pub(super) folder: Arc<str>,
    pub(super) session: Session,
    pub(super) upstream: Arc<Upstream>,
    /// Time for the next head.
    pub(super) head_timeout: Duration,
    pub(super) reused: bool,
    /// The informational heads (1xx) so far.
    pub(super) informational: Informational,
    /// Counts it among the requests to the upstream; a probe has none.
    pub(super) permit: Option<Permit>,
    /// When it was sent; `None` if the time to its response says nothing about the upstream.
    pub(super) sent: Option<Instant>,
}

/// A pooled connection may have been closed by the other side while it was idle. After this many in a row,
/// the request uses a new connection.
pub(crate) const STALE_CONNECTIONS_MAX: usize = 3;

impl Exchange {
    /// Sends the head of `request` to `upstream`. The body may follow, and [`Exchange::finish`] ends it. Such
    /// a request cannot be repeated, so it does not use a connection that the upstream may have just closed.
    pub async fn send(upstream: &Arc<Upstream>, request: &UpstreamRequest) -> Result<Self, UpstreamError> {
        let permit = upstream.acquire(request.class()).await?;
        upstream.count_request();
        let sent = Self::begin(upstream, request, Rest::Body, Reuse::Never).await;
        sent.map(|exchange| Self { permit: Some(permit), ..exchange })
            .inspect_err(|&error| upstream.record_failure(error))
    }

    /// Sends a probe, which needs no permit and is not counted as a request.
    pub(crate) async fn probe(
        upstream: &Arc<Upstream>,
        request: &UpstreamRequest,
        reuse: Reuse,
    ) -> Result<Self, UpstreamError> {
        let mut exchange = Self::begin(upstream, request, Rest::Nothing, reuse).await?;
        exchange.finish().await?;
        Ok(exchange)
    }

    pub(super) async fn begin(
        upstream: &Arc<Upstream>,
        request: &UpstreamRequest,
        rest: Rest,
        reuse: Reuse,
    ) -> Result<Self, UpstreamError> {
        let timeouts = &upstream.spec().options.timeouts;
        let head_timeout = request.head_timeout.unwrap_or(timeouts.first_byte);
        let (session, reused) = Session::open(upstream, request, rest, head_timeout, reuse).await?;
        Ok(Self {
            folder: Arc::clone(&request.folder),
            session,
            upstream: Arc::clone(upstream),
            head_timeout,
            reused,
            informational: Informational::none(),
            permit: None,
            sent: request.head_timeout.is_none().then(Instant::now),
        })
    }

    /// Sends a chunk of the request's body; `end` with the last one.
    pub async fn write(&mut self, bytes: Bytes, end: bool) -> Result<(), UpstreamError> {
        self.session.write(bytes, end).await
    }

    /// Ends the request.
    pub async fn finish(&mut self) -> Result<(), UpstreamError> {
        self.session.finish().await
    }

    /// Waits for the next head to forward: the final one, or an informational one (1xx) before it.
    pub async fn head(&mut self) -> Result<Head, UpstreamError> {
        loop {
            let head = self.session.head().await?;
            if !head.status.is_informational() {
                return Ok(head);
            }
            self.informational.admit(&head, self.head_timeout)?;
            match head.status {
                // No upgrade was requested: Upgrade is a hop-by-hop field and was not forwarded.
                StatusCode::SWITCHING_PROTOCOLS => return Err(UpstreamError::Protocol),
                // RFC 9110 section 10.1.1: permission to send the body, which concerns this hop only.
                StatusCode::CONTINUE => {}
                _ => return Ok(head),
            }
        }
    }

    /// Whether the upstream may block the request, so that the time to its response says nothing.
    pub(super) fn is_blocking(&self) -> bool {
        self.sent.is_none()
    }

    /// Whether its connection had been used before.
    pub(crate) fn is_reused(&self) -> bool {
        self.reused
    }

    /// Ends the exchange without its body. A short body is read, so that the connection can be used again.
    pub(crate) async fn discard_body(mut self, max: u64) {
        let mut left = max;
        while let Ok(Some(bytes)) = self.session.next().await {
            let Some(rest) = left.checked_sub(bytes.len() as u64) else { return };
            left = rest;
        }
        self.session.release(&self.upstream);
    }
}

/// Which connections the request of this number, counted from 1, may use.
pub(crate) fn reuse_at(tries: usize) -> Reuse {
    if tries <= STALE_CONNECTIONS_MAX { Reuse::Idle } else { Reuse::Never }
}

/// The fault in a response, and whose it is.
pub(super) enum Blame {
    None,
    /// The upstream has failed.
    Own(UpstreamError),
    /// A tier reports that an upstream of its own has failed (RFC 9209). This counts against the tier only if
    /// it reports more failures than its peers: then its own path to the origin is at fault.
    Reported(UpstreamError),
    /// The upstream blocked the request until its timeout (HLS section 6.2.5.2), which is not a fault.
    NothingNew,
}

impl Blame {
    pub(super) fn of(head: &Head, upstream: &Upstream, is_blocking: bool) -> Self {
        let is_failure = match head.status {
            // These are about the request.
            StatusCode::NOT_IMPLEMENTED
            | StatusCode::HTTP_VERSION_NOT_SUPPORTED
            | StatusCode::LOOP_DETECTED => false,
            StatusCode::SERVICE_UNAVAILABLE if is_blocking && upstream.spec().is_tier => {
                return Self::NothingNew;
            }
            StatusCode::SERVICE_UNAVAILABLE if is_blocking => false,
            status => status.is_server_error(),
        };
        let error = UpstreamError::Status(head.status);
        match (is_failure, is_reported_failure(upstream, head)) {
            (false, _) => Self::None,
            (true, true) => Self::Reported(error),
            (true, false) => Self::Own(error),
        }
    }
}

/// Whether a tier reports a failure of an upstream of its own (RFC 9209).
pub(crate) fn is_reported_failure(upstream: &Upstream, head: &Head) -> bool {
    upstream.spec().is_tier && head.headers.contains_key("proxy-status")
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}
