//! Counts one request to an upstream: when it is sent, and when it ends, by its outcome.

use std::fmt;
use std::sync::Arc;

use http::StatusCode;

use crate::error::UpstreamError;
use crate::policy::{Event, FillPolicy, Outcome};

/// A request in flight. It moves with its response and is counted when it is dropped, however it ends.
pub struct InFlight {
    policy: Arc<dyn FillPolicy>,
    outcome: Outcome,
}

impl InFlight {
    /// Counts a request that is about to be sent.
    pub fn begin<D: FillPolicy + 'static>(policy: &Arc<D>) -> Self {
        policy.note(Event::Requested);
        Self { policy: Arc::<D>::clone(policy), outcome: Outcome::Abandoned }
    }

    /// Records a failure. The last record counts: a response may be complete and then prove unusable.
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
        f.debug_struct("InFlight").field("outcome", &self.outcome).finish_non_exhaustive()
    }
}
