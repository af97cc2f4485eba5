//! An HTTP/1.1 client for upstreams: one request and its response on a connection, and no more work than
//! that.
//!
//! 1. A connection is taken from the idle ones (`idle.rs`), or opened (`wire.rs`).
//! 2. The head of the request is sent in one write (`request_head.rs`), then the body, if there is one
//!    (`upload.rs`).
//! 3. The head of the response is parsed. It says how the body is framed.
//! 4. The body is read into the memory in which it stays (`intake.rs`), and its chunks are decoded.
//! 5. At the end of the body, if no bytes follow it, the connection is idle again.
//!
//! The codec `http1/` says what the bytes mean (decision 18). Decision 14 says why this is not pingora's
//! session.

pub(crate) mod idle;
mod intake;
mod request_head;
#[cfg(test)]
mod tests;
mod upload;
mod wire;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Method;
use tidegate_cache::Head;
use tidegate_http1::{Decoder, Framing, HEAD_BYTES_MAX, HeadFinder, Limits, Part, ResponseHead, Room};
use tokio::io::AsyncWriteExt as _;

use crate::error::UpstreamError;
use crate::request::UpstreamRequest;
use crate::spec::{Spec, Timeouts};
use idle::{Idle, Key};
use intake::{BUFFER, Intake, LARGE};
use upload::Upload;
pub(crate) use wire::Wire;

/// A request on a connection, and its response.
#[derive(Debug)]
pub(crate) struct Connection {
    wire: Wire,
    key: Key,
    method: Method,
    upload: Upload,
    intake: Intake,
    body: Body,
    /// Whether the connection can be used again after the end of the body.
    persists: bool,
    head_timeout: Duration,
    between_bytes: Duration,
}

/// The rest of the response's body.
#[derive(Debug)]
enum Body {
    /// The head has not been read.
    Unknown,
    Length(u64),
    Chunks(Decoder),
    UntilClose,
    Ended,
}

impl Connection {
    /// Sends the head of `request` to the upstream with `spec`, over a connection to `key`. The head of the
    /// response may take up to `head_timeout`.
    pub(crate) async fn send(
        mut wire: Wire,
        key: Key,
        spec: &Spec,
        request: &UpstreamRequest,
        head_timeout: Duration,
    ) -> Result<Self, UpstreamError> {
        let head = request_head::head(spec, request)?;
        let upload = Upload::of(&request.headers)?;
        let Timeouts { between_bytes, .. } = spec.options.timeouts;
        let sent = async {
            wire.write_all(&head).await?;
            wire.flush().await
        };
        within(between_bytes, UpstreamError::Stalled, sent).await?;
        let (method, intake) = (request.method.clone(), Intake::new());
        Ok(Self {
            wire,
            key,
            method,
            upload,
            intake,
            body: Body::Unknown,
            persists: false,
            head_timeout,
            between_bytes,
        })
    }

