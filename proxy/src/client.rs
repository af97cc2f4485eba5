//! The viewer's side of one request: what was asked, and the writing of what is answered.
//!
//! Everything that is written to viewers goes through here, whichever protocol they speak, but for what the fast lane
//! (`lane.rs`) answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::server::ReusableHttpStream;
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::time::{Instant, timeout};

use crate::account::{Asked, Known, Served};
use crate::answer;
use crate::farewell;
use crate::field;
use crate::tier::Tier;

/// A request that is being answered.
pub(crate) struct Client {
    tier: Arc<Tier>,
    session: ServerSession,
    peer: SocketAddr,
    received: Instant,
    first_byte: Option<Instant>,
    status: Option<StatusCode>,
    body_bytes: u64,
    /// Bytes of the body that the head has promised.
    promised: Option<u64>,
    /// Set when the answer was cut off: the connection must not look like a good end.
    cut_off: bool,
    known: Known,
}

/// The viewer cannot be written to any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the viewer is gone")]
pub(crate) struct Gone;

/// A slow viewer is given time for a piece of this size, not for the whole body.
const PIECE: usize = 64 * 1024;

impl Client {
    /// Wraps a session whose request head has been read.
    pub(crate) fn new(tier: &Arc<Tier>, session: ServerSession, peer: SocketAddr) -> Self {
        Self {
            tier: Arc::clone(tier),
            session,
            peer,
            received: Instant::now(),
            first_byte: None,
            status: None,
            body_bytes: 0,
            promised: None,
            cut_off: false,
            known: Known::default(),
        }
    }

    /// What is known of the request so far; written down as soon as it is.
    pub(crate) fn known(&mut self) -> &mut Known {
        &mut self.known
    }

    pub(crate) fn request(&self) -> &RequestHeader {
        self.session.req_header()
    }

    pub(crate) fn method(&self) -> &Method {
        &self.request().method
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.request().headers
    }

    pub(crate) fn version(&self) -> Version {
        self.request().version
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The request's head as it came; empty for HTTP/2.
    pub(crate) fn raw_head(&self) -> Bytes {
        if self.session.is_http2() { Bytes::new() } else { self.session.to_h1_raw() }
    }

    /// What the viewer got so far.
    pub(crate) fn served(&self) -> Served<'_> {
        let request = self.request();
        let asked = Asked {
            method: &request.method,
            version: request.version,
            host: request.uri.host(),
            path: request.uri.path(),
            query: request.uri.query(),
            peer: self.peer,
            headers: &request.headers,
        };
        Served {
            received: self.received,
            first_byte: self.first_byte,
            status: self.status,
            body_bytes: self.body_bytes,
            asked: self.tier.log().is_on().then_some(asked),
        }
    }

    /// Whether a body whose length is not known can be told from one that broke off.
    pub(crate) fn frames_unknown_lengths(&self) -> bool {
        self.version() > Version::HTTP_10
    }

    /// Writes the head. A body must have its length in `headers`, or it is sent in chunks.
    pub(crate) async fn head(&mut self, status: StatusCode, headers: HeaderMap) -> Result<(), Gone> {
        let head = Box::new(self.response_head(status, headers));
        let patience = self.write_timeout();
        if !status.is_informational() {
            let length = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
            self.promised = length.and_then(|length| length.parse().ok());
        }
        let written = timeout(patience, self.session.write_response_header(head)).await;
        if !status.is_informational() {
            self.status = Some(status);
            self.first_byte.get_or_insert_with(Instant::now);
        }
        self.check(written.is_ok_and(|written| written.is_ok()))
    }

