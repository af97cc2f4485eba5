//! Bytes on their way in: read from the system into the memory in which they stay.
//!
//! What a read brings becomes a piece of the body as it lies there, so that each byte is copied once, by the system. Only
//! what fills little of its buffer is copied out of it, since a piece keeps the whole buffer alive.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::AsyncReadExt as _;

use super::wire::Wire;
use crate::error::UpstreamError;

/// The buffer into which a head is read, and with it what comes right behind.
const HEAD: usize = 8 * 1024;

/// The largest buffer for a body.
pub(super) const BUFFER: usize = 64 * 1024;

/// A piece that is longer than this stays where it is, though it may fill no more than a quarter of its buffer: what is left of
/// the buffer is read into next. Where only little comes from then on, it is copied out, always from the same place, so that
/// no more than one buffer of a body stays in part unused.
pub(super) const LARGE: usize = 16 * 1024;

/// What is left of a buffer is read into, if it is that much.
const REST: usize = 8 * 1024;

/// What was read and not yet taken.
#[derive(Debug)]
pub(super) struct Intake {
    unread: BytesMut,
    /// The size of the last buffer.
    size: usize,
    /// How the other side has ended.
    ended: Option<Result<(), UpstreamError>>,
}

impl Intake {
    pub(super) fn new() -> Self {
        Self { unread: BytesMut::new(), size: 0, ended: None }
    }

    /// What is there.
    pub(super) fn unread(&self) -> &[u8] {
        &self.unread
    }

    /// Whether all that came was taken, and the other side has not ended.
    pub(super) fn is_at_rest(&self) -> bool {
        self.unread.is_empty() && self.ended.is_none()
    }

    /// Waits for bytes of a head behind those that are there; `false` if the other side ends before it brings any.
    pub(super) async fn head(&mut self, wire: &mut Wire) -> Result<bool, UpstreamError> {
        let held = self.unread.len();
        if held == self.unread.capacity() {
            self.grow((2 * held).max(HEAD));
        }
        self.more(wire, held).await
    }

    /// Waits until there are bytes of a body, and takes what more there is without waiting for it; `false` at the end.
    /// `left` bytes are still to come, if that is known.
    pub(super) async fn body(&mut self, wire: &mut Wire, left: Option<u64>) -> Result<bool, UpstreamError> {
        // One byte more than there can be: a read that does not fill its buffer tells the runtime that the socket is
        // empty, and the next look at it needs no system call.
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

    /// Reads as long as there is something to read and room for it, and waits until more than `held` bytes are there.
    /// Cancelling the wait loses nothing.
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
            // Kept for when what came before it has been taken: a socket tells an error once.
            Err(error) => self.ended = Some(Err(error.into())),
        }
        Poll::Ready(())
    }
}
