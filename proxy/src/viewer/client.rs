//! The viewer's side of one request: what was asked, and the writing of what is answered.
//!
//! Everything that is written to viewers goes through here, whichever protocol they speak, but for what the fast lane
//! (`fast_path.rs`) answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::server::ReusableHttpStream;
use pingora_http::ResponseHeader;
use tidegate_headers::field;
use tidegate_headers::server_timing::{self, SERVER_TIMING};
use tokio::time::{Instant, timeout};

use crate::observe::facts::{Asked, Known, Served};
use crate::request::target;
use crate::tier::Tier;
use crate::viewer::gone::Gone;
use crate::viewer::http1::Http1;
use crate::viewer::lingering_close;
use crate::viewer::transport::Transport;

/// A request that is being answered.
pub(crate) struct Client {
    tier: Arc<Tier>,
    speaks: Speaks,
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

/// How the viewer is spoken with.
#[expect(
    clippy::large_enum_variant,
    reason = "what is frequent needs no box of its own: the client is in one"
)]
pub(crate) enum Speaks {
    /// HTTP/1.1, and the request has no body.
    Http1(Http1),
    /// Anything else that pingora speaks: HTTP/2, HTTP/1.0, bodies.
    Session(Box<ServerSession>),
}

/// A slow viewer is given time for so many bytes, not for the whole body.
pub(crate) const PIECE: usize = 64 * 1024;

