//! What the pools say of themselves, taken over when somebody looks.

use std::sync::Arc;

use prometheus::{IntCounter, IntGauge, Result};
use tidegate_upstream::{Pool, Report};

use super::labels::Standing;
use super::table::{Book, GaugeTable};

/// The instruments of all upstreams together. The upstreams count for themselves.
#[derive(Debug)]
pub struct Upstreams {
    /// Bodies that broke at one source and went on at another.
    pub rescued_bodies: IntCounter,
    /// Times that another source was asked because the first was late.
    pub hedges: IntCounter,
    /// Times that this other one answered first.
    pub hedges_won: IntCounter,
    /// Times that nobody else was asked because the budget for it was spent.
    pub unaffordable: IntCounter,
    standing: GaugeTable,
    in_flight: IntGauge,
    waiting: IntGauge,
    budget: IntGauge,
    times_out: IntCounter,
    refused: IntCounter,
    probes: IntCounter,
    failed_probes: IntCounter,
}

impl Upstreams {
    pub(super) fn new(book: &Book<'_>) -> Result<Self> {
        Ok(Self {
            rescued_bodies: book.counter(
                "tidegate_rescued_bodies_total",
                "Bodies that broke at one source and went on at another.",
            )?,
            hedges: book.counter(
                "tidegate_hedges_total",
                "Times that another source was asked as well, because the first was late.",
            )?,
            hedges_won: book
                .counter("tidegate_hedges_won_total", "Times that the source asked later answered first.")?,
            unaffordable: book.counter(
                "tidegate_retries_refused_total",
                "Times that no further source was asked because the retry budget was spent.",
            )?,
            standing: book.gauges(
                "tidegate_upstreams",
                "Upstreams, by where they stand.",
                &[("state", Standing::ALL.len())],
            )?,
            in_flight: book.gauge(
                "tidegate_upstream_requests_in_flight",
                "Requests to upstreams under way, those that are held until there is something new included.",
            )?,
            waiting: book.gauge(
                "tidegate_upstream_requests_waiting",
                "Requests that wait until an upstream may be sent one more.",
            )?,
            budget: book.gauge(
                "tidegate_retry_budget_requests",
                "Requests beyond the first for the same thing that may be sent now.",
            )?,
            times_out: book.counter(
                "tidegate_upstream_times_out_total",
                "Times that an upstream went out, for its answers or because it could not be reached.",
            )?,
            refused: book.counter(
                "tidegate_upstream_queue_overflows_total",
                "Requests that were not sent, because too many were under way to an upstream.",
            )?,
            probes: book.counter("tidegate_upstream_probes_total", "Probes that came back or did not.")?,
            failed_probes: book
                .counter("tidegate_upstream_probes_failed_total", "Probes that did not come back well.")?,
        })
    }

    pub(super) fn observe(&self, pools: &[Arc<Pool>]) {
        let reports: Vec<Report> = pools.iter().flat_map(|pool| pool.reports()).collect();
        for standing in Standing::ALL {
            let count = reports.iter().filter(|report| Standing::from(report.state) == *standing).count();
            self.standing.with([standing], |gauge| gauge.set(whole(count)));
        }
        let budget = pools.iter().map(|pool| pool.budget().left().max(0.0).floor()).sum::<f64>();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a budget is far below what a float counts exactly"
        )]
        self.budget.set(budget as i64);
        self.in_flight.set(whole(reports.iter().map(|report| report.in_flight).sum()));
        self.waiting.set(whole(reports.iter().map(|report| report.waiting).sum()));
        let probes = |report: &Report| report.probes.0 + report.probes.1;
        for (counter, total) in [
            (&self.times_out, reports.iter().map(|report| report.ejections).sum::<u64>()),
            (&self.refused, reports.iter().map(|report| report.refused).sum()),
            (&self.probes, reports.iter().map(probes).sum()),
            (&self.failed_probes, reports.iter().map(|report| report.probes.1).sum()),
        ] {
            // They give running totals, a counter takes what came since. Whoever leaves takes what it counted along.
            counter.inc_by(total.saturating_sub(counter.get()));
        }
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
