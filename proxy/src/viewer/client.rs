//! The viewer's side of one request: its head and body, and the writing of the response.
//!
//! Every response goes through here, over any protocol, except those of the fast path (`fast_path.rs`).

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::server::ReusableHttpStream;
use pingora_http::ResponseHeader;
use tidegate_access::ClientAddress;
use tidegate_headers::server_timing::{self, SERVER_TIMING};
use tidegate_http1::Framing;
use tidegate_upstream::within;
use tokio::time::{Instant, timeout};

use crate::clock;
use crate::limits::Usage;
use crate::observe::facts::{LoggedRequest, RequestFacts, ResponseFacts};
use crate::tier::Tier;
use crate::viewer::cmsd::CMSD_DYNAMIC;
use crate::viewer::expires;
use crate::viewer::http1::Http1;
use crate::viewer::lingering_close;
use crate::viewer::peer::Peer;
use crate::viewer::stalled;
use crate::viewer::transport::Transport;
use crate::viewer::unsent::Unsent;

/// A request and the response that is being written to it.
pub(crate) struct Client {
    tier: Arc<Tier>,
    protocol: Protocol,
    peer: Peer,
    address: ClientAddress,
    is_tls: bool,
    received: Instant,
    first_byte: Option<Instant>,
    status: Option<StatusCode>,
    body_bytes: u64,
    /// Bytes of the body by the `Content-Length` of the response, if it has one.
    content_length: Option<u64>,
    /// Set when the response was cut off: the connection must not end as after a complete response.
    is_broken: bool,
    request_facts: RequestFacts,
}

/// The protocol of a request, with the connection or session that it came on.
#[expect(
    clippy::large_enum_variant,
    reason = "the frequent variant needs no box of its own: the client is boxed"
)]
pub(crate) enum Protocol {
    /// HTTP/1.1, and the request has no body.
    Http1(Http1),
    /// Any other request, which pingora serves: HTTP/2, HTTP/1.0, requests with a body.
    Session(Box<ServerSession>),
}

impl Protocol {
    fn headers(&self) -> &HeaderMap {
        match self {
            Self::Http1(http1) => http1.headers(),
            Self::Session(session) => &session.req_header().headers,
        }
    }
}

/// Bytes of the body per write. The write timeout bounds each write, not the whole body.
pub(crate) const WRITE_MAX: usize = 64 * 1024;

impl Client {
    /// A client whose request head has been read.
    pub(crate) fn new(tier: &Arc<Tier>, protocol: Protocol, peer: &Peer) -> Self {
        let address = peer.client(tier, protocol.headers());
        Self {
            tier: Arc::clone(tier),
            protocol,
            peer: peer.clone(),
            address,
            is_tls: false,
            received: Instant::now(),
            first_byte: None,
            status: None,
            body_bytes: 0,
            content_length: None,
            is_broken: false,
            request_facts: RequestFacts::default(),
        }
    }

    /// The same client, on a connection with or without TLS.
    pub(crate) fn over_tls(mut self, is_tls: bool) -> Self {
        self.is_tls = is_tls;
        self
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// The facts about the request that are known so far, for the counters and the access log.
    pub(crate) fn request_facts(&mut self) -> &mut RequestFacts {
        &mut self.request_facts
    }

    pub(crate) fn method(&self) -> &Method {
        match &self.protocol {
            Protocol::Http1(http1) => http1.method(),
            Protocol::Session(session) => &session.req_header().method,
        }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.protocol.headers()
    }

    pub(crate) fn version(&self) -> Version {
        match &self.protocol {
            Protocol::Http1(_) => Version::HTTP_11,
            Protocol::Session(session) => session.req_header().version,
        }
    }

    /// The request target as received.
    pub(crate) fn target(&self) -> &[u8] {
        match &self.protocol {
            Protocol::Http1(http1) => http1.target(),
            Protocol::Session(session) => session.req_header().raw_path(),
        }
    }

    /// The host from outside the header fields: the `:authority` of HTTP/2, or an absolute target.
    pub(crate) fn authority(&self) -> Option<&str> {
        match &self.protocol {
            Protocol::Http1(_) => None,
            Protocol::Session(session) => {
                session.req_header().uri.authority().map(http::uri::Authority::as_str)
            }
        }
    }

    /// The address of the client.
    pub(crate) fn address(&self) -> ClientAddress {
        self.address
    }

    /// What the address uses of the limits; `None` if no limit applies to it.
    pub(crate) fn usage(&self) -> Option<Arc<Usage>> {
        self.peer.usage_by(&self.tier, self.address)
    }

    /// The other end of the connection.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The status of the response, once it has begun.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// The response so far.
    pub(crate) fn response_facts(&self) -> ResponseFacts<'_> {
        ResponseFacts {
            received: self.received,
            first_byte: self.first_byte,
            status: self.status,
            body_bytes: self.body_bytes,
            request: self.tier.log().is_on().then(|| self.logged_request()),
        }
    }

