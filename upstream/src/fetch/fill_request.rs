//! What a fill is to fetch, and for whom.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::fetch::budget::Budget;
use crate::fetch::exchange::{Interim, UpstreamResponse};
use crate::request::UpstreamRequest;
use crate::upstream::Upstream;

/// What a fill is to fetch.
#[derive(Debug)]
pub struct FillRequest {
    /// The request, conditional where there is an old object.
    pub ask: UpstreamRequest,
    /// Whom to ask, in order.
    pub candidates: Vec<Arc<Upstream>>,
    /// What pays for asking more than one of them.
    pub budget: Arc<Budget>,
    /// How many of them are asked at most, rescues included, unless the desk has them asked again.
    pub tries_max: usize,
    /// An unwanted fill goes on when at most so many bytes are missing.
    pub finish_within: u64,
    /// For how long a key is remembered as passing when its object turned out too large.
    pub remember_large: Duration,
}

/// The one whose request caused a fill, for what is meant for nobody else.
#[derive(Debug, Default)]
pub struct Requester {
    /// Takes the informational answers (1xx).
    pub interim: Option<Interim>,
    /// Takes the answer when it cannot be shared; not there where the asker may not have it either.
    pub own: Option<oneshot::Sender<UpstreamResponse>>,
}
