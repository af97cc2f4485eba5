//! The count of one request to a source: once when it is asked, and once, by what came of it, when it is over.

use std::fmt;
use std::sync::Arc;

use http::StatusCode;

use crate::error::UpstreamError;
use crate::policy::{Event, FillPolicy, Outcome};

/// A request to a source that is under way. Whichever way it ends, it is counted then: it goes with the answer that it
/// brings, and tells its outcome when it is dropped.
pub struct InFlight {
    policy: Arc<dyn FillPolicy>,
    outcome: Outcome,
}

impl InFlight {
    /// Counts a request that is about to be made.
    pub fn begin<D: FillPolicy + 'static>(policy: &Arc<D>) -> Self {
        policy.note(Event::Requested);
        Self { policy: Arc::<D>::clone(policy), outcome: Outcome::Abandoned }
    }

    /// It failed. What is told last counts: an answer may be whole and then found to be of no use.
    pub fn record_failure(&mut self, error: UpstreamError) {
        self.outcome = Outcome::Failed(error);
    }

    pub(crate) fn record_response(&mut self, status: StatusCode) {
        self.outcome = Outcome::Answered(status);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.policy.note(Event::Finished(self.outcome));
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking").field("outcome", &self.outcome).finish_non_exhaustive()
    }
}
