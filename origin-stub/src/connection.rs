//! A client's TCP connection, which can be broken on purpose.
//!
//! hyper speaks HTTP over a [`Transport`]. A response that HTTP libraries refuse to write, such as a body
//! that does not fit its Content-Length or a reset after byte k, is written past hyper through the
//! connection's [`RawConnection`].

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
pub(crate) struct RawConnection(Arc<Inner>);

/// A connection as hyper sees it.
#[derive(Debug)]
pub(crate) struct Transport(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stream: TcpStream,
    /// hyper's writes wait forever: a response is being written past it.
    muted: AtomicBool,
    /// A request was read.
    used: AtomicBool,
    /// Bytes that hyper has written.
    written: AtomicU64,
    progress: Notify,
    /// The connection must end now.
    over: CancellationToken,
}

impl RawConnection {
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

    pub(crate) fn transport(&self) -> Transport {
        Transport(Arc::clone(&self.0))
    }

    /// Records that a request was read.
    pub(crate) fn note_use(&self) {
        self.0.used.store(true, Ordering::Relaxed);
    }

    /// Whether a request was ever read.
    pub(crate) fn is_used(&self) -> bool {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Cancelled when the connection must end.
    pub(crate) fn over(&self) -> &CancellationToken {
        &self.0.over
    }

    /// Keeps the kernel from delaying small writes: slow bodies are sent byte by byte.
    pub(crate) fn set_nodelay(&self) {
        if let Err(error) = self.0.stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection closed before it was served");
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

    /// The number of bytes that hyper has written so far.
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

    /// Ends the connection after all written bytes have been sent.
    pub(crate) async fn close(&self) {
        self.sent().await;
        self.0.over.cancel();
    }

    /// Ends the connection with a RST after all written bytes have been sent.
    pub(crate) async fn reset(&self) {
        self.sent().await;
        self.reset_now();
    }

    /// Ends the connection with a RST; unsent bytes are lost.
    pub(crate) fn reset_now(&self) {
        // A close without lingering is a RST. It is sent when the last owner of the socket is dropped.
        if let Err(error) = SockRef::from(&self.0.stream).set_linger(Some(Duration::ZERO)) {
            tracing::debug!(%error, "a connection could not be set to reset");
        }
        self.0.over.cancel();
    }

    /// Waits until the kernel has no unsent byte; gives up after [`PATIENCE`], as when the client does not
    /// read.
    async fn sent(&self) {
        if let Err(error) = self.wait_until_sent().await {
            tracing::debug!(%error, "cannot tell whether a client has everything");
        }
    }

    /// With the low-water mark at 1 a socket is writable only while nothing is unsent. This needs a second
    /// descriptor: tokio remembers the first one's readiness from before.
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

/// How long a connection that must break waits for its client to read the preceding bytes.
const PATIENCE: Duration = Duration::from_secs(10);

impl Transport {
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

impl AsyncRead for Transport {
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

impl AsyncWrite for Transport {
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
