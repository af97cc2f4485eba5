//! What is known of one request and of what its viewer received, for the counters and the access log.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode, Version};
use tidegate_hls::Kind;
use tokio::time::Instant;

use crate::fate::Fate;
use crate::request::target;
use crate::site::Site;

/// What is known of a request before there is an account of it.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) site: Option<Arc<Site>>,
    pub(crate) kind: Option<Kind>,
    pub(crate) cmcd: Option<String>,
    /// Set when it is about to be answered with a body that may be long.
    pub(crate) fate: Option<Fate>,
}

/// What a request got that could not be read.
#[derive(Debug)]
pub(crate) struct TurnedAway {
    pub(crate) at: Instant,
    pub(crate) peer: SocketAddr,
    pub(crate) status: StatusCode,
    pub(crate) body_bytes: u64,
}

/// What a viewer got, when, and to what.
#[derive(Debug)]
pub(crate) struct Served<'a> {
    /// When the request had been read.
    pub(crate) received: Instant,
    /// When the head of the answer was written.
    pub(crate) first_byte: Option<Instant>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) body_bytes: u64,
    /// For the access log; none where that is off.
    pub(crate) request: Option<LoggedRequest<'a>>,
}

/// A request as the access log shows it.
#[derive(Debug)]
pub(crate) struct LoggedRequest<'a> {
    pub(crate) method: &'a Method,
    pub(crate) version: Version,
    pub(crate) host: Option<&'a str>,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) peer: SocketAddr,
    pub(crate) headers: &'a HeaderMap,
}

impl<'a> LoggedRequest<'a> {
    /// A request over HTTP/1.1 for a target in origin form.
    pub(crate) fn http1(
        method: &'a Method,
        target: &'a str,
        peer: SocketAddr,
        headers: &'a HeaderMap,
    ) -> Self {
        let (path, query) = target::parts(target);
        Self { method, version: Version::HTTP_11, host: None, path, query, peer, headers }
    }
}
