//! What a fill is to fetch, and for which requester.

use std::sync::Arc;
use std::time::Duration;

use tidegate_cache::{FillWriter, Key};
use tokio::sync::{Semaphore, oneshot};

use crate::fetch::budget::Budget;
use crate::fetch::response::{Interim, UpstreamResponse};
use crate::policy::{Ending, Event, Recorder};
use crate::request::UpstreamRequest;
use crate::upstream::Upstream;

/// What a fill is to fetch.
#[derive(Debug)]
pub struct FetchJob {
    /// The request, conditional if there is an old object.
    pub request: UpstreamRequest,
    /// The key of the whole resource, if the request is for a slice of it.
    pub whole: Option<Key>,
    /// The upstreams to try, in order.
    pub candidates: Vec<Arc<Upstream>>,
    /// Counts what happens.
    pub recorder: Arc<dyn Recorder>,
    /// The retry budget: it pays for every request after the first.
    pub budget: Arc<Budget>,
    /// Requests to them in each round, rescues included.
    pub attempts_max: usize,
    /// An unwanted fill goes on if at most this many bytes are missing.
    pub finish_within: u64,
    /// A permit for each unwanted fill that may go on.
    pub finishing: Arc<Semaphore>,
    /// How long a key is remembered as uncacheable after its object was too large.
    pub remember_large: Duration,
}

impl FetchJob {
    /// Counts how the fill ends, and the requests that it served.
    pub(crate) fn record_end(&self, fill_writer: &FillWriter, ending: Ending) {
        self.recorder.record(Event::Ended(ending, fill_writer.readers_total()));
    }
}

/// The request that caused a fill, for the responses that only it may receive.
#[derive(Debug, Default)]
pub struct Requester {
    /// Takes the informational responses (1xx).
    pub interim: Option<Interim>,
    /// Takes the response if it cannot be shared; `None` if the requester may not have it either.
    pub unshared: Option<oneshot::Sender<UpstreamResponse>>,
}
