//! Measures how evenly keys are spread over shields, and how many move when shields are added or removed:
//! `hashing [KEYS]`, tables in Markdown. docs/hashing.md has its output.
//!
//! Keys are the paths of segments, as a channel makes them: many that differ in a few digits only. The
//! measured figures stand beside those of an ideal hash: it moves exactly the keys of the added or removed
//! shields, and spreads them as dice would.

use std::io::Write as _;

use tidegate_upstream::bounded::{Bound, Load, arrange};
use tidegate_upstream::hash;
use tokio::time::Instant;

/// Shields before and after.
const CHANGES: [(u32, u32); 3] = [(3, 4), (10, 9), (50, 51)];
const WEIGHTS: [f64; 3] = [1.0, 2.0, 3.0];

#[expect(clippy::expect_used, reason = "a measurement that goes wrong ends with its reason")]
fn main() {
    let keys = std::env::args().nth(1).map_or(1_000_000, |keys| keys.parse().expect("a number of keys"));
    let keys: Vec<String> = (0..keys).map(segment).collect();
    let tables = [changes(&keys), weights(&keys), crowds(), cost(&keys)].join("\n");
    write!(std::io::stdout().lock(), "{tables}").expect("standard output");
}

/// The path of one segment: 20 channels in 5 renditions each.
fn segment(number: u32) -> String {
    format!("/live/ch{}/{}/seg{:08}.m4s", number % 20, number / 20 % 5, number / 100)
}

/// The seeds of `count` shields.
fn shields(count: u32) -> Vec<u64> {
    (1..=count).map(|shield| hash::seed(&format!("http://10.0.0.{shield}:8081"))).collect()
}

fn owners(keys: &[String], members: &[(u64, f64)]) -> Vec<usize> {
    keys.iter().filter_map(|key| hash::order(key, members.iter().copied()).first().copied()).collect()
}

fn equal(count: u32) -> Vec<(u64, f64)> {
    shields(count).into_iter().map(|seed| (seed, 1.0)).collect()
}

/// Balance and moved keys, for each change in the number of shields.
fn changes(keys: &[String]) -> String {
    let head = "| shields | max / mean | stddev / mean | by dice | keys moved | ideal | moved between others |\n\
                |---|---|---|---|---|---|---|\n";
    let rows = CHANGES.iter().map(|(before, after)| {
        let (old, new) = (owners(keys, &equal(*before)), owners(keys, &equal(*after)));
        let stays = f64::from(*before.min(after));
        let all = f64::from(*before.max(after));
        let pairs = || old.iter().zip(&new).filter(|(old, new)| old != new);
        // The shield that is added or removed is the last one.
        let last = number(*before.max(after)) - 1;
        let others = pairs().filter(|(old, new)| **old != last && **new != last).count();
        let balance = Balance::of(&new, *after);
        format!(
            "| {before} → {after} | {:.4} | {:.2} % | {:.2} % | {:.3} % | {:.3} % | {others} |\n",
            balance.max,
            100.0 * balance.deviation,
            100.0 * ((f64::from(*after) - 1.0) / count(keys.len())).sqrt(),
            100.0 * count(pairs().count()) / count(keys.len()),
            100.0 * (all - stays) / all,
        )
    });
    std::iter::once(head.to_owned()).chain(rows).collect()
}

/// The share of each of three shields with weights.
fn weights(keys: &[String]) -> String {
    let members: Vec<_> = shields(3).into_iter().zip(WEIGHTS).collect();
    let owners = owners(keys, &members);
    let rows = WEIGHTS.iter().enumerate().map(|(shield, weight)| {
        let owned = owners.iter().filter(|owner| **owner == shield).count();
        let share = 100.0 * count(owned) / count(keys.len());
        let ideal = 100.0 * weight / WEIGHTS.iter().sum::<f64>();
        format!("| {weight} | {share:.3} % | {ideal:.3} % |\n")
    });
    std::iter::once("| weight | keys | ideal |\n|---|---|---|\n".to_owned()).chain(rows).collect()
}

