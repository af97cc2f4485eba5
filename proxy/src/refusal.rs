//! Refused requests: the one place where an error of this node becomes a response.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tidegate_access::{Denial, token};
use tidegate_cache::Failure;
use tidegate_headers::proxy_status::{self, Error};
use tidegate_hls::{ReloadError, ResourceError};
use tidegate_upstream::UpstreamError;

use crate::fate::Fate;
use crate::limits::{Exceeded, Limit};

/// The code of a refusal, for players and programs.
const REFUSAL: HeaderName = HeaderName::from_static("tidegate-refusal");

/// Why a request is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// 400: the head cannot be read as HTTP.
    #[error("the request is not valid HTTP")]
    Malformed,
    /// 408: the head did not arrive in time.
    #[error("the request head did not arrive in time")]
    Slow,
    /// 431: the head is too large.
    #[error("the request head is larger than {max} bytes")]
    HeadTooLarge {
        /// The limit.
        max: u64,
    },
    /// 431: the head has too many fields.
    #[error("the request has more than {max} header fields")]
    TooManyFields {
        /// The limit.
        max: usize,
    },
    /// 400: Content-Length with Transfer-Encoding (RFC 9112 section 6.1).
    #[error("the request has both Content-Length and Transfer-Encoding")]
    AmbiguousLength,
    /// 400: Content-Length is not one number in digits (RFC 9110 section 8.6).
    #[error("Content-Length is not one decimal number")]
    ContentLength,
    /// 400: Transfer-Encoding does not end with one `chunked`, or is in HTTP/1.0 (RFC 9112 section 6.1).
    #[error("Transfer-Encoding does not say where the body ends")]
    TransferEncoding,
    /// 501: a transfer coding beside `chunked` (RFC 9112 section 6.1).
    #[error("the only transfer coding that is supported is chunked")]
    TransferCoding,
    /// 400: a body where none is expected.
    #[error("a {0} request must not have a body")]
    UnexpectedBody(Method),
    /// 413: the body is too large.
    #[error("the request body is larger than {max} bytes")]
    BodyTooLarge {
        /// The limit.
        max: u64,
    },
    /// 408: the body arrives too slowly.
    #[error("the request body arrives too slowly")]
    SlowBody,
    /// 400: the body has malformed chunks.
    #[error("the chunks of the request body are malformed")]
    Chunks,
    /// 400: no Host (RFC 9112 section 3.2).
    #[error("the request has no Host")]
    NoHost,
    /// 400 and 414: the target cannot be read.
    #[error(transparent)]
    Target(#[from] ResourceError),
    /// 421: no site has this host.
    #[error("no site is configured for this host")]
    UnknownHost,
    /// 405: the site does not serve the method.
    #[error("the method {0} is not allowed")]
    Method(Method),
    /// 301 to the same target over HTTPS, 403 for methods that are not redirected.
    #[error("this server requires HTTPS")]
    Insecure {
        /// The target over HTTPS.
        location: Option<String>,
    },
    /// 403: the rules of the site do not allow the client.
    #[error("{0} ({code})", code = .0.as_str())]
    Denied(Denial),
    /// 429 and 503: the client, or all clients, are at a limit.
    #[error("too many requests ({code})", code = .0.limit.as_str())]
    Limited(Exceeded),
    /// 403: the request has no token that admits it.
    #[error("{0} ({code})", code = .0.code())]
    Token(#[from] token::Refusal),
    /// 508: the request has been here before (RFC 8586).
    #[error("request loop detected")]
    Loop,
    /// 400: a delivery directive that cannot be met (HLS section 6.2.5.2).
    #[error(transparent)]
    Reload(#[from] ReloadError),
    /// 503: blocked for three target durations (HLS section 6.2.5.2).
    #[error("the requested segment did not appear in time")]
    BlockedTooLong,
    /// 504: the request accepts a cached response only, and there is none (RFC 9111 section 5.2.1.7).
    #[error("there is no cached response")]
    NotCached,
    /// 504: no response was available in time.
    #[error("no response was available in time")]
    TimedOut,
}

impl Refusal {
    /// The status for the viewer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed
            | Self::AmbiguousLength
            | Self::ContentLength
            | Self::TransferEncoding
            | Self::UnexpectedBody(_)
            | Self::Chunks
            | Self::NoHost
            | Self::Reload(_) => StatusCode::BAD_REQUEST,
            Self::Slow | Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::HeadTooLarge { .. } | Self::TooManyFields { .. } => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::TransferCoding => StatusCode::NOT_IMPLEMENTED,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Target(error) => StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST),
            Self::UnknownHost => StatusCode::MISDIRECTED_REQUEST,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Insecure { location: Some(_) } => StatusCode::MOVED_PERMANENTLY,
            Self::Insecure { location: None } | Self::Token(_) | Self::Denied(_) => StatusCode::FORBIDDEN,
            Self::Limited(Exceeded {
                limit: Limit::Requests | Limit::Fills | Limit::RequestsPerToken,
                ..
            }) => StatusCode::TOO_MANY_REQUESTS,
            Self::BlockedTooLong | Self::Limited(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::TimedOut | Self::NotCached => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// A request that timed out failed; every other refusal is the viewer's mistake.
    pub(crate) fn fate(&self) -> Fate {
        match self {
            Self::TimedOut | Self::BlockedTooLong => Fate::Failed,
            _ => Fate::Refused,
        }
    }

    pub(crate) fn error(&self) -> Error {
        match self {
            Self::Loop => Error::ProxyLoopDetected,
            Self::TimedOut | Self::BlockedTooLong => Error::ConnectionReadTimeout,
            Self::Method(_)
            | Self::UnknownHost
            | Self::Insecure { .. }
            | Self::Denied(_)
            | Self::Token(_)
            | Self::Limited(_) => Error::HttpRequestDenied,
            _ => Error::HttpRequestError,
        }
    }

    /// The stable code of a refusal by rules, limits or a token.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Denied(denial) => Some(denial.as_str()),
            Self::Limited(exceeded) => Some(exceeded.limit.as_str()),
            Self::Token(refusal) => Some(refusal.code()),
            _ => None,
        }
    }

    /// Header fields and body of the error response.
    pub(crate) fn answer(&self, node: &str, allow: &str) -> (HeaderMap, String) {
        let body = format!("{}: {self}\n", self.status());
        let mut headers = text_fields(body.len());
        if matches!(self, Self::Method(_))
            && let Ok(allow) = HeaderValue::from_str(allow)
        {
            headers.insert(header::ALLOW, allow);
        }
        if let Self::Insecure { location: Some(location) } = self {
            // It is no error: there is no Proxy-Status.
            if let Ok(location) = HeaderValue::from_str(location) {
                headers.insert(header::LOCATION, location);
            }
            return (headers, body);
        }
        if let Self::Limited(exceeded) = self {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(exceeded.retry_after));
        }
        if let Self::Token(refusal) = self {
            headers.insert(&REFUSAL, HeaderValue::from_static(refusal.code()));
        }
        let details = self.to_string();
        let member = proxy_status::Member {
            node,
            error: Some(self.error()),
            next_hop: None,
            received_status: None,
            details: Some(&details),
        };
        proxy_status::append(&mut headers, &member);
        (headers, body)
    }
}