    fn logged_request(&self) -> LoggedRequest<'_> {
        let (method, headers) = (self.method(), self.headers());
        match &self.protocol {
            Protocol::Http1(http1) => {
                let target = std::str::from_utf8(http1.target()).unwrap_or_default();
                LoggedRequest::http1(method, target, self.address, headers)
            }
            Protocol::Session(session) => {
                let uri = &session.req_header().uri;
                let (host, path, query) = (uri.host(), uri.path(), uri.query());
                LoggedRequest {
                    method,
                    version: self.version(),
                    host,
                    path,
                    query,
                    client: self.address,
                    headers,
                }
            }
        }
    }

    /// Whether the protocol marks the end of a body of unknown length. Over HTTP/1.0, a truncated body looks
    /// complete.
    pub(crate) fn frames_unknown_lengths(&self) -> bool {
        self.version() > Version::HTTP_10
    }

    /// Writes the head. Without a `Content-Length` in `headers`, the body is sent in chunks.
    ///
    /// Over HTTP/1.1 the head is sent with the first bytes of the body, by [`Client::until_gone`] or by
    /// [`Client::flush`]: code that waits for the body also polls `until_gone`, so that the head does not
    /// wait with it.
    pub(crate) async fn head(&mut self, status: StatusCode, mut headers: HeaderMap) -> Result<(), Unsent> {
        let is_final = !status.is_informational();
        let mut framing = Framing::Empty;
        if is_final {
            if self.tier.is_exposed() {
                self.add_timing(&mut headers);
            }
            if let Some(estimates) = self.peer.estimates()
                && let Some(member) = estimates.member(self.tier.node(), Instant::now())
            {
                headers.append(&CMSD_DYNAMIC, member);
            }
            self.content_length = tidegate_http1::content_length(&headers).ok().flatten();
            if let Some(hsts) = self.tier.hsts().filter(|_| self.is_tls) {
                headers.insert(header::STRICT_TRANSPORT_SECURITY, hsts.clone());
            }
            if self.content_length.is_none() {
                // Beside another framing, a length that is none would make the response ambiguous.
                headers.remove(header::CONTENT_LENGTH);
            }
            framing = Framing::to_send(self.method(), status, self.version(), self.content_length);
            if framing == Framing::Chunked {
                headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
        }
        let limit = self.write_timeout();
        let written = match &mut self.protocol {
            Protocol::Http1(http1) if is_final => {
                http1.head(status, &headers, framing, self.tier.draining().is_set());
                true
            }
            Protocol::Http1(http1) => succeeded(within(limit, pin!(http1.inform(status, &headers))).await),
            Protocol::Session(session) => {
                if is_final {
                    expires::add_max_age(&mut headers, clock::now());
                }
                let head = Box::new(response_head(status, headers));
                succeeded(within(limit, pin!(session.write_response_header(head))).await)
            }
        };
        if is_final {
            self.status = Some(status);
            self.first_byte.get_or_insert_with(Instant::now);
        }
        self.check(written)
    }

    fn add_timing(&self, headers: &mut HeaderMap) {
        // Most members of Server-Timing are shorter.
        let mut timing = Vec::with_capacity(64);
        server_timing::append(&mut timing, self.tier.node(), self.received.elapsed());
        if let Ok(timing) = HeaderValue::from_maybe_shared(Bytes::from(timing)) {
            headers.append(SERVER_TIMING.clone(), timing);
        }
    }

    /// Sends the bytes that have been written and not sent: the head of a response without a body.
    pub(crate) async fn flush(&mut self) -> Result<(), Unsent> {
        let limit = self.write_timeout();
        let sent = match &mut self.protocol {
            Protocol::Http1(http1) => succeeded(within(limit, pin!(http1.flush())).await),
            Protocol::Session(_) => true,
        };
        self.check(sent)
    }

    /// Writes the next bytes of the body.
    pub(crate) async fn body(&mut self, mut bytes: Bytes) -> Result<(), Unsent> {
        while !bytes.is_empty() {
            self.body_chunks(vec![bytes.split_to(bytes.len().min(WRITE_MAX))]).await?;
        }
        Ok(())
    }

    /// Writes successive chunks of the body, of at most [`WRITE_MAX`] bytes together: over HTTP/1.1 in one
    /// write, through pingora's session in one write each.
    pub(crate) async fn body_chunks(&mut self, chunks: Vec<Bytes>) -> Result<(), Unsent> {
        match &mut self.protocol {
            Protocol::Http1(http1) => {
                let sent = chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
                let written = stalled::write(&self.tier, pin!(http1.body(chunks)))
                    .await
                    .is_some_and(|written| written.is_ok());
                self.check(written)?;
                self.body_bytes += sent;
            }
            Protocol::Session(session) => {
                for chunk in chunks {
                    let sent = self.body_bytes + chunk.len() as u64;
                    // Over HTTP/2, the last chunk carries END_STREAM, which saves an empty frame after it.
                    let is_last = session.is_http2() && self.content_length == Some(sent);
                    let written = session.write_response_body(chunk, is_last);
                    let written = stalled::write(&self.tier, pin!(written)).await;
                    if written.is_none_or(|written| written.is_err()) {
                        return self.check(false);
                    }
                    self.body_bytes = sent;
                }
            }
        }
        Ok(())
    }

    /// Marks the response as broken: [`Client::abort`] resets the connection or HTTP/2 stream, so that it
    /// cannot look complete.
    pub(crate) fn mark_broken(&mut self) {
        self.is_broken = true;
    }

    /// The next bytes of the request body; `None` at its end.
    pub(crate) async fn request_body(&mut self) -> Result<Option<Bytes>, BodyError> {
        match &mut self.protocol {
            Protocol::Http1(_) => Ok(None),
            Protocol::Session(session) => {
                let read = session.read_request_body().await;
                read.map_err(|error| match error.etype().as_str() {
                    "InvalidChunk" | "InvalidTrailerEnd" => {
                        // Where the next request begins is not known.
                        session.set_keepalive(None);
                        BodyError::Chunks
                    }
                    _ => BodyError::Closed,
                })
            }
        }
    }

    /// Sends 100 (Continue) to an HTTP/1.1 viewer that waits for it before it sends the request body.
    pub(crate) async fn send_continue(&mut self) -> Result<(), Unsent> {
        match &mut self.protocol {
            Protocol::Http1(_) => Ok(()),
            Protocol::Session(session) => session.write_continue_response().await.map_err(|_error| Unsent),
        }
    }

    /// Whether the request has a body, by its head alone.
    pub(crate) fn has_request_body(&mut self) -> bool {
        match &mut self.protocol {
            Protocol::Http1(_) => false,
            Protocol::Session(session) => !session.is_body_empty(),
        }
    }

    /// Whether the request has a body that is not empty. Over HTTP/2 the head does not decide it: an empty
    /// DATA frame may end the request after it. This waits for that frame, at most for `limit`.
    pub(crate) async fn has_nonempty_body(&mut self, limit: Duration) -> bool {
        let Protocol::Session(session) = &mut self.protocol else { return false };
        if session.is_body_empty() {
            return false;
        }
        if !session.is_http2() {
            return true;
        }
        let is_empty = async {
            while let Ok(chunk) = session.read_request_body().await {
                match chunk {
                    None => return true,
                    Some(bytes) if bytes.is_empty() => {}
                    Some(_) => return false,
                }
            }
            false
        };
        !timeout(limit, is_empty).await.unwrap_or(false)
    }

    /// Resolves when the viewer has closed the connection or the HTTP/2 stream. Only for requests whose body
    /// has been read, or that have none.
    pub(crate) async fn until_gone(&mut self) {
        match &mut self.protocol {
            Protocol::Http1(http1) => http1.until_gone().await,
            Protocol::Session(session) => {
                while let Ok(Some(_unexpected)) = session.read_body_or_idle(true).await {}
            }
        }
    }

    /// Whether the viewer has closed the connection or the HTTP/2 stream by now.
    pub(crate) async fn is_gone(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.until_gone() => true,
            () = std::future::ready(()) => false,
        }
    }

    /// Ends a response that is incomplete. Over HTTP/1.1, the missing last chunk or the missing bytes show
    /// that. An HTTP/2 stream is reset with an error: many clients treat CANCEL as a complete response.
    pub(crate) async fn abort(self) {
        match self.protocol {
            // The viewer still receives a head that was waiting for its body.
            Protocol::Http1(mut http1) => _ = timeout(lingering_close::TIMEOUT, http1.flush()).await,
            Protocol::Session(mut session) if session.is_http2() => session.shutdown().await,
            Protocol::Session(_) => {}
        }
    }

    /// Ends the response. Returns the connection, with the bytes received after the request, if it can be
    /// reused.
    pub(crate) async fn finish(self, keep_alive: bool) -> Option<(Box<Transport>, BytesMut)> {
        if self.is_broken {
            return None;
        }
        let limit = self.write_timeout();
        match self.protocol {
            Protocol::Http1(http1) => within(limit, pin!(http1.finish(keep_alive))).await.ok()?,
            Protocol::Session(session) => finish(*session, keep_alive, limit).await,
        }
    }

    fn check(&mut self, is_written: bool) -> Result<(), Unsent> {
        if is_written {
            return Ok(());
        }
        self.is_broken = true;
        Err(Unsent)
    }

    fn write_timeout(&self) -> Duration {
        self.tier.settings().viewers.write_timeout.get()
    }
}

