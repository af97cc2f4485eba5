//! `/v1/upstreams`: the upstreams of a tier, pool by pool.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_upstream::regions::RoundTrip;
use tidegate_upstream::{Pool, Report, SitePools};

use crate::config::NodeName;
use crate::tier::Tier;

/// The page as JSON.
pub(crate) fn page(tier: &Tier) -> Value {
    let metrics = tier.metrics();
    json!({
        "node": tier.node(),
        "region": tier.settings().location.region.as_ref().map(NodeName::as_str),
        "hedges": metrics.upstreams.hedges.get(),
        "hedges_won": metrics.upstreams.hedges_won.get(),
        "rescued_bodies": metrics.upstreams.rescued_bodies.get(),
        "retry_budget_exhausted": metrics.upstreams.retry_budget_exhausted.get(),
        "failovers": metrics.failovers_by_reason(),
        "pools": tier.sites().pools().iter().map(|pool| of_pool(pool)).collect::<Vec<_>>(),
    })
}

/// The upstreams of a site, with their states.
pub(crate) fn names(pools: &SitePools) -> Vec<Value> {
    let reports = pools.pools().iter().flat_map(|pool| pool.reports());
    let named = reports.map(|report| {
        json!({
            "address": &*report.name,
            "state": report.state.as_str(),
            "up": report.state.is_available(),
            "requests": report.requests,
            "consecutive_failures": report.failures_in_a_row,
        })
    });
    named.collect()
}

fn of_pool(pool: &Pool) -> Value {
    json!({
        "regions": pool.regions().into_iter().map(of_region).collect::<Vec<_>>(),
        "retries_left": pool.budget().left().floor(),
        "upstreams": pool.reports().iter().map(of_one).collect::<Vec<_>>(),
    })
}

fn of_region((name, round_trip): (Arc<str>, RoundTrip)) -> Value {
    json!({
        "name": &*name,
        "round_trip_seconds": round_trip.duration().map(|round_trip| round_trip.as_secs_f64()),
        "is_measured": matches!(round_trip, RoundTrip::Measured(_)),
    })
}

fn of_one(report: &Report) -> Value {
    let [p50, p95, p99] = report.latency.map(|latency| latency.map(|latency| latency.as_secs_f64()));
    let (good, failed) = report.probes;
    json!({
        "address": &*report.name,
        "region": report.region.as_deref(),
        "group": report.group,
        "weight": report.weight,
        "state": report.state.as_str(),
        "since_seconds": report.since.as_secs_f64(),
        "why": report.why.map(|why| why.to_string()),
        "in_flight": report.in_flight,
        "waiting": report.waiting,
        "requests": report.requests,
        "failures": report.failures,
        "consecutive_failures": report.failures_in_a_row,
        "ejections": report.ejections,
        // Its name before 0.1.0, which scripts still read.
        "times_out": report.ejections,
        "outpaced": report.outpaced,
        "queue_overflows": report.refused,
        "probes": { "good": good, "failed": failed },
        "latency_seconds": { "p50": p50, "p95": p95, "p99": p99 },
        "round_trip_seconds": report.round_trip.as_ref().map(Duration::as_secs_f64),
    })
}