/// Header fields and body of the error response after every upstream failed: the upstream's own if there is
/// one.
pub(crate) fn failed(node: &str, failure: &Failure) -> (HeaderMap, Bytes) {
    let (mut headers, body) = match (&failure.response, received_status(failure)) {
        (Some(response), _) => (response.head.headers.clone(), response.body.clone()),
        (None, Some(_)) => own(format!("{}: upstream error\n", failure.status)),
        (None, None) => own(format!("{}: {}\n", failure.status, failure.reason)),
    };
    if let Some(after) = failure.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs()));
    }
    let received_status = received_status(failure);
    let error = Error::ALL.iter().copied().find(|error| error.as_str() == failure.reason);
    // A failure that comes neither from the upstream nor from the network is this node's own.
    let is_own = error.is_none() && received_status.is_none();
    let member = proxy_status::Member {
        node,
        error: error.or_else(|| is_own.then_some(Error::ProxyInternalError)),
        next_hop: failure.upstream.as_deref(),
        received_status,
        details: is_own.then_some(failure.reason),
    };
    proxy_status::append(&mut headers, &member);
    (headers, body)
}

/// The upstream's own status, if that was the failure.
pub(crate) fn received_status(failure: &Failure) -> Option<u16> {
    (failure.reason == UpstreamError::RECEIVED_STATUS).then(|| failure.status.as_u16())
}

fn own(body: String) -> (HeaderMap, Bytes) {
    (text_fields(body.len()), body.into())
}

fn text_fields(length: usize) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers
}