/// The request's body ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// Its chunks are malformed.
    Chunks,
    /// The viewer has left.
    Closed,
}

/// Ends a response that was sent through pingora's session.
async fn finish(
    mut session: ServerSession,
    keep_alive: bool,
    limit: Duration,
) -> Option<(Box<Transport>, BytesMut)> {
    if !keep_alive {
        session.set_keepalive(None);
    }
    if let ServerSession::H1(h1) = &mut session
        && !h1.is_body_done()
    {
        // The rest of the request body is not needed.
        within(limit, pin!(h1.finish_body())).await.ok()?.ok()?;
        let ServerSession::H1(h1) = session else { return None };
        lingering_close::close(h1.into_inner()).await;
        return None;
    }
    let reusable = within(limit, pin!(session.finish())).await.ok()?.ok().flatten();
    let (stream, rest) = reusable.map(ReusableHttpStream::into_parts)?;
    Some((Transport::of(stream)?, rest.unwrap_or_default()))
}

fn response_head(status: StatusCode, headers: HeaderMap) -> ResponseHeader {
    let (mut head, ()) = Response::new(()).into_parts();
    (head.status, head.headers) = (status, headers);
    head.into()
}

/// Whether an operation with a timeout succeeded in time.
fn succeeded<T, E, L>(result: Result<Result<T, E>, L>) -> bool {
    result.is_ok_and(|result| result.is_ok())
}
