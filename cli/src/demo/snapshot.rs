//! What the page shows: the state of every tier at one moment.

use serde::Serialize;

use super::viewers::Counts;

/// The answer of `GET /api/state`.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Snapshot {
    /// Since the demo started.
    pub(crate) uptime_seconds: f64,
    /// The path of the playlist that the page plays; `None` when it is not known.
    pub(crate) stream: Option<String>,
    /// The synthetic viewers.
    pub(crate) viewers: Counts,
    pub(crate) edges: Vec<Tier>,
    pub(crate) shields: Vec<Tier>,
    pub(crate) origins: Vec<Origin>,
    pub(crate) totals: Totals,
    /// What could not be read, in words.
    pub(crate) problems: Vec<String>,
}

/// An edge or a shield.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Tier {
    pub(crate) name: String,
    pub(crate) url: String,
    /// Whether its operators' listener answers.
    pub(crate) up: bool,
    /// Requests it was asked.
    pub(crate) requests: u64,
    /// Requests it answered without causing one to the next tier.
    pub(crate) hits: u64,
    /// Requests it looked up in what it holds: all but refusals and the like.
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
    /// Whether it runs; `None` for an origin that is not the demo's own.
    pub(crate) up: Option<bool>,
    /// Requests it was asked; `None` when it does not say.
    pub(crate) requests: Option<u64>,
}

/// The sums over all tiers.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Totals {
    /// Requests at the edges.
    pub(crate) viewer_requests: u64,
    /// Requests that the shields sent to origins, those that an origin which is down refused included.
    pub(crate) origin_requests: u64,
    /// Requests that perfect shields would have sent.
    pub(crate) origin_needed: u64,
    /// `origin_requests` as a multiple of `origin_needed`; `None` before the first.
    pub(crate) origin_amplification: Option<f64>,
}

/// A share, or `None` of nothing.
#[expect(clippy::cast_precision_loss, reason = "counts of a demo stay far below 2^52")]
pub(crate) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
