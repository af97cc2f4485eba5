//! Gathers the writes of HTTP/2 over TLS into full records and few system calls.
//!
//! h2 writes frame by frame and flushes after each. A frame of 16 KiB and its header of nine bytes make two
//! records and a system call. So writes are sealed into records and kept. They are sent when [`SEALED_MAX`]
//! bytes have been sealed, or after each poll of the connection, when its task calls the [`Flusher`].

use std::io::{Error, IoSlice, Result, Write as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// An HTTP/2 connection over TLS. Its [`Flusher`] sends the records.
#[derive(Debug)]
pub(crate) struct RecordWriter(Arc<Mutex<State>>);

/// Sends the records that its [`RecordWriter`] has kept.
#[derive(Debug)]
pub(crate) struct Flusher(Arc<Mutex<State>>);

/// Only one task uses it, so that its lock is always free.
#[derive(Debug)]
struct State {
    stream: TlsStream<TcpStream>,
    /// Bytes that were read before this connection was known to be HTTP/2.
    already_read: BytesMut,
    /// Bytes sealed since the last complete send.
    sealed: usize,
    /// Bytes that wait for the next write, to share a record with it.
    pending: Vec<u8>,
}

impl RecordWriter {
    pub(super) fn new(mut stream: TlsStream<TcpStream>, already_read: BytesMut) -> (Self, Flusher) {
        // `SEALED_MAX` bounds the buffer; the limit of rustls could end a write in the middle of a record.
        stream.get_mut().1.set_buffer_limit(None);
        let state = Arc::new(Mutex::new(State { stream, already_read, sealed: 0, pending: Vec::new() }));
        (Self(Arc::clone(&state)), Flusher(state))
    }

    pub(super) fn fd(&self) -> RawFd {
        self.0.lock().stream.get_ref().0.as_raw_fd()
    }
}

impl Flusher {
    /// Sends all written bytes.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.lock().poll_send(cx)
    }
}

impl State {
    /// Accepts a write: seals whole records; a small rest waits for the next write.
    fn accept(&mut self, bufs: &[IoSlice<'_>]) -> Result<usize> {
        let len = bufs.iter().map(|slice| slice.len()).sum::<usize>();
        let all = self.pending.len() + len;
        let sealed = all - pending_len(all);
        let mut to_seal = sealed;
        if to_seal == 0 {
            for slice in bufs {
                self.pending.extend_from_slice(slice);
            }
            return Ok(len);
        }
        // Pending bytes are fewer than a record holds, so that all of them are sealed.
        let mut slices = Vec::with_capacity(bufs.len() + 1);
        let mut rest = Vec::new();
        for slice in std::iter::once(&self.pending[..]).chain(bufs.iter().map(|slice| &**slice)) {
            let (now, later) = slice.split_at(slice.len().min(to_seal));
            to_seal -= now.len();
            slices.push(IoSlice::new(now));
            rest.extend_from_slice(later);
        }
        if self.stream.get_mut().1.writer().write_vectored(&slices)? != sealed {
            return Err(Error::other("a record is sealed in part"));
        }
        self.sealed += sealed;
        self.pending = rest;
        Ok(len)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if !self.pending.is_empty() {
            self.stream.get_mut().1.writer().write_all(&self.pending)?;
            self.pending.clear();
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.sealed = 0;
        Poll::Ready(Ok(()))
    }
}

/// How many of `all` bytes wait for the next write: those that would make a small record, alone or after full
/// ones.
fn pending_len(all: usize) -> usize {
    let over = all % RECORD;
    if over <= PENDING_MAX { over } else { 0 }
}

impl AsyncRead for RecordWriter {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let mut state = self.0.lock();
        if state.already_read.is_empty() {
            return Pin::new(&mut state.stream).poll_read(cx, buf);
        }
        let len = state.already_read.len().min(buf.remaining());
        buf.put_slice(&state.already_read.split_to(len));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for RecordWriter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let mut state = self.0.lock();
        if state.sealed >= SEALED_MAX {
            ready!(state.poll_send(cx))?;
        }
        Poll::Ready(state.accept(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The [`Flusher`] sends the kept records after this poll of the connection.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut state = self.0.lock();
        ready!(state.poll_send(cx))?;
        Pin::new(&mut state.stream).poll_shutdown(cx)
    }
}

/// Bytes in a full record (RFC 8446 section 5.1).
const RECORD: usize = 16 * 1024;
/// A rest of at most this many bytes after full records waits for the next write, which costs a copy.
const PENDING_MAX: usize = 1024;
/// Once this many bytes have been sealed, they are sent before the next write is accepted.
const SEALED_MAX: usize = 4 * RECORD;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bytes_of_a_small_record_wait() {
        for (all, pending) in [
            (0, 0),
            (9, 9),
            (PENDING_MAX, PENDING_MAX),
            (PENDING_MAX + 1, 0),
            (RECORD - 1, 0),
            (RECORD, 0),
            // A frame of 16 KiB and its header.
            (RECORD + 9, 9),
            (2 * RECORD + PENDING_MAX + 1, 0),
        ] {
            assert_eq!(pending_len(all), pending, "{all}");
        }
    }
}
