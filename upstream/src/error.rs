//! What can go wrong with a source, and how it is told.

use std::{fmt, io};

use http::StatusCode;
use pingora_core::{Error, ErrorType};

/// What went wrong with a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
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
    /// Its certificate does not hold: expired, for another name, or by an authority that is not trusted.
    #[error("its certificate does not hold")]
    Certificate,
    /// It ended TLS with an alert: it wants a certificate, or another one, most likely.
    #[error("it refused TLS with an alert")]
    Alert,
    /// No head within its deadline.
    #[error("it did not answer in time")]
    FirstByteTimeout,
    /// The body stopped arriving.
    #[error("its answer stalled")]
    Stalled,
    /// The body arrives, and more slowly than it may.
    #[error("its answer comes too slowly")]
    Slow,
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
    /// Another one that was asked later answered before it.
    #[error("it was outpaced by another")]
    Outpaced,
    /// It has as many requests as it may have, and as many wait.
    #[error("it has as many requests as it may have")]
    Full,
    /// There is nobody to ask.
    #[error("there is nobody to ask")]
    NoCandidate,
}

impl UpstreamError {
    /// The token for an answer whose status is the trouble. RFC 9209 has no error type for it: Proxy-Status tells
    /// such a status as `received-status`.
    pub const RECEIVED_STATUS: &str = "received_status";

    /// The token of RFC 9209 section 2.3 that says it best, or [`UpstreamError::RECEIVED_STATUS`].
    pub fn token(self) -> &'static str {
        match self {
            Self::DnsError => "dns_error",
            Self::DnsTimeout => "dns_timeout",
            Self::Refused => "connection_refused",
            Self::ConnectTimeout => "connection_timeout",
            Self::Tls => "tls_protocol_error",
            Self::Certificate => "tls_certificate_error",
            Self::Alert => "tls_alert_received",
            Self::FirstByteTimeout | Self::Stalled | Self::Slow | Self::Outpaced => "http_response_timeout",
            Self::Full => "connection_limit_reached",
            Self::Closed => "http_response_incomplete",
            Self::Protocol | Self::Unusable(_) => "http_protocol_error",
            Self::Backward => "playlist_backward",
            Self::Frozen => "playlist_frozen",
            Self::Status(_) => Self::RECEIVED_STATUS,
            Self::NoCandidate => "destination_unavailable",
        }
    }

    /// The status for the viewer when this was the last hope.
    pub fn status(self) -> StatusCode {
        match self {
            Self::DnsTimeout | Self::ConnectTimeout | Self::FirstByteTimeout | Self::Stalled | Self::Slow => {
                StatusCode::GATEWAY_TIMEOUT
            }
            Self::Status(status) => status,
            Self::NoCandidate | Self::Full => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// Whether it says that the whole server is out of reach. One that accepts a connection and then says nothing may
    /// do so for this one resource: probes tell whether it does for all.
    pub(crate) fn is_unreachable(self) -> bool {
        matches!(
            self,
            Self::DnsError
                | Self::DnsTimeout
                | Self::Refused
                | Self::ConnectTimeout
                | Self::Tls
                | Self::Certificate
                | Self::Alert
        )
    }

    pub(crate) fn of(error: &Error, waiting_for_head: bool) -> Self {
        match error.etype() {
            ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => Self::ConnectTimeout,
            ErrorType::ConnectRefused
            | ErrorType::ConnectNoRoute
            | ErrorType::ConnectError
            | ErrorType::SocketError => Self::Refused,
            ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert | ErrorType::HandshakeError => {
                Self::of_tls(error).unwrap_or(Self::Tls)
            }
            ErrorType::ReadTimedout if waiting_for_head => Self::FirstByteTimeout,
            ErrorType::ReadTimedout | ErrorType::WriteTimedout => Self::Stalled,
            ErrorType::InvalidHTTPHeader | ErrorType::InvalidH2 => Self::Protocol,
            // In TLS 1.3 a server judges the client's certificate when the client has long begun to ask
            // (RFC 8446 section 4.4.2.4), so that its alert comes in place of the answer.
            _ => Self::of_tls(error).unwrap_or(Self::Closed),
        }
    }

    /// What TLS says is wrong. On the way here the error has become a text, in the words of rustls.
    fn of_tls(error: &impl fmt::Display) -> Option<Self> {
        let told = error.to_string();
        if told.contains("invalid peer certificate") {
            Some(Self::Certificate)
        } else {
            told.contains("received fatal alert").then_some(Self::Alert)
        }
    }
}

/// Whatever the codec refuses is no HTTP that leaves no doubt.
impl From<tidegate_http1::Error> for UpstreamError {
    fn from(_fault: tidegate_http1::Error) -> Self {
        Self::Protocol
    }
}

/// What breaks a connection that is in use.
impl From<io::Error> for UpstreamError {
    fn from(error: io::Error) -> Self {
        // As above: an alert may come in place of the answer.
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::Other => Self::of_tls(&error).unwrap_or(Self::Closed),
            _ => Self::Closed,
        }
    }
}