impl Client {
    /// Begins with a request whose head has been read.
    pub(crate) fn new(tier: &Arc<Tier>, speaks: Speaks, peer: SocketAddr) -> Self {
        Self {
            tier: Arc::clone(tier),
            speaks,
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

    pub(crate) fn method(&self) -> &Method {
        match &self.speaks {
            Speaks::Http1(http1) => http1.method(),
            Speaks::Session(session) => &session.req_header().method,
        }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        match &self.speaks {
            Speaks::Http1(http1) => http1.headers(),
            Speaks::Session(session) => &session.req_header().headers,
        }
    }

    pub(crate) fn version(&self) -> Version {
        match &self.speaks {
            Speaks::Http1(_) => Version::HTTP_11,
            Speaks::Session(session) => session.req_header().version,
        }
    }

    /// The target as sent.
    pub(crate) fn target(&self) -> &[u8] {
        match &self.speaks {
            Speaks::Http1(http1) => http1.target(),
            Speaks::Session(session) => session.req_header().raw_path(),
        }
    }

    /// The host that is named outside of the header fields, as HTTP/2 does.
    pub(crate) fn authority(&self) -> Option<&str> {
        match &self.speaks {
            Speaks::Http1(_) => None,
            Speaks::Session(session) => {
                session.req_header().uri.authority().map(http::uri::Authority::as_str)
            }
        }
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The request's head as it came, where its framing is to be looked at once more; empty elsewhere.
    pub(crate) fn raw_head(&self) -> Bytes {
        match &self.speaks {
            Speaks::Session(session) if !session.is_http2() => session.to_h1_raw(),
            Speaks::Session(_) | Speaks::Http1(_) => Bytes::new(),
        }
    }

    /// What the viewer got so far.
    pub(crate) fn served(&self) -> Served<'_> {
        Served {
            received: self.received,
            first_byte: self.first_byte,
            status: self.status,
            body_bytes: self.body_bytes,
            asked: self.tier.log().is_on().then(|| self.asked()),
        }
    }

    fn asked(&self) -> Asked<'_> {
        let (host, path, query) = match &self.speaks {
            Speaks::Http1(http1) => {
                let (path, query) = target::parts(std::str::from_utf8(http1.target()).unwrap_or_default());
                (None, path, query)
            }
            Speaks::Session(session) => {
                let uri = &session.req_header().uri;
                (uri.host(), uri.path(), uri.query())
            }
        };
        let (method, version, headers) = (self.method(), self.version(), self.headers());
        Asked { method, version, host, path, query, peer: self.peer, headers }
    }

    /// Whether a body whose length is not known can be told from one that broke off.
    pub(crate) fn frames_unknown_lengths(&self) -> bool {
        self.version() > Version::HTTP_10
    }

    /// Writes the head. A body must have its length in `headers`, or it is sent in chunks.
    ///
    /// Over HTTP/1.1 it leaves with the first bytes of the body, with [`Client::gone`] or with [`Client::settle`]: whoever
    /// waits for something behind it waits beside `gone`.
    pub(crate) async fn head(&mut self, status: StatusCode, mut headers: HeaderMap) -> Result<(), Gone> {
        let is_final = !status.is_informational();
        if is_final {
            let timing = field::value(server_timing::member(self.tier.node(), self.received.elapsed()));
            headers.append(SERVER_TIMING.clone(), timing);
            let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
            self.promised = length.and_then(|length| length.parse().ok());
            if self.is_chunked(status) {
                headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
        }
        let patience = self.write_timeout();
        let written = match &mut self.speaks {
            Speaks::Http1(http1) if is_final => {
                http1.head(status, &headers, self.tier.draining().is_given());
                true
            }
            Speaks::Http1(http1) => is_done(timeout(patience, http1.inform(status, &headers)).await),
            Speaks::Session(session) => {
                let head = Box::new(response_head(status, headers));
                is_done(timeout(patience, session.write_response_header(head)).await)
            }
        };
        if is_final {
            self.status = Some(status);
            self.first_byte.get_or_insert_with(Instant::now);
        }
        self.check(written)
    }

    /// Whether the answer has a body of unknown length that has to be framed.
    fn is_chunked(&self, status: StatusCode) -> bool {
        !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            && *self.method() != Method::HEAD
            && self.promised.is_none()
            && self.version() == Version::HTTP_11
    }

    /// Sends what has been written and has not left yet: the head of an answer that has no body.
    pub(crate) async fn settle(&mut self) -> Result<(), Gone> {
        let patience = self.write_timeout();
        let sent = match &mut self.speaks {
            Speaks::Http1(http1) => is_done(timeout(patience, http1.flush()).await),
            Speaks::Session(_) => true,
        };
        self.check(sent)
    }

    /// Writes a part of the body.
    pub(crate) async fn body(&mut self, mut bytes: Bytes) -> Result<(), Gone> {
        while !bytes.is_empty() {
            self.pieces(vec![bytes.split_to(bytes.len().min(PIECE))]).await?;
        }
        Ok(())
    }

    /// Writes pieces of the body, one behind the other, which have no more than [`PIECE`] bytes together: over HTTP/1.1 in
    /// one write, by pingora's session each by itself.
    pub(crate) async fn pieces(&mut self, pieces: Vec<Bytes>) -> Result<(), Gone> {
        let patience = self.write_timeout();
        match &mut self.speaks {
            Speaks::Http1(http1) => {
                let sent = pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
                let written = is_done(timeout(patience, http1.body(pieces)).await);
                self.check(written)?;
                self.body_bytes += sent;
            }
            Speaks::Session(session) => {
                for piece in pieces {
                    let sent = self.body_bytes + piece.len() as u64;
                    // Over HTTP/2, the last piece says that it is the last; else an empty frame has to say so behind it.
                    let is_last = session.is_http2() && self.promised == Some(sent);
                    let written = session.write_response_body(piece, is_last);
                    if !is_done(timeout(patience, written).await) {
                        return self.check(false);
                    }
                    self.body_bytes = sent;
                }
            }
        }
        Ok(())
    }

    /// Marks the answer as broken: the connection or stream is reset, so that the viewer cannot take it for whole.
    pub(crate) fn cut_off(&mut self) {
        self.cut_off = true;
    }

    /// The next part of the request's body.
    pub(crate) async fn request_body(&mut self) -> Result<Option<Bytes>, Gone> {
        match &mut self.speaks {
            Speaks::Http1(_) => Ok(None),
            Speaks::Session(session) => session.read_request_body().await.map_err(|_error| Gone),
        }
    }

    /// Tells an HTTP/1.1 viewer who waits for it to send the request's body.
    pub(crate) async fn continue_(&mut self) -> Result<(), Gone> {
        match &mut self.speaks {
            Speaks::Http1(_) => Ok(()),
            Speaks::Session(session) => session.write_continue_response().await.map_err(|_error| Gone),
        }
    }

    /// Whether the head of the request announces a body.
    pub(crate) fn has_request_body(&mut self) -> bool {
        match &mut self.speaks {
            Speaks::Http1(_) => false,
            Speaks::Session(session) => !session.is_body_empty(),
        }
    }

    /// Whether the request has a body with anything in it. Over HTTP/2 the head alone does not tell: the end of the
    /// request may come in a frame of its own, with nothing in it. That frame is waited for as long as `patience`.
    pub(crate) async fn brings_body(&mut self, patience: Duration) -> bool {
        let Speaks::Session(session) = &mut self.speaks else { return false };
        if session.is_body_empty() {
            return false;
        }
        if !session.is_http2() {
            return true;
        }
        let ends = async {
            while let Ok(piece) = session.read_request_body().await {
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
        match &mut self.speaks {
            Speaks::Http1(http1) => http1.gone().await,
            Speaks::Session(session) => {
                while let Ok(Some(_unexpected)) = session.read_body_or_idle(true).await {}
            }
        }
    }

    /// Gives the answer up where it stands. Without its last chunk or with bytes missing, HTTP/1.1 shows that by itself.
    /// A stream of HTTP/2 is reset, and with an error: many clients take a mere CANCEL for a good end.
    pub(crate) async fn abort(self) {
        match self.speaks {
            // A head that waits for its body tells what has broken.
            Speaks::Http1(mut http1) => _ = timeout(lingering_close::PATIENCE, http1.flush()).await,
            Speaks::Session(mut session) if session.is_http2() => session.shutdown().await,
            Speaks::Session(_) => {}
        }
    }

    /// Ends the answer. Gives the connection back, with what came behind the request, where it can be used again.
    pub(crate) async fn finish(self, keep_alive: bool) -> Option<(Box<Transport>, BytesMut)> {
        if self.cut_off {
            return None;
        }
        let patience = self.write_timeout();
        match self.speaks {
            Speaks::Http1(http1) => timeout(patience, http1.finish(keep_alive)).await.ok()?,
            Speaks::Session(session) => finish(*session, keep_alive, patience).await,
        }
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
}

/// Ends an answer that pingora's session has sent.
async fn finish(
    mut session: ServerSession,
    keep_alive: bool,
    patience: Duration,
) -> Option<(Box<Transport>, BytesMut)> {
    if !keep_alive {
        session.set_keepalive(None);
    }
    if let ServerSession::H1(h1) = &mut session
        && !h1.is_body_done()
    {
        // Nobody wants the rest of the request.
        timeout(patience, h1.finish_body()).await.ok()?.ok()?;
        let ServerSession::H1(h1) = session else { return None };
        lingering_close::part(h1.into_inner()).await;
        return None;
    }
    let again = timeout(patience, session.finish()).await.ok()?.ok().flatten();
    let (stream, behind) = again.map(ReusableHttpStream::into_parts)?;
    Some((Transport::of(stream)?, behind.unwrap_or_default()))
}

fn response_head(status: StatusCode, headers: HeaderMap) -> ResponseHeader {
    let (mut head, ()) = Response::new(()).into_parts();
    (head.status, head.headers) = (status, headers);
    head.into()
}

/// Whether something was done in time, and well.
fn is_done<T, E, L>(done: Result<Result<T, E>, L>) -> bool {
    done.is_ok_and(|done| done.is_ok())
}