    /// Sends a chunk of the request's body.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<(), UpstreamError> {
        within(self.between_bytes, UpstreamError::Stalled, self.upload.write(&mut self.wire, bytes)).await
    }

    /// Ends the request.
    pub(crate) async fn finish(&mut self) -> Result<(), UpstreamError> {
        within(self.between_bytes, UpstreamError::Stalled, self.upload.finish(&mut self.wire)).await
    }

    /// Waits for the next head: the final one, or an informational one before it.
    pub(crate) async fn head(&mut self) -> Result<Head, UpstreamError> {
        let head_timeout = self.head_timeout;
        within(head_timeout, UpstreamError::FirstByteTimeout, self.read_head()).await
    }

    async fn read_head(&mut self) -> Result<Head, UpstreamError> {
        let mut finder = HeadFinder::response();
        loop {
            if let Some(place) = finder.find(self.intake.unread(), HEAD_BYTES_MAX)? {
                return self.parse_head(place.end);
            }
            if !self.intake.head(&mut self.wire).await? {
                return Err(UpstreamError::Closed);
            }
        }
    }

    /// Takes the head, which has `len` bytes. Its values are slices of one copy, which is no longer than
    /// needed, because objects are cached with their heads.
    fn parse_head(&mut self, len: usize) -> Result<Head, UpstreamError> {
        let bytes = Bytes::copy_from_slice(self.intake.unread().get(..len).unwrap_or_default());
        let mut room = Room::new();
        let head = ResponseHead::parse(&bytes, Limits::default(), &mut room)?;
        let head = head.ok_or(UpstreamError::Protocol)?.to_owned(&bytes, &self.method)?;
        self.intake.skip(len);
        self.persists = head.persists;
        if !head.status.is_informational() {
            self.body = Body::of(head.framing);
        }
        Ok(Head { status: head.status, headers: head.headers })
    }

    /// The next bytes of the body, as soon as there are any; `None` at its end. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        let between_bytes = self.between_bytes;
        match self.body {
            Body::Length(left) => {
                within(between_bytes, UpstreamError::Stalled, self.next_of(left)).await.map(Some)
            }
            Body::Chunks(_) => within(between_bytes, UpstreamError::Stalled, self.next_of_chunks()).await,
            Body::UntilClose => within(between_bytes, UpstreamError::Stalled, self.next_until_close()).await,
            Body::Unknown | Body::Ended => Ok(None),
        }
    }

    /// Whether the rest of a body of known length has been read, so that [`Connection::next`] need not wait
    /// for it.
    pub(crate) fn has_arrived(&self) -> bool {
        matches!(self.body, Body::Length(left) if self.intake.unread().len() as u64 >= left)
    }

    async fn next_of(&mut self, left: u64) -> Result<Bytes, UpstreamError> {
        let is_whole = self.intake.unread().len() as u64 >= left;
        if !is_whole && !self.intake.body(&mut self.wire, Some(left)).await? {
            return Err(UpstreamError::Closed);
        }
        let there = self.intake.unread().len();
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(there);
        let left = left.saturating_sub(taken as u64);
        self.body = if left == 0 { Body::Ended } else { Body::Length(left) };
        Ok(self.intake.take(taken))
    }

    /// A large chunk is passed on as it is in memory; small chunks that arrive together are joined.
    async fn next_of_chunks(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        let mut small = BytesMut::new();
        loop {
            let Body::Chunks(decoder) = &mut self.body else { return Ok(None) };
            let before = *decoder;
            match decoder.next(self.intake.unread())? {
                Part::Frame(len) => self.intake.skip(len),
                Part::Data(len) if small.is_empty() && len > LARGE => return Ok(Some(self.intake.take(len))),
                Part::Data(len) if len > LARGE || small.len() + len > BUFFER => {
                    // It is read again by the next call.
                    *decoder = before;
                    return Ok(Some(small.freeze()));
                }
                Part::Data(len) => {
                    small.extend_from_slice(self.intake.unread().get(..len).unwrap_or_default());
                    self.intake.skip(len);
                }
                Part::End if small.is_empty() => {
                    self.body = Body::Ended;
                    return Ok(None);
                }
                Part::More | Part::End if !small.is_empty() => return Ok(Some(small.freeze())),
                Part::More | Part::End => {
                    let left = Some(decoder.left()).filter(|left| *left > LARGE as u64);
                    if !self.intake.body(&mut self.wire, left).await? {
                        return Err(UpstreamError::Closed);
                    }
                }
            }
        }
    }

    async fn next_until_close(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        if !self.intake.body(&mut self.wire, None).await? {
            self.body = Body::Ended;
            return Ok(None);
        }
        Ok(Some(self.intake.take(self.intake.unread().len())))
    }

    /// Gives the connection back if it can be used again, or else closes it. It is closed if the request or
    /// the response is incomplete, or if bytes follow the response: they may belong to another one.
    pub(crate) fn release(self, idle: &Arc<Idle>) {
        let is_over = matches!(self.body, Body::Ended) && self.upload.is_over();
        if self.persists && is_over && self.intake.is_at_rest() {
            idle.put(self.key, self.wire);
        }
    }
}

impl Body {
    fn of(framing: Framing) -> Self {
        match framing {
            Framing::Empty | Framing::Length(0) => Self::Ended,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunks(Decoder::new()),
            Framing::Close => Self::UntilClose,
        }
    }
}

/// Does `work` within `limit`; `late` is the error if it takes longer.
async fn within<T, E: Into<UpstreamError>>(
    limit: Duration,
    late: UpstreamError,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, UpstreamError> {
    crate::within(limit, pin!(work)).await.map_err(|_elapsed| late)?.map_err(Into::into)
}
