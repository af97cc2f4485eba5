//! The data of the page: the state of every tier at one moment.

use serde::Serialize;

use super::viewers::Counts;

/// The response to `GET /api/state`.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Snapshot {
    /// Since the demo started.
    pub(crate) uptime_seconds: f64,
    /// The path of the playlist that the page plays; `None` when it is unknown.
    pub(crate) stream: Option<String>,
    /// The synthetic viewers.
    pub(crate) viewers: Counts,
    pub(crate) edges: Vec<Tier>,
    pub(crate) shields: Vec<Tier>,
    pub(crate) origins: Vec<Origin>,
    pub(crate) totals: Totals,
    /// Problems in words, such as a tier that could not be read.
    pub(crate) problems: Vec<String>,
}

/// An edge or a shield.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Tier {
    pub(crate) name: String,
    pub(crate) url: String,
    /// Whether its operators' listener responds.
    pub(crate) up: bool,
    /// The number of requests that it received.
    pub(crate) requests: u64,
    /// Requests that caused no request to the next tier.
    pub(crate) hits: u64,
    /// Requests that it looked up in its cache: all but refusals and the like.
    pub(crate) lookups: u64,
    /// `hits` of `lookups`; `None` before the first.
    pub(crate) hit_ratio: Option<f64>,
    /// Requests it sent to the next tier.
    pub(crate) upstream_requests: u64,
}

/// An origin.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Origin {
    pub(crate) name: String,
    pub(crate) url: String,
    /// `primary` or `backup`.
    pub(crate) role: &'static str,
    /// Whether it runs; `None` for an origin of the user's.
    pub(crate) up: Option<bool>,
    /// The number of requests that it received; `None` when that is unknown.
    pub(crate) requests: Option<u64>,
}

/// The sums over all tiers.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Totals {
    /// Requests at the edges.
    pub(crate) viewer_requests: u64,
    /// Requests that the shields sent to origins, including those that an origin refused while it was down.
    pub(crate) origin_requests: u64,
    /// Requests that ideal shields would have sent.
    pub(crate) origin_needed: u64,
    /// `origin_requests` as a multiple of `origin_needed`; `None` before the first.
    pub(crate) origin_amplification: Option<f64>,
}

/// A share, or `None` where the whole is zero.
#[expect(clippy::cast_precision_loss, reason = "counts of a demo stay far below 2^52")]
pub(crate) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
