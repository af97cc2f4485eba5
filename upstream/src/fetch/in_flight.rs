//! Counts one request to an upstream: when it is sent, and when it ends, by its outcome.

use std::fmt;
use std::sync::Arc;

use http::StatusCode;

use crate::error::UpstreamError;
use crate::policy::{Event, Outcome, Recorder};

/// A request in flight. It moves with its response and is counted when it is dropped, however it ends.
pub struct InFlight {
    recorder: Arc<dyn Recorder>,
    outcome: Outcome,
}

impl InFlight {
    /// Counts a request that is about to be sent.
    pub fn begin(recorder: &Arc<dyn Recorder>) -> Self {
        recorder.record(Event::Requested);
        Self { recorder: Arc::clone(recorder), outcome: Outcome::Abandoned }
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
        self.recorder.record(Event::Finished(self.outcome));
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight").field("outcome", &self.outcome).finish_non_exhaustive()
    }
}
