//! What can go wrong with an upstream, and the words for it.

use std::{fmt, io};

use http::StatusCode;
use pingora_core::{Error, ErrorType};

/// What went wrong with an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// The name could not be resolved.
    #[error("the name does not resolve")]
    DnsError,
    /// The resolver did not respond in time.
    #[error("no response from the resolver in time")]
    DnsTimeout,
    /// The connection was refused, or there is no route.
    #[error("connection refused")]
    Refused,
    /// No connection within the timeout.
    #[error("no connection in time")]
    ConnectTimeout,
    /// The TLS handshake failed.
    #[error("TLS handshake failed")]
    Tls,
    /// The certificate is invalid: expired, for another name, or by an authority that is not trusted.
    #[error("invalid certificate")]
    Certificate,
    /// The upstream ended TLS with an alert: most likely it requests a certificate, or another one.
    #[error("TLS alert received")]
    Alert,
    /// No head within the timeout.
    #[error("no response in time")]
    FirstByteTimeout,
    /// The body stopped arriving.
    #[error("response stalled")]
    Stalled,
    /// The body arrives, but below the minimum rate.
    #[error("response too slow")]
    Slow,
    /// The connection broke.
    #[error("connection closed")]
    Closed,
    /// The response is not HTTP.
    #[error("response is not HTTP")]
    Protocol,
    /// A status that counts as a failure.
    #[error("response {0}")]
    Status(StatusCode),
    /// The response cannot be to the request.
    #[error("unusable response: {0}")]
    Unusable(&'static str),
    /// The content coding cannot be removed.
    #[error("unusable content coding: {0}")]
    Coding(&'static str),
    /// The playlist is older than one that was served.
    #[error("playlist went backwards")]
    Backward,
    /// The live playlist does not move.
    #[error("live playlist is frozen")]
    Frozen,
    /// The playlist may have been read while it was written.
    #[error("playlist may be unfinished")]
    Unfinished,
    /// Another upstream received the request later and responded first.
    #[error("another upstream responded first")]
    Outpaced,
    /// The limit of requests is reached, and the queue is full.
    #[error("request limit reached")]
    Full,
    /// No candidate can receive a request.
    #[error("no upstream available")]
    NoCandidate,
}

impl UpstreamError {
    /// The token for a response whose status is the error. RFC 9209 has no error type for it: in Proxy-Status
    /// the parameter `received-status` has the status.
    pub const RECEIVED_STATUS: &str = "received_status";

    /// The closest token of RFC 9209 section 2.3, or [`UpstreamError::RECEIVED_STATUS`].
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
            Self::Coding(_) => "http_response_content_coding",
            Self::Backward => "playlist_backward",
            Self::Frozen => "playlist_frozen",
            Self::Unfinished => "playlist_unfinished",
            Self::Status(_) => Self::RECEIVED_STATUS,
            Self::NoCandidate => "destination_unavailable",
        }
    }

    /// The status for the viewer when there is no other candidate.
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

    /// Whether the whole server is out of reach. A server that accepts a connection and then is silent may be
    /// so for one resource only: probes show whether it is so for all.
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
            // In TLS 1.3 a server verifies the client's certificate after the client has sent its request
            // (RFC 8446 section 4.4.2.4), so that an alert takes the place of the response.
            _ => Self::of_tls(error).unwrap_or(Self::Closed),
        }
    }

    /// The error of TLS. By now it is a text in the words of rustls.
    fn of_tls(error: &impl fmt::Display) -> Option<Self> {
        let text = error.to_string();
        if text.contains("invalid peer certificate") {
            Some(Self::Certificate)
        } else {
            text.contains("received fatal alert").then_some(Self::Alert)
        }
    }
}

/// The codec refuses what is not HTTP, or leaves a doubt.
impl From<tidegate_http1::Error> for UpstreamError {
    fn from(_fault: tidegate_http1::Error) -> Self {
        Self::Protocol
    }
}

/// The error of a connection in use.
impl From<io::Error> for UpstreamError {
    fn from(error: io::Error) -> Self {
        // As above: an alert may take the place of the response.
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::Other => Self::of_tls(&error).unwrap_or(Self::Closed),
            _ => Self::Closed,
        }
    }
}
