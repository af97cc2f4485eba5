//! One HTTP/1.1 request without a body, and its response, on the connection itself.
//!
//! Every request that is no simple hit, has no body and nothing unusual is served here: misses, blocked
//! requests, forwarded requests. pingora's session, which serves the rest, keeps a buffer per request and
//! sends head and body in separate writes. Here a request keeps its head only. The head of a response is sent
//! with the first bytes of its body; if there are none yet, it is sent when the caller starts to wait for
//! them ([`Http1::until_gone`]).
//!
//! Requests with anything unusual are left to pingora ([`Http1::begin`]).

mod pieces;

use std::future::poll_fn;
use std::io::{Error, ErrorKind, Result};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, Method, StatusCode, Version, header};
use tidegate_http1::{Encoder, Framing, Request, lines};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};

use crate::clock;
use crate::viewer::head::Received;
use crate::viewer::lingering_close;
use crate::viewer::transport::Transport;

use pieces::Pieces;

/// A request, and its connection, which carries the response.
pub(crate) struct Http1 {
    transport: Box<Transport>,
    /// Its `persists` becomes false when the head of the response says that the connection ends.
    request: Request,
    /// The head that has been written and not sent.
    unsent: Bytes,
    /// The rest of the response body.
    encoder: Encoder,
    /// The bytes received after the request.
    pipelined: BytesMut,
}

impl Http1 {
    /// A request whose head has been read (`head.rs`).
    ///
    /// # Errors
    /// Returns connection and bytes when pingora has to read the request.
    pub(crate) fn begin(
        transport: Box<Transport>,
        received: Box<Received>,
    ) -> std::result::Result<Self, (Box<Transport>, BytesMut)> {
        if is_left_to_pingora(&received.request) {
            return Err((transport, received.into_bytes()));
        }
        let Received { request, pipelined, .. } = *received;
        let (unsent, encoder) = (Bytes::new(), Encoder::new(Framing::Empty));
        Ok(Self { transport, request, unsent, encoder, pipelined })
    }

    pub(crate) fn method(&self) -> &Method {
        &self.request.method
    }

    /// Path and query as received.
    pub(crate) fn target(&self) -> &[u8] {
        &self.request.target
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.request.headers
    }

    /// Sends an informational head (1xx) without delay.
    pub(crate) async fn inform(&mut self, status: StatusCode, headers: &HeaderMap) -> Result<()> {
        let mut head = Vec::with_capacity(HEAD_ROOM);
        lines::status_line(&mut head, status);
        lines::fields(&mut head, headers.iter());
        head.extend_from_slice(lines::END);
        self.unsent = head.into();
        self.flush().await
    }

    /// Writes the final head, of a response whose body is framed as `framing` and `headers` say. With
    /// `is_last`, the connection closes after this response, even if the viewer wants it to persist.
    pub(crate) fn head(&mut self, status: StatusCode, headers: &HeaderMap, framing: Framing, is_last: bool) {
        self.request.persists &= !is_last;
        self.encoder = Encoder::new(framing);
        // This hop writes its own Connection. The Date of a response that is forwarded is the origin's.
        let mut head = Vec::with_capacity(HEAD_ROOM);
        lines::status_line(&mut head, status);
        lines::fields(&mut head, headers.iter().filter(|(name, _)| **name != header::CONNECTION));
        if !headers.contains_key(header::DATE) {
            head.extend_from_slice(b"Date: ");
            lines::date::append(&mut head, clock::now());
            head.extend_from_slice(lines::END);
        }
        head.extend_from_slice(if self.request.persists { lines::KEEP_ALIVE } else { lines::CLOSE });
        head.extend_from_slice(lines::END);
        self.unsent = head.into();
    }

    /// Sends the next bytes of the body, after the head if that is unsent. Ignores the bytes if the response
    /// has no body.
    pub(crate) async fn body(&mut self, pieces: Vec<Bytes>) -> Result<()> {
        let pieces = Pieces::of(pieces);
        if self.encoder.is_over() || !pieces.has_remaining() {
            return Ok(());
        }
        let framed =
            self.encoder.frame(pieces).map_err(|error| Error::new(ErrorKind::InvalidInput, error))?;
        let mut out = (&mut self.unsent).chain(framed);
        self.transport.write_all_buf(&mut out).await?;
        self.transport.flush().await
    }

    /// Resolves when the viewer has closed the connection. Sends the unsent head first: the body may take a
    /// while.
    pub(crate) async fn until_gone(&mut self) {
        if self.flush().await.is_ok() {
            poll_fn(|cx| self.poll_gone(cx)).await;
        }
    }

    /// Reads the bytes that the viewer sends ahead, until the end of the connection. When [`PIPELINED_MAX`]
    /// bytes have been read, the end is noticed only when the response is written.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // On the stack, so that a waiting request holds no buffer.
        let mut room = [MaybeUninit::uninit(); READ];
        while self.pipelined.len() < PIPELINED_MAX {
            let mut read = ReadBuf::uninit(&mut room);
            let result = ready!(Pin::new(&mut *self.transport).poll_read(cx, &mut read));
            if result.is_err() || read.filled().is_empty() {
                return Poll::Ready(());
            }
            self.pipelined.extend_from_slice(read.filled());
        }
        Poll::Pending
    }

    /// Sends the unsent head, if any.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        while self.unsent.has_remaining() {
            // Safe to cancel and call again: each write removes the bytes that it sent.
            if self.transport.write_buf(&mut self.unsent).await? == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
        }
        self.transport.flush().await
    }

    /// Ends the response. Returns the connection, with the bytes received after the request, if it can be
    /// reused.
    pub(crate) async fn finish(mut self, keep_alive: bool) -> Option<(Box<Transport>, BytesMut)> {
        let mut out = (&mut self.unsent).chain(self.encoder.end());
        self.transport.write_all_buf(&mut out).await.ok()?;
        self.flush().await.ok()?;
        if self.encoder.is_over() && self.request.persists && keep_alive {
            return Some((self.transport, self.pipelined));
        }
        if self.pipelined.is_empty() {
            // An error means that the viewer has closed the connection already.
            let _gone = self.transport.shutdown().await;
        } else {
            // There may be more unread bytes.
            lingering_close::close(self.transport).await;
        }
        None
    }
}

/// Whether the request has a body, or anything else that only pingora's session serves.
fn is_left_to_pingora(request: &Request) -> bool {
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let has_host = hosts.next().is_some_and(|host| !host.is_empty()) && hosts.next().is_none();
    request.version != Version::HTTP_11
        || request.method == Method::CONNECT
        || request.framing != Framing::Empty
        || !request.target.starts_with(b"/")
        || !has_host
        || LEFT_TO_PINGORA.iter().any(|name| request.headers.contains_key(name))
}

impl std::fmt::Debug for Http1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http1").field("method", &self.request.method).finish_non_exhaustive()
    }
}

/// Fields that request more than one response.
const LEFT_TO_PINGORA: [HeaderName; 2] = [header::EXPECT, header::UPGRADE];

/// Most response heads are shorter.
const HEAD_ROOM: usize = 1024;
/// Bytes per read of what a viewer sends ahead.
const READ: usize = 2048;
/// Bytes that are read ahead while a viewer waits for a response. Further bytes stay in the socket.
const PIPELINED_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests;
