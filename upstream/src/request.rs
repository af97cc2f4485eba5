//! What an upstream is asked.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, Method};

use crate::spec::Spec;

/// What is asked, of whichever source.
#[derive(Debug, Clone)]
pub struct UpstreamRequest {
    /// The stream that it belongs to: what a tier tells of those behind it concerns this one alone.
    pub stream: Arc<str>,
    /// The method.
    pub method: Method,
    /// Canonical path and query, as in the cache key.
    pub path_and_query: String,
    /// The Host header field, for sources that have none of their own.
    pub host: String,
    /// End-to-end header fields.
    pub headers: HeaderMap,
    /// The piece of the resource that is asked for; the header fields say so too.
    pub span: Option<RangeInclusive<u64>>,
    /// Time for the head of the answer, where it is not the source's own: a blocking reload is held by its nature.
    pub patience: Option<Duration>,
    /// When an answer that is held by its nature is late, so that another source is asked as well.
    pub overdue: Option<Duration>,
    /// Whether it is asked in place of another one or beside it. A tier is told so ([`BACKUP`]).
    pub is_backup: bool,
}

/// Tells a tier that it is asked in place of another, or beside it: it answers, and need not get ready for what its
/// viewers will want next, since they are not its viewers.
pub static BACKUP: HeaderName = HeaderName::from_static("tidegate-backup");

impl UpstreamRequest {
    /// The same, for one who is asked in place of another or beside it.
    #[must_use]
    pub fn as_backup(&self) -> Self {
        Self { is_backup: true, ..self.clone() }
    }

    /// The path without the query, which may hold tokens: for what is logged.
    pub fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or_default()
    }

    /// What the one whom `spec` describes is asked for: the base of its address, and what comes behind it.
    pub(crate) fn target_at<'a>(&'a self, spec: &'a Spec) -> (&'a str, Cow<'a, str>) {
        match self.path_and_query.as_str() {
            // It concerns the server itself (RFC 9110 section 7.1).
            "*" => ("", Cow::Borrowed("*")),
            // What is meant for tiers is not for origins.
            target if spec.is_tier => (spec.address.base(), Cow::Borrowed(target)),
            target => (spec.address.base(), tidegate_hls::unmarked(target)),
        }
    }
}

/// What comes behind the head of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rest {
    Nothing,
    Body,
}
