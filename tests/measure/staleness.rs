//! Measures how far behind the origin each tier is: `staleness [VIEWERS] [VERSIONS]`, one line of JSON.
//!
//! An origin that cannot hold requests publishes a plain live playlist, a segment of two seconds at a time. Viewers poll it
//! at two edges as players do, once per target duration, each at a moment of its own. What is measured is the time from
//! the moment at which a version exists at the origin (by the origin's clock) to the moment at which a tier serves it,
//! and how often the origin was asked. All of it in one process; `cargo xtask bench` runs it and writes the figures down.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use tidegate_tests::{Origin, edge, origin, shield, viewer};
use tokio::task::JoinSet;

const PLAYLIST: &str = "/live/ch1/ts/360p/index.m3u8";
const SEGMENT: Duration = Duration::from_secs(2);
/// Versions that are not counted: the shield is still learning when the next one is due.
const WARM_UP: u64 = 10;

#[tokio::main]
#[expect(clippy::expect_used, reason = "a measurement that goes wrong ends with its reason")]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().expect("a number"));
    let count: u32 = arguments.next().unwrap_or(40);
    let versions = u64::from(arguments.next().unwrap_or(20));
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let one = edge().shield(&shield).run().await;
    let two = edge().named("edge-2").shield(&shield).run().await;

    let mut watching = JoinSet::new();
    for number in 0..count {
        let edge = if number % 2 == 0 { one.addr() } else { two.addr() };
        watching.spawn(poll(edge, SEGMENT * number / count));
    }
    let first = origin.now().as_secs() / SEGMENT.as_secs() + WARM_UP;
    let numbers = first..first + versions;
    until_exists(&origin, first - 1).await;
    origin.forget();
    let tiers = [shield.addr(), one.addr(), two.addr()];
    let delays = tiers.map(|tier| arrivals(&origin, tier, numbers.clone()));
    let [at_shield, at_one, at_two] = delays;
    let (at_shield, at_one, at_two) = tokio::join!(at_shield, at_one, at_two);
    let asked = origin.requests(PLAYLIST);
    watching.abort_all();

    let beyond = at_one.iter().zip(&at_shield).chain(at_two.iter().zip(&at_shield));
    let beyond = beyond.map(|(edge, shield)| edge.saturating_sub(*shield)).collect();
    let per_version = f64::from(u32::try_from(asked).expect("a number of requests"))
        / f64::from(u32::try_from(versions).expect("a number of versions"));
    let figures = serde_json::json!({
        "viewers": count, "edges": 2, "versions": versions,
        "origin_requests_per_version": (per_version * 100.0).round() / 100.0,
        "at_shield_ms": quantiles(at_shield),
        "at_edges_beyond_shield_ms": quantiles(beyond),
    });
    writeln!(std::io::stdout().lock(), "{figures}").expect("standard output");
}

/// A player: it asks once per target duration.
async fn poll(edge: SocketAddr, phase: Duration) {
    tokio::time::sleep(phase).await;
    let mut due = tokio::time::interval(SEGMENT);
    loop {
        due.tick().await;
        viewer(edge).get(PLAYLIST).await;
    }
}

/// How long after it existed each version was served by a tier that was asked for it beforehand.
async fn arrivals(origin: &Origin, tier: SocketAddr, numbers: std::ops::Range<u64>) -> Vec<Duration> {
    let mut delays = Vec::new();
    for number in numbers {
        let answer = viewer(tier).get(&format!("{PLAYLIST}?_HLS_msn={number}")).await;
        let now = origin.now();
        assert_eq!(answer.status, 200, "{}", answer.text());
        delays.push(now.saturating_sub(exists(number)));
    }
    delays
}

/// When a segment is complete, by the origin's clock.
fn exists(number: u64) -> Duration {
    SEGMENT * u32::try_from(number + 1).unwrap_or(u32::MAX)
}

async fn until_exists(origin: &Origin, number: u64) {
    tokio::time::sleep(exists(number).saturating_sub(origin.now())).await;
}

fn quantiles(mut delays: Vec<Duration>) -> serde_json::Value {
    delays.sort_unstable();
    let at = |percent: usize| {
        let delay = delays.get(delays.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default();
        (delay.as_secs_f64() * 10_000.0).round() / 10.0
    };
    serde_json::json!({ "p50": at(50), "p99": at(99), "max": at(100) })
}
