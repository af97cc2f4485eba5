//! The pools' own counts, copied for each scrape.

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::{IntCounter, IntGauge, Result};
use tidegate_upstream::{Pool, Report};

use super::labels::UpstreamState;
use super::table::{GaugeTable, Registrar};

/// The instruments of all upstreams together. Each upstream counts its own.
#[derive(Debug)]
pub struct Upstreams {
    /// Bodies that broke at one upstream and continued from another.
    pub rescued_bodies: IntCounter,
    /// Hedged requests: a second request because the first was late.
    pub hedges: IntCounter,
    /// Hedged requests whose second request won.
    pub hedges_won: IntCounter,
    /// Retries, hedges and rescues not sent because the retry budget was spent.
    pub retry_budget_exhausted: IntCounter,
    states: GaugeTable,
    in_flight: IntGauge,
    waiting: IntGauge,
    budget: IntGauge,
    ejections: IntCounter,
    queue_overflows: IntCounter,
    probes: IntCounter,
    probe_failures: IntCounter,
    /// The totals of pools that are not used any more.
    former: Mutex<Totals>,
}

/// Ejections, queue overflows, probes, and failed probes.
type Totals = [u64; 4];

impl Upstreams {
    pub(super) fn new(registrar: &Registrar<'_>) -> Result<Self> {
        Ok(Self {
            rescued_bodies: registrar.counter(
                "tidegate_rescued_bodies_total",
                "Bodies that broke at one upstream and continued from another.",
            )?,
            hedges: registrar.counter(
                "tidegate_hedges_total",
                "Hedged requests: a second upstream was tried because the first was late.",
            )?,
            hedges_won: registrar
                .counter("tidegate_hedges_won_total", "Hedged requests that the second upstream won.")?,
            retry_budget_exhausted: registrar.counter(
                "tidegate_retry_budget_exhausted_total",
                "Retries, hedges and rescues not sent because the retry budget was spent.",
            )?,
            states: registrar.gauges(
                "tidegate_upstreams",
                "Upstreams, by state (up, returning, ejected, down).",
                &[("state", UpstreamState::ALL.len())],
            )?,
            in_flight: registrar.gauge(
                "tidegate_upstream_requests_in_flight",
                "Upstream requests in flight, blocking playlist requests included.",
            )?,
            waiting: registrar.gauge(
                "tidegate_upstream_requests_waiting",
                "Requests queued because an upstream is at requests_max.",
            )?,
            budget: registrar.gauge(
                "tidegate_retry_budget_requests",
                "Retries, hedges and rescues that the retry budget allows now.",
            )?,
            ejections: registrar.counter(
                "tidegate_upstream_ejections_total",
                "Times that an upstream was ejected for its responses or went down.",
            )?,
            queue_overflows: registrar.counter(
                "tidegate_upstream_queue_overflows_total",
                "Requests not sent because an upstream was at requests_max and its queue was full or timed out.",
            )?,
            probes: registrar.counter("tidegate_upstream_probes_total", "Health probes finished, good and failed.")?,
            probe_failures: registrar
                .counter("tidegate_upstream_probe_failures_total", "Health probes that failed.")?,
            former: Mutex::default(),
        })
    }

    pub(super) fn observe(&self, pools: &[Arc<Pool>]) {
        let reports: Vec<Report> = pools.iter().flat_map(|pool| pool.reports()).collect();
        for state in UpstreamState::ALL {
            let count = reports.iter().filter(|report| UpstreamState::from(report.state) == *state).count();
            self.states.with([state], |gauge| gauge.set(as_gauge(count)));
        }
        let budget = pools.iter().map(|pool| pool.budget().left().max(0.0).floor()).sum::<f64>();
        #[expect(clippy::cast_possible_truncation, reason = "a budget is far below 2^53")]
        self.budget.set(budget as i64);
        self.in_flight.set(as_gauge(reports.iter().map(|report| report.in_flight).sum()));
        self.waiting.set(as_gauge(reports.iter().map(|report| report.waiting).sum()));
        let counters = [&self.ejections, &self.queue_overflows, &self.probes, &self.probe_failures];
        let former = *self.former.lock();
        for ((counter, total), former) in counters.into_iter().zip(totals(&reports)).zip(former) {
            // Upstreams report running totals; a counter takes the increase since the last scrape. An
            // upstream that leaves a pool takes its counts with it.
            counter.inc_by((total + former).saturating_sub(counter.get()));
        }
    }

    /// Keeps the totals of a pool that is not used any more.
    pub(crate) fn keep_totals(&self, pool: &Pool) {
        for (former, total) in self.former.lock().iter_mut().zip(totals(&pool.reports())) {
            *former += total;
        }
    }
}

fn totals(reports: &[Report]) -> Totals {
    reports.iter().fold([0; 4], |[ejections, overflows, probes, failures], report| {
        let (good, failed) = report.probes;
        [ejections + report.ejections, overflows + report.refused, probes + good + failed, failures + failed]
    })
}

fn as_gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
