//! Promise 1: one object, one origin request. With it goes promise 2: whoever joins a fill streams at once.

use std::time::Duration;

use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_proxy::config::units::Period;
use tidegate_tests::{Connection, edge, origin, shield, until, viewer, viewers};
use tokio::task::JoinSet;

const MIB: u64 = 1 << 20;
const COLD: &str = "/bytes/1048576";
const LARGE: &str = "/bytes/16777216";
/// What the origin sends before it holds.
const FIRST: u64 = 64 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_viewers_at_two_edges_make_one_origin_request_and_stream_at_once() {
    let origin = origin().run().await;
    origin.fault(Fault::on(COLD).hold_at("rest", FIRST)).unwrap();
    let shield = shield().origin(&origin).run().await;
    let (one, two) = (edge().shield(&shield).run().await, edge().named("edge-2").shield(&shield).run().await);

    let watching = viewers(1000, &[&one, &two]).start(COLD).await;
    let watching = all_begin(watching, FIRST).await;
    origin.release("rest");

    all_end(watching, COLD).await;
    assert_eq!(origin.requests(COLD), 1);
    assert_eq!(shield.count("tidegate_fills_total", "stored").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_asker_may_leave_before_the_head() {
    let origin = origin().run().await;
    origin.fault(Fault::on(COLD).hold("head")).unwrap();
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;

    let first = viewer(edge.addr()).start("GET", COLD).await;
    origin.waiting("head", 1).await;
    let watching = viewers(99, &[&edge]).start(COLD).await;
    until("all have joined", async || edge.joined().await == 100).await;
    drop(first);
    until("the first has left", async || edge.joined().await == 99).await;
    origin.release("head");

    all_end(watching, COLD).await;
    assert_eq!(origin.requests(COLD), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_asker_may_leave_before_the_head_and_the_next_one_joins() {
    let origin = origin().run().await;
    origin.fault(Fault::on(COLD).hold("head")).unwrap();
    let edge = edge().origin(&origin).run().await;

    let first = viewer(edge.addr()).start("GET", COLD).await;
    origin.waiting("head", 1).await;
    drop(first);
    until("nobody waits", async || edge.joined().await == 0).await;
    let mut next = viewer(edge.addr()).start("GET", COLD).await;
    until("the next has joined", async || edge.joined().await == 1).await;
    origin.release("head");

    next.rest().await.is(200, &synthetic_bytes(COLD, 0..MIB));
    assert_eq!(origin.requests(COLD), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_asker_may_leave_after_the_head() {
    let origin = origin().run().await;
    origin.fault(Fault::on(COLD).hold_at("rest", FIRST)).unwrap();
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;

    let mut first = viewer(edge.addr()).start("GET", COLD).await;
    assert!(first.begins(1000).await);
    let watching = viewers(99, &[&edge]).start(COLD).await;
    let watching = all_begin(watching, FIRST).await;
    drop(first);
    until("the first has left", async || edge.joined().await == 99).await;
    origin.release("rest");

    all_end(watching, COLD).await;
    assert_eq!(origin.requests(COLD), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_who_does_not_read_slows_nobody() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;

    // More than all buffers on the way to it can take.
    let mut slow = viewer(edge.addr()).narrow().start("GET", LARGE).await;
    assert!(slow.begins(1).await);
    let watching = viewers(20, &[&edge]).start(LARGE).await;

    all_end(watching, LARGE).await;
    until("the fill has ended without it", async || edge.joined().await == 0).await;
    slow.rest().await.is(200, &synthetic_bytes(LARGE, 0..16 * MIB));
    assert_eq!(origin.requests(LARGE), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_at_one_kibibyte_a_second_slows_nobody() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;

    let mut slow = viewer(edge.addr()).narrow().start("GET", LARGE).await;
    let (_, _) = slow.head().await.unwrap();
    let mut got = Vec::new();
    let watching = viewers(20, &[&edge]).start(LARGE).await;
    let crawl = async {
        let mut each_second = tokio::time::interval(Duration::from_secs(1));
        loop {
            each_second.tick().await;
            got.extend(slow.at_most(1024).await);
        }
    };
    tokio::select! {
        () = crawl => {}
        () = all_end(watching, LARGE) => {}
    }

    assert!(!got.is_empty() && got.len() < 1 << 20);
    assert!(got == synthetic_bytes(LARGE, 0..got.len() as u64), "what it has is right");
    assert_eq!(origin.requests(LARGE), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_viewers_of_a_missing_object_make_one_request_per_failure_lifetime() {
    // Lifetimes that no slow machine outlasts; that they end is shown with paused time in the cache's own tests.
    let long = Period::secs(60);
    let origin = origin().run().await;
    let shield = shield().origin(&origin).with(|config| {
        config.cache.failure_lifetime = long;
        config.site[0].lifetimes.negative = long;
    });
    let shield = shield.run().await;
    let edge = edge().shield(&shield).with(|config| {
        config.cache.failure_lifetime = long;
        config.site[0].lifetimes.negative = long;
    });
    let edge = edge.run().await;
    for (path, status) in [("/live/none/missing.ts", 404), ("/bytes/2000", 502)] {
        if status == 502 {
            origin.fault(Fault::on(path).status(502)).unwrap();
        }
        for answer in viewers(500, &[&edge]).get(path).await {
            assert_eq!(answer.status, status);
        }
        assert_eq!(origin.requests(path), 1, "{path}");
    }
}

/// Waits until every one of them has the first bytes.
async fn all_begin(watching: Vec<Connection>, len: u64) -> Vec<Connection> {
    let mut beginning = JoinSet::new();
    for mut viewer in watching {
        beginning.spawn(async move {
            let begins = viewer.begins(usize::try_from(len).unwrap()).await;
            assert!(begins, "it ended before it began");
            viewer
        });
    }
    beginning.join_all().await
}

/// Reads all to their ends, which must be right.
async fn all_end(watching: Vec<Connection>, path: &'static str) {
    let len = path.trim_start_matches("/bytes/").parse().unwrap();
    let expected = synthetic_bytes(path, 0..len);
    let mut ending = JoinSet::new();
    for mut viewer in watching {
        let expected = expected.clone();
        ending.spawn(async move { viewer.rest().await.is(200, &expected) });
    }
    ending.join_all().await;
}
