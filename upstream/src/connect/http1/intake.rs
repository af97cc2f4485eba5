//! Received bytes: read from the system into the memory in which they stay.
//!
//! The result of a read becomes a chunk of the body in place, so that the system makes the only copy of each
//! byte. A chunk that fills little of its buffer is copied out of it, because a chunk keeps the whole buffer
//! alive.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::AsyncReadExt as _;

use super::wire::Wire;
use crate::error::UpstreamError;

/// The buffer for a head and the bytes that follow it.
const HEAD: usize = 8 * 1024;

/// The largest buffer for a body.
pub(super) const BUFFER: usize = 64 * 1024;

/// A longer chunk stays in its buffer, though it may fill no more than a quarter of it: the next read uses
/// the rest of the buffer. If only few bytes arrive from then on, they are copied out, always from the same
/// place, so that no more than one buffer of a body stays in part unused.
pub(super) const LARGE: usize = 16 * 1024;

/// The rest of a buffer is used for the next read if it is at least this large.
const REST: usize = 8 * 1024;

/// Bytes that were read and not taken yet.
#[derive(Debug)]
pub(super) struct Intake {
    unread: BytesMut,
    /// The size of the last buffer.
    size: usize,
    /// How the other side ended the connection.
    ended: Option<Result<(), UpstreamError>>,
}

impl Intake {
    pub(super) fn new() -> Self {
        Self { unread: BytesMut::new(), size: 0, ended: None }
    }

    /// The bytes that are there.
    pub(super) fn unread(&self) -> &[u8] {
        &self.unread
    }

    /// Whether all bytes have been taken, and the connection is open.
    pub(super) fn is_at_rest(&self) -> bool {
        self.unread.is_empty() && self.ended.is_none()
    }

    /// Waits for bytes of a head after those that are there; `false` if the connection ends before.
    pub(super) async fn head(&mut self, wire: &mut Wire) -> Result<bool, UpstreamError> {
        let held = self.unread.len();
        if held == self.unread.capacity() {
            self.grow((2 * held).max(HEAD));
        }
        self.more(wire, held).await
    }

    /// Waits for bytes of a body, and takes more if they are there already; `false` at the end. `left` bytes
    /// are missing, if that is known.
    pub(super) async fn body(&mut self, wire: &mut Wire, left: Option<u64>) -> Result<bool, UpstreamError> {
        // One byte more than there can be: a read that does not fill its buffer tells the runtime that the
        // socket is empty, and the next check needs no system call.
        let left = left.map(|left| usize::try_from(left).unwrap_or(usize::MAX).saturating_add(1));
        let next = left.unwrap_or(2 * self.size).clamp(1, BUFFER);
        let held = self.unread.len();
        if held <= LARGE && self.unread.capacity() < (next.max(held) - held).min(REST) + held {
            self.grow(next);
        }
        self.more(wire, 0).await
    }

    /// The first `len` bytes, which are there.
    pub(super) fn take(&mut self, len: usize) -> Bytes {
        if len > LARGE || 2 * len >= self.unread.capacity() {
            return self.unread.split_to(len).freeze();
        }
        let copy = Bytes::copy_from_slice(self.unread.get(..len).unwrap_or_default());
        self.skip(len);
        copy
    }

    /// Drops the first `len` bytes.
    pub(super) fn skip(&mut self, len: usize) {
        if len == self.unread.len() {
            // The buffer starts over.
            self.unread.clear();
        } else {
            self.unread.advance(len);
        }
    }

    fn grow(&mut self, size: usize) {
        let mut larger = BytesMut::with_capacity(size);
        larger.extend_from_slice(&self.unread);
        (self.unread, self.size) = (larger, size);
    }

    /// Reads while there are bytes and room for them, and waits until more than `held` bytes are there. Safe
    /// to cancel.
    async fn more(&mut self, wire: &mut Wire, held: usize) -> Result<bool, UpstreamError> {
        poll_fn(|context| {
            while self.ended.is_none() && self.unread.len() < self.unread.capacity() {
                if self.poll_read(wire, context).is_pending() {
                    if self.unread.len() > held {
                        break;
                    }
                    return Poll::Pending;
                }
            }
            Poll::Ready(match self.ended {
                _ if self.unread.len() > held => Ok(true),
                Some(ended) => ended.map(|()| false),
                None => Ok(false),
            })
        })
        .await
    }

    fn poll_read(&mut self, wire: &mut Wire, context: &mut Context<'_>) -> Poll<()> {
        match ready!(pin!(wire.read_buf(&mut self.unread)).poll(context)) {
            Ok(0) => self.ended = Some(Ok(())),
            Ok(_) => {}
            // Kept until the bytes before it have been taken: a socket reports an error once.
            Err(error) => self.ended = Some(Err(error.into())),
        }
        Poll::Ready(())
    }
}
