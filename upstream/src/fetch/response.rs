//! The response to one request, whose body is read as it arrives.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{StatusCode, header};
use tidegate_cache::Head;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::connect::session::{Reuse, Session};
use crate::error::UpstreamError;
use crate::fetch::decode::{Coding, Decoder, Step};
use crate::fetch::exchange::{Blame, Exchange, STALE_CONNECTIONS_MAX, reuse_at};
use crate::fetch::extent::{self, Window};
use crate::fetch::in_flight::InFlight;
use crate::fetch::limiter::Permit;
use crate::health::retry_after;
use crate::request::{Rest, UpstreamRequest};
use crate::upstream::Upstream;

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

impl Exchange {
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
                        upstream.pauses().record(request, head.status, pause, Instant::now());
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

impl std::fmt::Debug for UpstreamResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamResponse")
            .field("upstream", &self.upstream)
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}
