//! What HTTP/2 writes under TLS, gathered into full records and few system calls.
//!
//! h2 writes frame by frame, and flushes behind each. A frame of 16 KiB and its nine bytes of head make two records, and
//! a system call. So what is written is sealed and kept; it is sent when there is a good deal of it ([`KEPT_MAX`]), or
//! when the task that speaks has nothing more to say for the moment, which whoever runs that task tells ([`Flusher`]).

use std::io::{Error, IoSlice, Result, Write as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A connection of HTTP/2 under TLS. What is flushed is sent by its [`Flusher`].
#[derive(Debug)]
pub(crate) struct RecordWriter(Arc<Mutex<Kept>>);

/// Sends what its [`RecordWriter`] has kept.
#[derive(Debug)]
pub(crate) struct Flusher(Arc<Mutex<Kept>>);

/// Only one task uses it, so that its lock is free whenever it is asked for.
#[derive(Debug)]
struct Kept {
    stream: TlsStream<TcpStream>,
    /// Bytes that have been sealed since all was sent.
    sealed: usize,
    /// Bytes that are still to become a record, together with what is written next.
    open: Vec<u8>,
}

impl RecordWriter {
    pub(super) fn new(mut stream: TlsStream<TcpStream>) -> (Self, Flusher) {
        // What may be kept is bounded here, and not in the middle of a record.
        stream.get_mut().1.set_buffer_limit(None);
        let kept = Arc::new(Mutex::new(Kept { stream, sealed: 0, open: Vec::new() }));
        (Self(Arc::clone(&kept)), Flusher(kept))
    }

    pub(super) fn fd(&self) -> RawFd {
        self.0.lock().stream.get_ref().0.as_raw_fd()
    }
}

impl Flusher {
    /// Sends all that has been written.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.lock().poll_send(cx)
    }
}

impl Kept {
    /// Takes what is offered: whole records are sealed, and what would make a small one more waits for what comes next.
    fn take(&mut self, offered: &[IoSlice<'_>]) -> Result<usize> {
        let len = offered.iter().map(|slice| slice.len()).sum::<usize>();
        let all = self.open.len() + len;
        let sealed = all - stays_open(all);
        let mut seals = sealed;
        if seals == 0 {
            for slice in offered {
                self.open.extend_from_slice(slice);
            }
            return Ok(len);
        }
        // What is open is less than a record, so that all of it is sealed.
        let mut slices = Vec::with_capacity(offered.len() + 1);
        let mut rest = Vec::new();
        for slice in std::iter::once(&self.open[..]).chain(offered.iter().map(|slice| &**slice)) {
            let (now, later) = slice.split_at(slice.len().min(seals));
            seals -= now.len();
            slices.push(IoSlice::new(now));
            rest.extend_from_slice(later);
        }
        if self.stream.get_mut().1.writer().write_vectored(&slices)? != sealed {
            return Err(Error::other("a record is sealed in part"));
        }
        self.sealed += sealed;
        self.open = rest;
        Ok(len)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if !self.open.is_empty() {
            self.stream.get_mut().1.writer().write_all(&self.open)?;
            self.open.clear();
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.sealed = 0;
        Poll::Ready(Ok(()))
    }
}

/// How many of so many bytes wait for what comes next: what would make a small record behind full ones, or by itself.
fn stays_open(all: usize) -> usize {
    let over = all % RECORD;
    if over <= OPEN_MAX { over } else { 0 }
}

impl AsyncRead for RecordWriter {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0.lock().stream).poll_read(cx, buf)
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
        let mut kept = self.0.lock();
        if kept.sealed >= KEPT_MAX {
            ready!(kept.poll_send(cx))?;
        }
        Poll::Ready(kept.take(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The outlet sends what is kept, at the end of this turn of the task.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut kept = self.0.lock();
        ready!(kept.poll_send(cx))?;
        Pin::new(&mut kept.stream).poll_shutdown(cx)
    }
}

/// Bytes in a full record (RFC 8446 section 5.1).
const RECORD: usize = 16 * 1024;
/// What is more than full records by so little waits for what comes next. It is copied.
const OPEN_MAX: usize = 1024;
/// Once so much has been sealed, it is sent before more is taken.
const KEPT_MAX: usize = 4 * RECORD;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_would_make_a_small_record_waits() {
        for (all, stays) in [
            (0, 0),
            (9, 9),
            (OPEN_MAX, OPEN_MAX),
            (OPEN_MAX + 1, 0),
            (RECORD - 1, 0),
            (RECORD, 0),
            // A frame of 16 KiB and its head.
            (RECORD + 9, 9),
            (2 * RECORD + OPEN_MAX + 1, 0),
        ] {
            assert_eq!(stays_open(all), stays, "{all}");
        }
    }
}
