//! One request and its response on a pooled connection.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{StatusCode, header};
use tidegate_cache::Head;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::connect::session::{Reuse, Session};
use crate::error::UpstreamError;
use crate::fetch::decode::{Coding, Decoder, Step};
use crate::fetch::extent::{self, Window};
use crate::fetch::in_flight::InFlight;
use crate::fetch::informational::Informational;
use crate::fetch::limiter::Permit;
use crate::health::retry_after::{self, Scope};
use crate::request::{Rest, UpstreamRequest};
use crate::upstream::Upstream;

/// A request whose head has been sent; the head of the response is not read yet.
pub struct Exchange {
    folder: Arc<str>,
    session: Session,
    upstream: Arc<Upstream>,
    /// Time for the next head.
    head_timeout: Duration,
    reused: bool,
    /// The informational heads (1xx) so far.
    informational: Informational,
    /// Counts it among the requests to the upstream; a probe has none.
    permit: Option<Permit>,
    /// When it was sent; `None` if the time to its response says nothing about the upstream.
    sent: Option<Instant>,
}

/// Takes the informational responses (1xx) before the final one.
pub type Interim = mpsc::Sender<Head>;

/// Informational heads that wait until a viewer takes them. A viewer that is too slow for hints goes without.
pub const INTERIM_MAX: usize = 32;

/// A response whose head has been read and whose body is read as it arrives.
pub struct UpstreamResponse {
    /// Status and end-to-end header fields as sent.
    pub head: Head,
    session: Option<Session>,
    upstream: Arc<Upstream>,
    /// Bytes that were read too far.
    put_back: Option<Bytes>,
    /// Removes the content codings.
    decoder: Option<Box<Decoder>>,
    /// The part of the body that counts.
    window: Option<Window>,
    in_flight: InFlight,
    permit: Option<Permit>,
}

/// A pooled connection may have been closed by the other side while it was idle. After this many in a row,
/// the request uses a new connection.
pub(crate) const STALE_CONNECTIONS_MAX: usize = 3;

