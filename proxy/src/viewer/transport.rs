//! A viewer's connection, with or without TLS, as the stream type that pingora's sessions require.
//!
//! pingora has such types of its own. Only its own acceptor makes its TLS stream, and that acceptor drops the
//! connection of a failed handshake, with the alert that names the cause. Its TCP stream keeps times and
//! buffers that the proxy does not use. A session returns this type, so that the fast path (`fast_path.rs`)
//! can continue on the connection.

mod record_writer;

use std::fs::File;
use std::io::{ErrorKind, IoSlice, Result};
use std::ops::Range;
use std::os::fd::AsRawFd as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use bytes::BytesMut;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::acme::challenge;
use crate::viewer::sendfile;

pub(crate) use record_writer::Flusher;
use record_writer::RecordWriter;

/// A connection.
#[derive(Debug)]
pub(crate) enum Transport {
    /// HTTP/1.1 without TLS. HTTP/2 without TLS uses pingora's own stream.
    Tcp(TcpStream),
    /// TLS, after the handshake.
    Tls(Box<TlsStream<TcpStream>>),
    /// HTTP/2 over TLS.
    RecordWriter(RecordWriter),
}

/// Evaluates one expression for the stream of any variant.
macro_rules! each {
    ($transport:expr, $stream:ident => $value:expr) => {
        match $transport {
            Transport::Tcp($stream) => $value,
            Transport::Tls($stream) => $value,
            Transport::RecordWriter($stream) => $value,
        }
    };
}

impl Transport {
    pub(crate) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self::Tls(Box::new(stream))
    }

    /// For HTTP/2 over TLS: writes are sealed, and the [`Flusher`] sends them after each poll of the
    /// connection. `already_read` has been read already.
    pub(crate) fn record_writer(self, already_read: BytesMut) -> (Self, Option<Flusher>) {
        match self {
            Self::Tls(stream) => {
                let (record_writer, flusher) = RecordWriter::new(*stream, already_read);
                (Self::RecordWriter(record_writer), Some(flusher))
            }
            other => (other, None),
        }
    }

    /// The transport that a session returns as a stream; `None` for any other stream.
    pub(crate) fn of(stream: Stream) -> Option<Box<Self>> {
        stream.into_any().downcast().ok()
    }

    /// Whether the connection is encrypted.
    pub(crate) fn is_tls(&self) -> bool {
        !matches!(self, Self::Tcp(_))
    }

    /// Whether sendfile works: only without TLS, which encrypts the bytes.
    pub(crate) fn can_send_files(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    /// Calls `send` when the socket is writable.
    fn poll_tcp(
        &self,
        cx: &mut Context<'_>,
        send: impl Fn(&TcpStream) -> Result<usize>,
    ) -> Poll<Result<usize>> {
        let Self::Tcp(stream) = self else { return Poll::Ready(Err(ErrorKind::Unsupported.into())) };
        loop {
            ready!(stream.poll_write_ready(cx))?;
            match stream.try_io(Interest::WRITABLE, || send(stream)) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                written => return Poll::Ready(written),
            }
        }
    }

    /// Whether the handshake was a challenge of an ACME authority (RFC 8737 section 3).
    pub(crate) fn is_challenge(&self) -> bool {
        match self {
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(challenge::PROTOCOL),
            Self::Tcp(_) | Self::RecordWriter(_) => false,
        }
    }

    /// Whether the handshake negotiated HTTP/2 (RFC 9113 section 3.2).
    pub(crate) fn is_http2(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
            Self::RecordWriter(_) => true,
        }
    }
}

/// A connection that sends files as well as bytes.
pub(crate) trait SendFile: AsyncWrite + Unpin {
    /// Sends bytes that a file follows directly. Returns how many were taken.
    fn poll_send_more(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>>;

    /// Sends this range of a file, or the beginning of it. Returns how many bytes were taken.
    fn poll_send_file(&mut self, cx: &mut Context<'_>, file: &File, range: Range<u64>)
    -> Poll<Result<usize>>;
}

impl SendFile for Transport {
    fn poll_send_more(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.poll_tcp(cx, |stream| sendfile::send_more(stream, bytes))
    }

    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: &File,
        range: Range<u64>,
    ) -> Poll<Result<usize>> {
        self.poll_tcp(cx, |stream| sendfile::send(stream, file, range.clone()))
    }
}

impl AsyncRead for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        each!(&mut *self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        each!(&mut *self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        each!(&mut *self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        each!(&mut *self, stream => Pin::new(stream).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        each!(&mut *self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        each!(self, stream => stream.is_write_vectored())
    }
}

/// Unused: the protocol is known before a session has the connection.
impl Peek for Transport {}

#[async_trait]
impl Shutdown for Transport {
    async fn shutdown(&mut self) {
        // An error means that the viewer has closed the connection already.
        let _gone = each!(self, stream => AsyncWriteExt::shutdown(stream).await);
    }
}

impl UniqueID for Transport {
    fn id(&self) -> UniqueIDType {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Tls(stream) => stream.get_ref().0.as_raw_fd(),
            Self::RecordWriter(stream) => stream.fd(),
        }
    }
}

impl Ssl for Transport {
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        match self {
            Self::Tcp(_) => None,
            Self::Tls(_) | Self::RecordWriter(_) => Some(if self.is_http2() { ALPN::H2 } else { ALPN::H1 }),
        }
    }
}

impl GetTimingDigest for Transport {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Transport {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Transport {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}
