//! The facts about one request and its response, for the counters and the access log.

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode, Version};
use tidegate_access::ClientAddress;
use tidegate_hls::Kind;
use tokio::time::Instant;

use crate::fate::Fate;
use crate::request::target;
use crate::site::Site;

/// The facts about a request that are known before its outcome.
#[derive(Debug, Default)]
pub(crate) struct RequestFacts {
    pub(crate) site: Option<Arc<Site>>,
    pub(crate) kind: Option<Kind>,
    pub(crate) cmcd: Option<String>,
    /// Set when a response begins whose body may be long.
    pub(crate) fate: Option<Fate>,
}

/// A request that could not be read, and the error response to it.
#[derive(Debug)]
pub(crate) struct UnreadRequest {
    pub(crate) at: Instant,
    pub(crate) client: ClientAddress,
    pub(crate) status: StatusCode,
    pub(crate) body_bytes: u64,
}

/// The response to a request, as far as it was sent.
#[derive(Debug)]
pub(crate) struct ResponseFacts<'a> {
    /// The time when the request was read.
    pub(crate) received: Instant,
    /// The time when the head of the response was written.
    pub(crate) first_byte: Option<Instant>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) body_bytes: u64,
    /// The request, for the access log; `None` where the log is off.
    pub(crate) request: Option<LoggedRequest<'a>>,
}

/// The fields of a request for the access log.
#[derive(Debug)]
pub(crate) struct LoggedRequest<'a> {
    pub(crate) method: &'a Method,
    pub(crate) version: Version,
    pub(crate) host: Option<&'a str>,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) client: ClientAddress,
    pub(crate) headers: &'a HeaderMap,
}

impl<'a> LoggedRequest<'a> {
    /// A request over HTTP/1.1 for a target in origin form.
    pub(crate) fn http1(
        method: &'a Method,
        target: &'a str,
        client: ClientAddress,
        headers: &'a HeaderMap,
    ) -> Self {
        let (path, query) = target::parts(target);
        Self { method, version: Version::HTTP_11, host: None, path, query, client, headers }
    }
}
