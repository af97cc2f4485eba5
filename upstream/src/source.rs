//! One server that can be asked, its connections, and whether it is up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;
use pingora_core::connectors::ConnectorOptions;
use pingora_core::connectors::http::Connector;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType};
use tokio::time::Instant;

use crate::address::Address;
use crate::resolve::Resolver;

/// What went wrong with a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// The name could not be resolved.
    #[error("its name does not resolve")]
    DnsError,
    /// The resolver did not answer in time.
    #[error("the resolver did not answer in time")]
    DnsTimeout,
    /// Nobody listens there.
    #[error("it refused the connection")]
    Refused,
    /// No connection within its deadline.
    #[error("it did not accept a connection in time")]
    ConnectTimeout,
    /// The TLS handshake failed.
    #[error("the TLS handshake failed")]
    Tls,
    /// No head within its deadline.
    #[error("it did not answer in time")]
    FirstByteTimeout,
    /// The body stopped arriving.
    #[error("its answer stalled")]
    Stalled,
    /// The connection broke.
    #[error("it closed the connection")]
    Closed,
    /// What it sent is not HTTP.
    #[error("its answer is not HTTP")]
    Protocol,
    /// It answered with a status that counts as a failure.
    #[error("it answered {0}")]
    Status(StatusCode),
    /// What it sent cannot be what was asked for.
    #[error("its answer is unusable: {0}")]
    Unusable(&'static str),
    /// Its playlist is older than one that was given out.
    #[error("its playlist goes back")]
    Backward,
    /// Its live playlist does not move.
    #[error("its live playlist stands still")]
    Frozen,
    /// There is nobody to ask.
    #[error("there is nobody to ask")]
    Nobody,
}

impl Trouble {
    /// The token for an answer whose status is the trouble. RFC 9209 has no error type for it: Proxy-Status tells
    /// such a status as `received-status`.
    pub const ANSWERED: &str = "received_status";

    /// The token of RFC 9209 section 2.3 that says it best, or [`Trouble::ANSWERED`].
    pub fn token(self) -> &'static str {
        match self {
            Self::DnsError => "dns_error",
            Self::DnsTimeout => "dns_timeout",
            Self::Refused => "connection_refused",
            Self::ConnectTimeout => "connection_timeout",
            Self::Tls => "tls_protocol_error",
            Self::FirstByteTimeout | Self::Stalled => "http_response_timeout",
            Self::Closed => "http_response_incomplete",
            Self::Protocol | Self::Unusable(_) => "http_protocol_error",
            Self::Backward => "playlist_backward",
            Self::Frozen => "playlist_frozen",
            Self::Status(_) => Self::ANSWERED,
            Self::Nobody => "destination_unavailable",
        }
    }

    /// The status for the viewer when this was the last hope.
    pub fn status(self) -> StatusCode {
        match self {
            Self::DnsTimeout | Self::ConnectTimeout | Self::FirstByteTimeout | Self::Stalled => {
                StatusCode::GATEWAY_TIMEOUT
            }
            Self::Status(status) => status,
            Self::Nobody => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// Whether it says that the whole server is out of reach, not only this answer broken. A server that accepts a
    /// connection and then says nothing is as good as gone: every request to it would cost its full deadline.
    fn is_unreachable(self) -> bool {
        matches!(
            self,
            Self::DnsError
                | Self::DnsTimeout
                | Self::Refused
                | Self::ConnectTimeout
                | Self::Tls
                | Self::FirstByteTimeout
        )
    }

    pub(crate) fn of(error: &Error, waiting_for_head: bool) -> Self {
        match error.etype() {
            ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => Self::ConnectTimeout,
            ErrorType::ConnectRefused
            | ErrorType::ConnectNoRoute
            | ErrorType::ConnectError
            | ErrorType::SocketError => Self::Refused,
            ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert | ErrorType::HandshakeError => Self::Tls,
            ErrorType::ReadTimedout if waiting_for_head => Self::FirstByteTimeout,
            ErrorType::ReadTimedout | ErrorType::WriteTimedout => Self::Stalled,
            ErrorType::InvalidHTTPHeader | ErrorType::InvalidH2 => Self::Protocol,
            _ => Self::Closed,
        }
    }
}

/// How long a source may take over what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// To accept a connection, TLS included.
    pub connect: Duration,
    /// From the request to the head of the answer.
    pub first_byte: Duration,
    /// Between two pieces of the body.
    pub stall: Duration,
}

