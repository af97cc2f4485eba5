//! A client's TCP connection, which can be broken on purpose.
//!
//! hyper speaks HTTP over a [`Wire`]. An answer that HTTP libraries refuse to give, such as a body that does not fit its
//! Content-Length or a reset after byte k, is written past hyper through the connection's [`Line`].

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// A connection as its requests see it.
#[derive(Clone, Debug)]
pub(crate) struct Line(Arc<Inner>);

/// A connection as hyper sees it.
#[derive(Debug)]
pub(crate) struct Wire(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stream: TcpStream,
    /// hyper's writes wait for ever: an answer is being written past it.
    muted: AtomicBool,
    /// A request was read.
    used: AtomicBool,
    /// Bytes that hyper has written.
    written: AtomicU64,
    progress: Notify,
    /// The connection is to end now.
    over: CancellationToken,
}

impl Line {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self(Arc::new(Inner {
            stream,
            muted: AtomicBool::new(false),
            used: AtomicBool::new(false),
            written: AtomicU64::new(0),
            progress: Notify::new(),
            over: CancellationToken::new(),
        }))
    }

    pub(crate) fn wire(&self) -> Wire {
        Wire(Arc::clone(&self.0))
    }

    /// Notes that a request was read.
    pub(crate) fn note_use(&self) {
        self.0.used.store(true, Ordering::Relaxed);
    }

    /// Whether a request was ever read.
    pub(crate) fn is_used(&self) -> bool {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Ends when the connection is to end.
    pub(crate) fn over(&self) -> &CancellationToken {
        &self.0.over
    }

    /// Keeps the kernel from waiting for more before it sends: slow bodies go out byte by byte.
    pub(crate) fn send_at_once(&self) {
        if let Err(error) = self.0.stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection was gone before it was served");
        }
    }

    /// Keeps hyper from writing from now on.
    pub(crate) fn mute(&self) {
        self.0.muted.store(true, Ordering::Release);
    }

    /// Writes past hyper.
    pub(crate) async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.0.stream.writable().await?;
            match self.0.stream.try_write(bytes) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// How much hyper has written so far.
    pub(crate) fn written(&self) -> u64 {
        self.0.written.load(Ordering::Acquire)
    }

    /// Waits until hyper has written `total` bytes; gives up after [`PATIENCE`].
    pub(crate) async fn until_written(&self, total: u64) {
        let reached = async {
            loop {
                let progress = self.0.progress.notified();
                if self.written() >= total {
                    return;
                }
                progress.await;
            }
        };
        drop(timeout(PATIENCE, reached).await);
    }

    /// Ends the connection after all that was written has left this side.
    pub(crate) async fn close(&self) {
        self.sent().await;
        self.0.over.cancel();
    }

    /// Ends the connection with a RST after all that was written has left this side.
    pub(crate) async fn reset(&self) {
        self.sent().await;
        self.reset_now();
    }

    /// Ends the connection with a RST; what is still to be sent is lost.
    pub(crate) fn reset_now(&self) {
        // A close with no time to linger is a RST. It goes out when the last owner of the socket is dropped.
        if let Err(error) = SockRef::from(&self.0.stream).set_linger(Some(Duration::ZERO)) {
            tracing::debug!(%error, "a connection could not be told to reset");
        }
        self.0.over.cancel();
    }

    /// Waits until the kernel holds no unsent byte; gives up after [`PATIENCE`], as when the client does not read.
    async fn sent(&self) {
        if let Err(error) = self.wait_until_sent().await {
            tracing::debug!(%error, "cannot tell whether a client has everything");
        }
    }

    /// With the low-water mark at 1 a socket is writable only while nothing is unsent. A second descriptor is needed:
    /// tokio remembers the first one's readiness from before.
    async fn wait_until_sent(&self) -> io::Result<()> {
        SockRef::from(&self.0.stream).set_tcp_notsent_lowat(1)?;
        let second: OwnedFd = self.0.stream.as_fd().try_clone_to_owned()?;
        let second = TcpStream::from_std(second.into())?;
        match timeout(PATIENCE, second.writable()).await {
            Ok(writable) => writable,
            Err(_elapsed) => Ok(()),
        }
    }
}

/// How long a connection that is to be broken waits for its client to take what was promised.
const PATIENCE: Duration = Duration::from_secs(10);

impl Wire {
    fn poll_write_with(
        &self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.0.muted.load(Ordering::Acquire) {
                return Poll::Pending;
            }
            ready!(self.0.stream.poll_write_ready(cx))?;
            match write(&self.0.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(count) => {
                    self.0.written.fetch_add(count as u64, Ordering::AcqRel);
                    self.0.progress.notify_waiters();
                    return Poll::Ready(Ok(count));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.stream.poll_read_ready(cx))?;
            match self.0.stream.try_read(buf.initialize_unfilled()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(count) => {
                    buf.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.0.muted.load(Ordering::Acquire) { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&self.0.stream).shutdown(std::net::Shutdown::Write))
    }
}
