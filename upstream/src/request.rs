//! A request to an upstream.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, Method};

use crate::fetch::limiter::Class;
use crate::spec::Spec;

/// A request, for any upstream.
#[derive(Debug, Clone)]
pub struct UpstreamRequest {
    /// The folder of its key: the failures that a tier reports concern the streams of this folder only.
    pub folder: Arc<str>,
    /// The method.
    pub method: Method,
    /// Path and query as the viewer sent them, without the parameters that do not count.
    pub path_and_query: String,
    /// The Host header field, for upstreams without one of their own.
    pub host: String,
    /// End-to-end header fields.
    pub headers: HeaderMap,
    /// The requested slice of the resource, which the header fields request as well.
    pub span: Option<RangeInclusive<u64>>,
    /// The timeout for the head of the response, if it differs from the upstream's: the upstream may block a
    /// playlist reload.
    pub head_timeout: Option<Duration>,
    /// When the response to a blocked request is late, so that another upstream receives the request as well.
    pub late_after: Option<Duration>,
    /// Whether it is sent in place of another request or beside it, which tiers receive as [`BACKUP`].
    pub is_backup: bool,
    /// Whether the response is for one viewer alone, at its pace.
    pub is_pass: bool,
}

/// Marks a request to a tier that is sent in place of another, or beside it. The tier responds, but
/// prefetches nothing, because the viewers are not its own.
pub static BACKUP: HeaderName = HeaderName::from_static("tidegate-backup");

impl UpstreamRequest {
    /// The same request, in place of another or beside it.
    #[must_use]
    pub fn as_backup(&self) -> Self {
        Self { is_backup: true, ..self.clone() }
    }

    /// The limit of the upstream that it counts for.
    pub(crate) fn class(&self) -> Class {
        match (self.is_pass, self.head_timeout) {
            (true, _) => Class::Pass,
            (false, Some(_)) => Class::Blocking,
            (false, None) => Class::Fill,
        }
    }

    /// The path without the query, which may contain tokens: for logs.
    pub fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or_default()
    }

    /// The target for the upstream with `spec`: the base of its address, and the rest.
    pub(crate) fn target_at<'a>(&'a self, spec: &'a Spec) -> (&'a str, Cow<'a, str>) {
        match self.path_and_query.as_str() {
            // It concerns the server itself (RFC 9110 section 7.1).
            "*" => ("", Cow::Borrowed("*")),
            // Marks for tiers are not for origins.
            target if spec.is_tier => (spec.address.base(), Cow::Borrowed(target)),
            target => (spec.address.base(), tidegate_hls::without_mark(target)),
        }
    }
}

/// What follows the head of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rest {
    Nothing,
    Body,
}
