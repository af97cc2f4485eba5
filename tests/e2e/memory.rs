//! The cache's memory is bounded, and frequently requested objects stay cached.

use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_proxy::config::units::Size;
use tidegate_tests::{Process, Tier, edge, origin, until, viewer, viewers};
use tokio::task::JoinSet;

const MIB: u64 = 1 << 20;
const BUDGET: u64 = 256 * MIB;
const READERS: u64 = 8;
/// Two GiB in all, in objects of one MiB.
const EACH: u64 = 2048 / READERS;
/// Every reader requests one of these after this many others.
const HOT: u64 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn two_gibibytes_go_through_a_cache_of_256_mebibytes() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).with(|config| config.cache.memory = Size::mib(256)).spawn().await;

    let mut reading = JoinSet::new();
    for reader in 0..READERS {
        reading.spawn(read(*edge, reader));
    }
    let highest = tokio::select! {
        _ = reading.join_all() => None,
        // It never ends by itself.
        highest = watch(&edge) => Some(highest),
    };

    assert_eq!(highest, None, "the budget was exceeded");
    let peak = edge.peak_resident_bytes();
    assert!(peak < BUDGET * 3 / 2 + 100 * MIB, "{} MiB were resident", peak / MIB);
    for hot in 0..HOT {
        let path = hot_path(hot);
        assert_eq!(origin.requests(&path), 1, "{path} is requested frequently and was evicted");
    }
    assert_eq!(origin.requests("/bytes/1048576/cold/*"), READERS * EACH);
    let cache = &edge.status().await["cache"];
    assert!(cache["evictions"].as_u64().unwrap() > 1700, "{cache}");
    assert!(cache["charged_bytes"].as_u64().unwrap() > BUDGET / 2, "the budget is used: {cache}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_above_the_size_limit_passes_and_is_not_stored() {
    const LARGE: &str = "/bytes/1048577";
    let origin = origin().run().await;
    let edge = edge().origin(&origin).with(one_mebibyte_each).run().await;

    for response in viewers(3, &[&edge]).get(LARGE).await {
        response.is(200, &synthetic_bytes(LARGE, 0..MIB + 1));
    }
    viewer(edge.addr()).get("/bytes/1048576").await.is(200, &synthetic_bytes("/bytes/1048576", 0..MIB));

    assert_eq!(origin.requests(LARGE), 3);
    assert_eq!(edge.count("tidegate_fills_total", "stored").await, 1, "the one below the limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_outgrows_the_limit_is_cut_off_and_passes_afterwards() {
    const GROWING: &str = "/bytes/4194304?chunked=1";
    const PATH: &str = "/bytes/4194304";
    let origin = origin().run().await;
    origin.fault(Fault::on(PATH).hold_at("rest", 1000).times(1)).unwrap();
    let edge = edge().origin(&origin).with(one_mebibyte_each).run().await;
    let expected = synthetic_bytes(PATH, 0..4 * MIB);

    let watching = viewers(10, &[&edge]).start(GROWING).await;
    origin.waiting("rest", 1).await;
    until("all have joined", async || edge.joined().await == 10).await;
    origin.release("rest");
    for mut viewer in watching {
        let response = viewer.rest().await;
        assert!(!response.whole, "a truncated body must not look complete");
        assert!(expected.starts_with(&response.body));
    }
    assert_eq!(origin.requests(PATH), 1);

    viewer(edge.addr()).get(GROWING).await.is(200, &expected);
    assert_eq!(origin.requests(PATH), 2);
    assert_eq!(edge.count("tidegate_fills_total", "stored").await, 0);
}

fn one_mebibyte_each(config: &mut tidegate_edge::Config) {
    config.cache.object_max = Size::mib(1);
    config.cache.playlist_max = Size::mib(1);
}

/// Reads distinct objects, and a hot one at intervals.
async fn read(edge: Tier, reader: u64) {
    for number in 0..EACH {
        let path = format!("/bytes/1048576/cold/{reader}/{number}");
        check(&edge, &path).await;
        if number % 8 == 0 {
            check(&edge, &hot_path((number / 8 + reader) % HOT)).await;
        }
    }
}

fn hot_path(number: u64) -> String {
    format!("/bytes/1048576/hot/{number}")
}

/// The whole object must arrive; its first bytes show whether it is the right one.
async fn check(edge: &Tier, path: &str) {
    let response = viewer(edge.addr()).get(&format!("{path}?cc=max-age%3D3600")).await;
    assert_eq!((response.status, response.whole, response.body.len() as u64), (200, true, MIB));
    assert!(response.body.starts_with(&synthetic_bytes(path, 0..1024)), "{path} has other bytes");
}

/// Polls the cache's charged bytes; ends with the value that exceeds the budget.
async fn watch(edge: &Process) -> u64 {
    loop {
        let cache = &edge.status().await["cache"];
        let charged = cache["charged_bytes"].as_u64().unwrap();
        if charged > BUDGET / 100 * 105 {
            return charged;
        }
        // Evicted objects that readers still use are added to the budget.
        let alive = cache["body_bytes"].as_u64().unwrap();
        if alive > BUDGET / 100 * 105 + READERS * MIB {
            return alive;
        }
    }
}
