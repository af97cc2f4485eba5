//! Counts the events of fetches.

use tidegate_upstream::{Ending, Event, Recorder};

use crate::observe::metrics::{Failover, FillEnd, UpstreamEnd};
use crate::tier::Tier;

impl Recorder for Tier {
    fn record(&self, event: Event) {
        let metrics = self.metrics();
        match event {
            Event::Requested => metrics.origin_requests.inc(),
            Event::Finished(outcome) => metrics.upstream_request(UpstreamEnd::from(outcome)),
            Event::FailedOver(error) => metrics.failover(Failover::from(error)),
            Event::Rescued(_) => metrics.upstreams.rescued_bodies.inc(),
            Event::Hedged => metrics.upstreams.hedges.inc(),
            Event::HedgeWon => metrics.upstreams.hedges_won.inc(),
            Event::BudgetExhausted => metrics.upstreams.retry_budget_exhausted.inc(),
            Event::Ended(ending, requests) => metrics.fill_ended(ending.into(), requests),
        }
    }
}

impl From<Ending> for FillEnd {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Stored => Self::Stored,
            Ending::Renewed => Self::Revalidated,
            Ending::Passed(_) => Self::Uncacheable,
            Ending::Failed => Self::Failed,
            Ending::Broken => Self::Broken,
            Ending::Abandoned => Self::Abandoned,
        }
    }
}