/// Ten shields with a thousand requests in flight, where the n-th object is 1/n as popular as the first.
fn crowds() -> String {
    const REQUESTS: usize = 1000;
    let members = equal(10);
    let rows = [None, Some(1.0), Some(0.5), Some(0.25), Some(0.1)].map(|epsilon| {
        let mut loads = [Load { in_flight: 0, weight: 1.0 }; 10];
        let mut moved = 0_usize;
        for request in 0..REQUESTS {
            let key = segment(popular(hash::point(&format!("request {request}"))));
            let order = hash::order(&key, members.iter().copied());
            let owner = order.first().copied();
            let bound = epsilon.map(|epsilon| Bound { epsilon, floor: 16 });
            let order = bound.map_or_else(|| order.clone(), |bound| arrange(order.clone(), &loads, &bound));
            moved += usize::from(order.first().copied() != owner);
            if let Some(load) = order.first().and_then(|first| loads.get_mut(*first)) {
                load.in_flight += 1;
            }
        }
        let most = loads.iter().map(|load| load.in_flight).max().unwrap_or_default();
        let name = epsilon.map_or_else(|| "none".to_owned(), |epsilon| epsilon.to_string());
        let moved = 100.0 * count(moved) / count(REQUESTS);
        format!("| {name} | {:.2} | {moved:.1} % |\n", count(most) * 10.0 / count(REQUESTS))
    });
    let head = "| ε | max / mean in flight | requests not at the owner |\n|---|---|---|\n";
    std::iter::once(head.to_owned()).chain(rows).collect()
}

/// Draws one of a thousand objects, where the n-th is 1/n as popular as the first.
fn popular(point: f64) -> u32 {
    let all: f64 = (1..=1000).map(|object| 1.0 / f64::from(object)).sum();
    let mut left = point * all;
    (1..=1000)
        .find(|object| {
            left -= 1.0 / f64::from(*object);
            left < 0.0
        })
        .unwrap_or(1000)
}

/// The time to order 50 shields, once with equal weights and once while one of them warms up.
fn cost(keys: &[String]) -> String {
    let members = equal(50);
    let mut warming = members.clone();
    if let Some((_, weight)) = warming.first_mut() {
        *weight = 0.5;
    }
    // The fastest of many batches: other work of the machine slows down some of them.
    let time = |members: &[(u64, f64)]| {
        let batches = keys.chunks_exact(1000).map(|batch| {
            let began = Instant::now();
            std::hint::black_box(owners(batch, members));
            began.elapsed()
        });
        // A batch has a thousand keys, so its milliseconds are the microseconds of one.
        batches.min().unwrap_or_default().as_secs_f64() * 1e3
    };
    format!(
        "| 50 shields | µs per order |\n|---|---|\n| equal weights | {:.1} |\n| one warms up | {:.1} |\n",
        time(&members),
        time(&warming)
    )
}

/// How far the shields are from having equal numbers of keys, as fractions of the mean.
struct Balance {
    max: f64,
    deviation: f64,
}

impl Balance {
    fn of(owners: &[usize], shields: u32) -> Self {
        let mean = count(owners.len()) / f64::from(shields);
        let owned = (0..number(shields))
            .map(|shield| count(owners.iter().filter(|owner| **owner == shield).count()) / mean);
        let owned: Vec<f64> = owned.collect();
        let squares: f64 = owned.iter().map(|part| (part - 1.0).powi(2)).sum();
        Self {
            max: owned.iter().copied().fold(0.0, f64::max),
            deviation: (squares / f64::from(shields)).sqrt(),
        }
    }
}

/// Exact for all practical numbers of keys.
fn count(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn number(shields: u32) -> usize {
    usize::try_from(shields).unwrap_or(usize::MAX)
}