/// How a source is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Deadlines.
    pub deadlines: Deadlines,
    /// HTTP/2 (with prior knowledge where there is no TLS) in place of HTTP/1.1.
    pub http2: bool,
    /// Idle connections that are kept open.
    pub idle_connections_max: usize,
    /// Streams on one HTTP/2 connection.
    pub streams_max: usize,
    /// For how long an unreachable source is asked last.
    pub down_for: Duration,
}

/// Bytes that a source may send ahead on one HTTP/2 stream.
const STREAM_WINDOW: u32 = 1 << 20;

/// The largest window that there is (RFC 9113 section 6.9.1).
const WINDOW_MAX: u32 = (1 << 31) - 1;

/// One server that can be asked.
pub struct Source {
    name: Arc<str>,
    address: Address,
    host: Option<String>,
    options: Options,
    resolver: Resolver,
    connector: Connector,
    /// Set from a failure that says it is out of reach until it answers again; the time may be over by then.
    down_until: Mutex<Option<Instant>>,
    failures: AtomicU32,
    requests: AtomicU64,
}

impl Source {
    /// A source at `address`. `host` is the Host header field to send; without one the request's own is kept.
    pub fn new(address: Address, host: Option<String>, options: Options) -> Self {
        Self {
            name: address.to_string().into(),
            resolver: Resolver::new(address.host(), address.port()),
            connector: Connector::new(Some(ConnectorOptions::new(options.idle_connections_max))),
            address,
            host,
            options,
            down_until: Mutex::new(None),
            failures: AtomicU32::new(0),
            requests: AtomicU64::new(0),
        }
    }

    /// Its name in logs and on the status page: its address.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The Host header field that it is sent, where it is fixed.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// How it is spoken to.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whether it is believed to be reachable.
    pub fn is_up(&self) -> bool {
        self.down_until.lock().is_none_or(|until| until <= Instant::now())
    }

    /// Requests that it was ever sent.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Failures in a row, up to now.
    pub fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    pub(crate) fn connector(&self) -> &Connector {
        &self.connector
    }

    pub(crate) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn went_well(&self) {
        if self.failures.swap(0, Ordering::Relaxed) > 0 && self.down_until.lock().take().is_some() {
            tracing::info!(upstream = %self.name, "upstream is back");
        }
    }

    pub(crate) fn went_badly(&self, trouble: Trouble) {
        if trouble.is_unreachable() {
            let until = Instant::now() + self.options.down_for;
            let was_up = self.down_until.lock().replace(until).is_none();
            if was_up {
                tracing::warn!(upstream = %self.name, %trouble, "upstream is down");
            }
        }
        // Counted last, so that the next good answer looks whether it is believed to be down.
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) async fn peer(&self) -> Result<HttpPeer, Trouble> {
        let address = self.resolver.address(self.options.deadlines.connect).await?;
        let mut peer = HttpPeer::new(address, self.address.is_tls(), self.address.host().to_owned());
        peer.options.connection_timeout = Some(self.options.deadlines.connect);
        peer.options.total_connection_timeout = Some(self.options.deadlines.connect);
        peer.options.max_h2_streams = self.options.streams_max;
        if self.options.http2 {
            peer.options.set_http_version(2, 2);
            // The connection has room for all its streams: a viewer who is slow to take what only it may have must
            // not hold up the others.
            let streams = u32::try_from(self.options.streams_max).unwrap_or(u32::MAX);
            peer.options.h2_stream_window_size = Some(STREAM_WINDOW);
            peer.options.h2_connection_window_size =
                Some(STREAM_WINDOW.saturating_mul(streams).min(WINDOW_MAX));
        }
        Ok(peer)
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("name", &self.name).field("up", &self.is_up()).finish_non_exhaustive()
    }
}