impl Exchange {
    /// Sends the head of `request` to `upstream`. The body may follow, and [`Exchange::finish`] ends it.
    pub async fn send(upstream: &Arc<Upstream>, request: &UpstreamRequest) -> Result<Self, UpstreamError> {
        let permit = upstream.acquire(request.class()).await?;
        upstream.count_request();
        let sent = Self::begin(upstream, request, Rest::Body, Reuse::Idle).await;
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

    async fn begin(
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

    /// Continues with the body that follows `head`.
    pub fn into_response(self, head: Head, in_flight: InFlight) -> UpstreamResponse {
        match Blame::of(&head, &self.upstream, self.is_blocking()) {
            Blame::Own(error) => self.upstream.record_failure(error),
            Blame::Reported(error) => self.upstream.record_reported_failure(error, &self.folder),
            Blame::NothingNew => self.upstream.record_blocked_timeout(&self.folder, self.head_timeout),
            Blame::None => self.upstream.record_first_byte(self.sent),
        }
        UpstreamResponse {
            head,
            session: Some(self.session),
            upstream: self.upstream,
            put_back: None,
            decoder: None,
            window: None,
            in_flight,
            permit: self.permit,
        }
    }

    /// Whether the upstream may block the request, so that the time to its response says nothing.
    fn is_blocking(&self) -> bool {
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
enum Blame {
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
    fn of(head: &Head, upstream: &Upstream, is_blocking: bool) -> Self {
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

impl UpstreamResponse {
    /// Sends a request without a body to `upstream` and waits for the final head. Informational heads before
    /// it go to `interim`, as far as there is room.
    pub async fn open(
        mut in_flight: InFlight,
        upstream: &Arc<Upstream>,
        request: &UpstreamRequest,
        interim: Option<&Interim>,
    ) -> Result<Self, UpstreamError> {
        let permit = Self::acquire_permit(&mut in_flight, upstream, request).await?;
        Self::open_with_permit(permit, in_flight, upstream, request, interim).await
    }

    /// Waits for a permit of `upstream`.
    pub(crate) async fn acquire_permit(
        in_flight: &mut InFlight,
        upstream: &Upstream,
        request: &UpstreamRequest,
    ) -> Result<Permit, UpstreamError> {
        upstream.acquire(request.class()).await.inspect_err(|&full| in_flight.record_failure(full))
    }

    /// [`UpstreamResponse::open`] for a request with a permit.
    pub(crate) async fn open_with_permit(
        permit: Permit,
        mut in_flight: InFlight,
        upstream: &Arc<Upstream>,
        request: &UpstreamRequest,
        interim: Option<&Interim>,
    ) -> Result<Self, UpstreamError> {
        upstream.count_request();
        let mut tries = 0;
        loop {
            tries += 1;
            match Self::try_connection(upstream, request, interim, reuse_at(tries)).await {
                // The upstream closed an idle connection at the moment when it was used again. There was no
                // response and the method is safe, so the request is sent again.
                Err((UpstreamError::Closed, true)) if tries <= STALE_CONNECTIONS_MAX => {}
                Err((error, _)) => {
                    // A blocked request that times out may mean that this stream has nothing new.
                    if request.head_timeout.is_none() || error != UpstreamError::FirstByteTimeout {
                        upstream.record_failure(error);
                    }
                    in_flight.record_failure(error);
                    return Err(error);
                }
                Ok((exchange, head)) => {
                    if !upstream.spec().is_tier
                        && let Some(pause) = retry_after::requested(&head.headers)
                    {
                        let scope = Scope::of_request(request);
                        upstream.pauses().record(scope, head.status, pause, Instant::now());
                    }
                    return Ok(Exchange { permit: Some(permit), ..exchange }.into_response(head, in_flight));
                }
            }
        }
    }

    async fn try_connection(
        upstream: &Arc<Upstream>,
        request: &UpstreamRequest,
        interim: Option<&Interim>,
        reuse: Reuse,
    ) -> Result<(Exchange, Head), (UpstreamError, bool)> {
        let sent = Exchange::begin(upstream, request, Rest::Nothing, reuse).await;
        let mut exchange = sent.map_err(|error| (error, true))?;
        let reused = exchange.reused;
        exchange.finish().await.map_err(|error| (error, reused))?;
        loop {
            let head = exchange.head().await.map_err(|error| (error, reused))?;
            if !head.status.is_informational() {
                return Ok((exchange, head));
            }
            if let Some(interim) = interim {
                // A viewer that is too slow for hints goes without.
                let _no_room = interim.try_send(head);
            }
        }
    }

    /// Makes the response that of a pass: it is for one viewer alone, at its pace. False if its upstream has
    /// too many passes already.
    pub(crate) fn become_pass(&mut self) -> bool {
        self.permit.as_mut().is_none_or(Permit::become_pass)
    }

    /// The upstream that responded.
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// The length in the head.
    pub fn content_length(&self) -> Option<u64> {
        // Each protocol has refused a head whose length is malformed.
        tidegate_http1::content_length(&self.head.headers).ok().flatten()
    }

    /// The length of a body that has arrived with its head, if it is to be delivered as it was sent.
    pub(crate) fn arrived(&self) -> Option<u64> {
        let length = self.content_length().filter(|_| self.decoder.is_none() && self.window.is_none())?;
        let has_arrived = match &self.put_back {
            Some(bytes) => bytes.len() as u64 == length,
            None => self.session.as_ref().is_some_and(Session::has_arrived),
        };
        has_arrived.then_some(length)
    }

    /// Removes these content codings from the body, whose head is that of the decoded body.
    pub fn decode(&mut self, codings: &[Coding]) {
        self.decoder = Some(Box::new(Decoder::new(codings)));
    }

    /// Reduces a complete response of `length` bytes to a partial one.
    pub fn cut_from_whole(&mut self, span: &RangeInclusive<u64>, length: u64) {
        self.head.status = StatusCode::PARTIAL_CONTENT;
        extent::set_content_range(&mut self.head, span, Some(length));
        self.cut_to(span);
    }

    /// Reduces the body to a part of it, counted from its first byte. The rest is not delivered.
    pub fn cut_to(&mut self, part: &RangeInclusive<u64>) {
        let length = (part.end() - part.start()).saturating_add(1);
        self.window = Some(Window::new(*part.start(), length));
        self.head.headers.insert(header::CONTENT_LENGTH, length.into());
    }

    /// The next bytes of the body; `None` at its end, after which the connection is back in its pool.
    pub async fn next(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        if let Some(bytes) = self.put_back.take() {
            return Ok(Some(bytes));
        }
        if self.window.is_none() {
            return self.next_decoded().await;
        }
        loop {
            let Some(window) = &mut self.window else { return Ok(None) };
            if window.is_complete() {
                // The rest of the body is not worth its transfer.
                self.in_flight.record_response(self.head.status);
                self.upstream.record_success();
                (self.session, self.permit) = (None, None);
                return Ok(None);
            }
            let Some(bytes) = self.next_decoded().await? else {
                // Nothing was wrong with the transfer, but the bytes are not there.
                return Err(UpstreamError::Unusable("the body ends before the requested bytes"));
            };
            let Some(window) = &mut self.window else { return Ok(None) };
            let bytes = window.cut(bytes);
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }

    /// The next bytes without the content codings that are to be removed.
    async fn next_decoded(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        loop {
            let step = match &mut self.decoder {
                Some(decoder) => decoder.next(),
                None => return self.receive().await,
            };
            match step {
                Ok(Step::Bytes(bytes)) => return Ok(Some(bytes)),
                Ok(Step::NeedsInput) => {
                    let received = self.receive().await?;
                    if let Some(decoder) = &mut self.decoder {
                        match received {
                            Some(bytes) => decoder.feed(bytes),
                            None => decoder.finish(),
                        }
                    }
                }
                Ok(Step::End) => {
                    // Read to its end, so that the connection goes back to its pool.
                    if self.receive().await?.is_some() {
                        self.in_flight.record_response(self.head.status);
                        (self.session, self.permit) = (None, None);
                    }
                    return Ok(None);
                }
                Err(error) => {
                    self.refuse(error);
                    return Err(error);
                }
            }
        }
    }

    /// The next bytes as received.
    async fn receive(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        let Some(session) = &mut self.session else { return Ok(None) };
        match session.next().await {
            Ok(Some(bytes)) => Ok(Some(bytes)),
            Ok(None) => {
                self.in_flight.record_response(self.head.status);
                self.release();
                Ok(None)
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Drops an unusable response. The rest of it is not read.
    pub(crate) fn refuse(&mut self, error: UpstreamError) {
        self.in_flight.record_failure(error);
        (self.session, self.permit) = (None, None);
    }

    /// Ends the body early by the upstream's fault.
    pub(crate) fn fail(&mut self, error: UpstreamError) -> UpstreamError {
        self.upstream.record_failure(error);
        self.refuse(error);
        error
    }

    /// Makes `bytes` the next bytes again.
    pub(crate) fn put_back(&mut self, bytes: Bytes) {
        self.put_back = Some(bytes);
    }

    /// Reads a short body, so that its connection can be used again. A long one is not worth that.
    pub(crate) async fn drain(&mut self) {
        if self.content_length().is_some_and(|length| length <= DRAINED_MAX) {
            let _discarded = self.collect(DRAINED_MAX).await;
        }
    }

    /// Reads the whole body, up to `max` bytes.
    pub async fn collect(&mut self, max: u64) -> Result<Bytes, UpstreamError> {
        // A body of one piece is not copied.
        let (mut piece, mut joined) = (Bytes::new(), BytesMut::new());
        while let Some(bytes) = self.next().await? {
            let there = piece.len().max(joined.len());
            if there as u64 + bytes.len() as u64 > max {
                let error = match self.decoder {
                    Some(_) => UpstreamError::Coding("the decoded body is too large"),
                    None => UpstreamError::Unusable("body too large"),
                };
                self.refuse(error);
                return Err(error);
            }
            if there == 0 {
                piece = bytes;
                continue;
            }
            joined.extend_from_slice(&std::mem::take(&mut piece));
            joined.extend_from_slice(&bytes);
        }
        Ok(if joined.is_empty() { piece } else { joined.freeze() })
    }

    fn release(&mut self) {
        if !self.head.status.is_server_error() {
            self.upstream.record_success();
        }
        if let Some(session) = self.session.take() {
            session.release(&self.upstream);
        }
        self.permit = None;
    }
}

/// The longest body that is read only for its connection.
const DRAINED_MAX: u64 = 16 * 1024;

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for UpstreamResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamResponse")
            .field("upstream", &self.upstream)
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}
