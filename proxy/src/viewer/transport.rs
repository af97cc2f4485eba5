//! A connection with a viewer, under TLS or not, as pingora's sessions want it.
//!
//! pingora has such types of its own. Its TLS stream is made only by its own acceptor, which drops the connection of a
//! handshake that failed, and with it the alert that says why; its TCP stream keeps times and buffers that nobody here
//! reads. This one can be had back from a session, so that the fast lane (`fast_path.rs`) goes on with what is beneath.

mod record_writer;

use std::fs::File;
use std::io::{ErrorKind, IoSlice, Result};
use std::ops::Range;
use std::os::fd::AsRawFd as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::viewer::sendfile;

pub(crate) use record_writer::Flusher;
use record_writer::RecordWriter;

/// A connection.
#[derive(Debug)]
pub(crate) enum Transport {
    /// Without TLS, and without HTTP/2, which pingora's own stream is for there.
    SimpleHead(TcpStream),
    /// With TLS: the handshake is done.
    Secured(Box<TlsStream<TcpStream>>),
    /// With TLS, and HTTP/2 on it.
    RecordWriter(RecordWriter),
}

/// Does the same with whichever stream it is.
macro_rules! either {
    ($transport:expr, $stream:ident => $does:expr) => {
        match $transport {
            Transport::SimpleHead($stream) => $does,
            Transport::Secured($stream) => $does,
            Transport::RecordWriter($stream) => $does,
        }
    };
}

impl Transport {
    pub(crate) fn secured(stream: TlsStream<TcpStream>) -> Self {
        Self::Secured(Box::new(stream))
    }

    /// For HTTP/2 under TLS: what is written is sent by the outlet, which whoever speaks asks for it at the end of each turn.
    pub(crate) fn record_writer(self) -> (Self, Option<Flusher>) {
        match self {
            Self::Secured(stream) => {
                let (record_writer, flusher) = RecordWriter::new(*stream);
                (Self::RecordWriter(record_writer), Some(flusher))
            }
            other => (other, None),
        }
    }

    /// What a session gives back is what it was given.
    pub(crate) fn of(stream: Stream) -> Option<Box<Self>> {
        stream.into_any().downcast().ok()
    }

    /// Whether files may be sent on it: not where bytes must be changed on their way.
    pub(crate) fn takes_files(&self) -> bool {
        matches!(self, Self::SimpleHead(_))
    }

    /// Does something with the socket once that takes bytes.
    fn poll_plain(
        &self,
        cx: &mut Context<'_>,
        act: impl Fn(&TcpStream) -> Result<usize>,
    ) -> Poll<Result<usize>> {
        let Self::SimpleHead(stream) = self else { return Poll::Ready(Err(ErrorKind::Unsupported.into())) };
        loop {
            ready!(stream.poll_write_ready(cx))?;
            match stream.try_io(Interest::WRITABLE, || act(stream)) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    /// Whether HTTP/2 was chosen in the handshake (RFC 9113 section 3.2).
    pub(crate) fn speaks_http2(&self) -> bool {
        match self {
            Self::SimpleHead(_) => false,
            Self::Secured(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
            Self::RecordWriter(_) => true,
        }
    }
}

/// What takes files as well as bytes.
pub(crate) trait TakesFiles: AsyncWrite + Unpin {
    /// Takes bytes behind which a file will follow at once; tells how many.
    fn poll_send_ahead(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>>;

    /// Takes what it can of this part of a file, from its beginning on; tells how many bytes.
    fn poll_send_file(&mut self, cx: &mut Context<'_>, file: &File, part: Range<u64>) -> Poll<Result<usize>>;
}

impl TakesFiles for Transport {
    fn poll_send_ahead(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.poll_plain(cx, |stream| sendfile::send_ahead(stream, bytes))
    }

    fn poll_send_file(&mut self, cx: &mut Context<'_>, file: &File, part: Range<u64>) -> Poll<Result<usize>> {
        self.poll_plain(cx, |stream| sendfile::send(stream, file, part.clone()))
    }
}

impl AsyncRead for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        either!(&mut *self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        either!(&mut *self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        either!(&mut *self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        either!(&mut *self, stream => Pin::new(stream).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        either!(&mut *self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        either!(self, stream => stream.is_write_vectored())
    }
}

/// Nobody asks: which protocol is spoken is told before a session has the connection.
impl Peek for Transport {}

#[async_trait]
impl Shutdown for Transport {
    async fn shutdown(&mut self) {
        // Whoever does not wait for the end has what it came for.
        let _gone = either!(self, stream => AsyncWriteExt::shutdown(stream).await);
    }
}

impl UniqueID for Transport {
    fn id(&self) -> UniqueIDType {
        match self {
            Self::SimpleHead(stream) => stream.as_raw_fd(),
            Self::Secured(stream) => stream.get_ref().0.as_raw_fd(),
            Self::RecordWriter(stream) => stream.fd(),
        }
    }
}

impl Ssl for Transport {
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        match self {
            Self::SimpleHead(_) => None,
            Self::Secured(_) | Self::RecordWriter(_) => {
                Some(if self.speaks_http2() { ALPN::H2 } else { ALPN::H1 })
            }
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
