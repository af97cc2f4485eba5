//! A connection: a socket, or TLS over one.

use std::future::{Future as _, poll_fn};
use std::io::{IoSlice, Result};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pingora_core::protocols::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::unconstrained;
use tokio::time::timeout;

use crate::error::UpstreamError;

/// A connection to an upstream.
#[derive(Debug)]
pub(crate) enum Wire {
    Plain(TcpStream),
    /// pingora connects and makes the handshake, with the trust of `connections.rs`.
    Secured(Stream),
}

impl Wire {
    /// Connects without TLS.
    pub(crate) async fn plain(
        address: SocketAddr,
        deadline: Duration,
    ) -> std::result::Result<Self, UpstreamError> {
        let connected = timeout(deadline, TcpStream::connect(address)).await;
        let socket =
            connected.map_err(|_late| UpstreamError::ConnectTimeout)?.map_err(|error| {
                match error.kind() {
                    std::io::ErrorKind::TimedOut => UpstreamError::ConnectTimeout,
                    _ => UpstreamError::Refused,
                }
            })?;
        // A head is one write, and what follows it must not wait for an acknowledgement.
        socket.set_nodelay(true).map_err(|_broken| UpstreamError::Refused)?;
        Ok(Self::Plain(socket))
    }

    /// Whether no bytes arrived: an idle connection is readable if the other side has closed it or sent
    /// unrequested bytes. The runtime knows without a system call, if the last read left the socket empty.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let mut context = Context::from_waker(Waker::noop());
        let mut byte = ReadBuf::new(&mut byte);
        // After many checks, the runtime reports a socket as unreadable to make the task yield.
        let read = unconstrained(poll_fn(|context| Pin::new(&mut *self).poll_read(context, &mut byte)));
        pin!(read).poll(&mut context).is_pending()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Secured(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Secured(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Self::Secured(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_write_vectored(),
            Self::Secured(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            Self::Secured(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Secured(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