    /// Writes a part of the body.
    pub(crate) async fn body(&mut self, mut bytes: Bytes) -> Result<(), Gone> {
        let patience = self.write_timeout();
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE));
            let sent = self.body_bytes + piece.len() as u64;
            // Over HTTP/2, the last piece says that it is the last; else an empty frame has to say so behind it.
            let is_last = self.session.is_http2() && self.promised == Some(sent);
            let written = timeout(patience, self.session.write_response_body(piece, is_last)).await;
            self.check(written.is_ok_and(|written| written.is_ok()))?;
            self.body_bytes = sent;
        }
        Ok(())
    }

    /// Marks the answer as broken: the connection or stream is reset, so that the viewer cannot take it for whole.
    pub(crate) fn cut_off(&mut self) {
        self.cut_off = true;
    }

    /// The next part of the request's body.
    pub(crate) async fn request_body(&mut self) -> Result<Option<Bytes>, Gone> {
        self.session.read_request_body().await.map_err(|_error| Gone)
    }

    /// Tells an HTTP/1.1 viewer who waits for it to send the request's body.
    pub(crate) async fn continue_(&mut self) -> Result<(), Gone> {
        self.session.write_continue_response().await.map_err(|_error| Gone)
    }

    /// Whether the head of the request announces a body.
    pub(crate) fn has_request_body(&mut self) -> bool {
        !self.session.is_body_empty()
    }

    /// Whether the request has a body with anything in it. Over HTTP/2 the head alone does not tell: the end of the
    /// request may come in a frame of its own, with nothing in it. That frame is waited for as long as `patience`.
    pub(crate) async fn brings_body(&mut self, patience: Duration) -> bool {
        if !self.has_request_body() {
            return false;
        }
        if !self.session.is_http2() {
            return true;
        }
        let ends = async {
            while let Ok(piece) = self.session.read_request_body().await {
                match piece {
                    None => return true,
                    Some(bytes) if bytes.is_empty() => {}
                    Some(_) => return false,
                }
            }
            false
        };
        !timeout(patience, ends).await.unwrap_or(false)
    }

    /// Resolves when the viewer has left. Only for requests whose body has been read or that have none.
    pub(crate) async fn gone(&mut self) {
        while let Ok(Some(_unexpected)) = self.session.read_body_or_idle(true).await {}
    }

    /// Gives the answer up where it stands. Without its last chunk or with bytes missing, HTTP/1.1 shows that by itself.
    /// A stream of HTTP/2 is reset, and with an error: many clients take a mere CANCEL for a good end.
    pub(crate) async fn abort(mut self) {
        if self.session.is_http2() {
            self.session.shutdown().await;
        }
    }

    /// Ends the answer. Gives the connection back where it can be used again.
    pub(crate) async fn finish(mut self, keep_alive: Option<Duration>) -> Option<ReusableHttpStream> {
        if self.cut_off {
            return None;
        }
        if keep_alive.is_none() {
            self.session.set_keepalive(None);
        }
        let write_timeout = self.write_timeout();
        if let ServerSession::H1(session) = &mut self.session
            && !session.is_body_done()
        {
            // Nobody wants the rest of the request.
            timeout(write_timeout, session.finish_body()).await.ok()?.ok()?;
            let ServerSession::H1(session) = self.session else { return None };
            farewell::part(session.into_inner()).await;
            return None;
        }
        timeout(write_timeout, self.session.finish()).await.ok()?.ok().flatten()
    }

    fn check(&mut self, well: bool) -> Result<(), Gone> {
        if well {
            return Ok(());
        }
        self.cut_off = true;
        Err(Gone)
    }

    fn write_timeout(&self) -> Duration {
        self.tier.settings().viewers.write_timeout.get()
    }

    fn response_head(&self, status: StatusCode, mut headers: HeaderMap) -> ResponseHeader {
        if !status.is_informational() {
            let timing = field::value(answer::timing(&self.tier, self.received));
            headers.append(HeaderName::from_static("server-timing"), timing);
        }
        let has_body = !status.is_informational()
            && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            && *self.method() != Method::HEAD;
        if has_body && !headers.contains_key(header::CONTENT_LENGTH) && self.version() == Version::HTTP_11 {
            headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let (mut head, ()) = Response::new(()).into_parts();
        (head.status, head.headers) = (status, headers);
        head.into()
    }
}
