//! The cache's own counts, copied for each scrape.

use prometheus::{IntCounter, IntGauge, Result};
use tidegate_cache::Totals;

use super::table::Registrar;

/// The cache's instruments. The cache counts for itself, so that they cost a request nothing.
#[derive(Debug)]
pub(super) struct Cache {
    fills_in_flight: IntGauge,
    waiters: IntGauge,
    bytes: IntGauge,
    body_bytes: IntGauge,
    objects: IntGauge,
    budget_bytes: IntGauge,
    sendfile_bytes: IntGauge,
    evictions: IntCounter,
    variants_refused: IntCounter,
}

impl Cache {
    pub(super) fn new(registrar: &Registrar<'_>) -> Result<Self> {
        Ok(Self {
            fills_in_flight: registrar.gauge("tidegate_fills_in_flight", "Fills in progress.")?,
            waiters: registrar.gauge("tidegate_waiters", "Requests that read from a fill in progress.")?,
            bytes: registrar
                .gauge("tidegate_cache_bytes", "Bytes charged to the memory budget (cache.memory).")?,
            body_bytes: registrar.gauge(
                "tidegate_cache_body_bytes",
                "Body bytes in memory, evicted bodies that are still being sent included.",
            )?,
            objects: registrar.gauge("tidegate_cache_objects", "Keys in the cache.")?,
            budget_bytes: registrar
                .gauge("tidegate_cache_budget_bytes", "The memory budget (cache.memory) in bytes.")?,
            sendfile_bytes: registrar.gauge(
                "tidegate_sendfile_bytes",
                "Bytes in sendfile copies, which are outside the memory budget.",
            )?,
            evictions: registrar.counter("tidegate_cache_evictions_total", "Keys evicted to make room.")?,
            variants_refused: registrar.counter(
                "tidegate_cache_variants_refused_total",
                "Requests passed because their object had too many variants (cache.variants_max).",
            )?,
        })
    }

    pub(super) fn observe(&self, totals: &Totals, sendfile_bytes: u64) {
        for (gauge, value) in [
            (&self.fills_in_flight, totals.fills),
            (&self.waiters, totals.waiting),
            (&self.bytes, totals.charged_bytes),
            (&self.body_bytes, totals.body_bytes),
            (&self.objects, totals.slots),
            (&self.budget_bytes, totals.budget_bytes),
            (&self.sendfile_bytes, sendfile_bytes),
        ] {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        // The cache reports a running total; a counter takes the increase since the last scrape.
        self.evictions.inc_by(totals.evictions.saturating_sub(self.evictions.get()));
        self.variants_refused.inc_by(totals.variants_refused.saturating_sub(self.variants_refused.get()));
    }
}
