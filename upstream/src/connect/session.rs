//! A request over the protocol of its upstream: HTTP/1.1 with our own client (`http1.rs`), HTTP/2 with
//! pingora's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate_cache::Head;

use crate::connect::http1::{Connection, Wire};
use crate::connect::http2::{Dialled, Stream};
use crate::error::UpstreamError;
use crate::request::{Rest, UpstreamRequest};
use crate::upstream::Upstream;

/// A request and its response. Boxed, because it is moved many times.
#[derive(Debug)]
pub(crate) enum Session {
    Http1(Box<Connection>),
    Http2(Box<Stream>),
}

/// Which connections a request may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// An idle one, if there is one.
    Idle,
    /// Only a new one: idle ones turned out to be closed.
    Never,
}

impl Session {
    /// Sends the head of `request`. Returns whether the connection had been used before. The head of the
    /// response may take up to `head_timeout`.
    pub(crate) async fn open(
        upstream: &Arc<Upstream>,
        request: &UpstreamRequest,
        rest: Rest,
        head_timeout: Duration,
        reuse: Reuse,
    ) -> Result<(Self, bool), UpstreamError> {
        let spec = upstream.spec();
        let address = upstream.address().await?;
        // Without TLS, the configuration decides the protocol.
        let may_be_idle = reuse == Reuse::Idle && (!spec.options.http2 || spec.address.is_tls());
        if may_be_idle {
            let key = upstream.key(address);
            if let Some(wire) = upstream.connections().idle().take(&key) {
                return Ok((
                    Self::Http1(Connection::send(wire, key, spec, request, head_timeout).await?.into()),
                    true,
                ));
            }
        }
        // Boxed, because most requests find an idle connection.
        let (address, dialled) =
            Box::pin(upstream.dial(address, |address| connect(upstream, address))).await?;
        match dialled {
            Dialled::Http1(wire) => {
                let key = upstream.key(address);
                Ok((
                    Self::Http1(Connection::send(wire, key, spec, request, head_timeout).await?.into()),
                    false,
                ))
            }
            Dialled::Http2(mut stream, reused) => {
                stream.send(upstream, request, rest, head_timeout)?;
                Ok((Self::Http2(stream), reused))
            }
        }
    }

    /// Sends a chunk of the request's body; `end` with the last one.
    pub(crate) async fn write(&mut self, bytes: Bytes, end: bool) -> Result<(), UpstreamError> {
        match self {
            Self::Http1(connection) => {
                connection.write(bytes).await?;
                if end { connection.finish().await } else { Ok(()) }
            }
            Self::Http2(stream) => stream.write(bytes, end).await,
        }
    }

    /// Ends the request.
    pub(crate) async fn finish(&mut self) -> Result<(), UpstreamError> {
        match self {
            Self::Http1(connection) => connection.finish().await,
            Self::Http2(stream) => stream.finish(),
        }
    }

    /// Waits for the next head: the final one, or an informational one before it.
    pub(crate) async fn head(&mut self) -> Result<Head, UpstreamError> {
        match self {
            Self::Http1(connection) => connection.head().await,
            Self::Http2(stream) => stream.head().await,
        }
    }

    /// The next bytes of the response's body; `None` at its end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        match self {
            Self::Http1(connection) => connection.next().await,
            Self::Http2(stream) => stream.next().await,
        }
    }

    /// Whether the rest of the response's body is known to have been read.
    pub(crate) fn has_arrived(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.has_arrived(),
            Self::Http2(_) => false,
        }
    }

    /// Gives the connection back.
    pub(crate) fn release(self, upstream: &Upstream) {
        match self {
            Self::Http1(connection) => connection.release(upstream.connections().idle()),
            Self::Http2(stream) => stream.release(upstream),
        }
    }
}

/// Connects to an upstream by its protocol.
async fn connect(upstream: &Upstream, address: SocketAddr) -> Result<Dialled, UpstreamError> {
    let spec = upstream.spec();
    if spec.options.http2 {
        // Boxed, because most upstreams use HTTP/1.1.
        return Box::pin(Stream::dial(upstream, address)).await;
    }
    if !spec.address.is_tls() {
        return Wire::plain(address, spec.options.timeouts.connect).await.map(Dialled::Http1);
    }
    let peer = upstream.peer(address);
    let connected = Box::pin(upstream.connections().connector().transport().new_stream(&peer)).await;
    connected
        .map(|stream| Dialled::Http1(Wire::Secured(stream)))
        .map_err(|error| UpstreamError::of(&error, true))
}
