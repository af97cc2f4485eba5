//! Between tiers, and towards origins, HTTP/2 does what HTTP/1.1 does.

use std::collections::HashSet;

use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_proxy::config::Version;
use tidegate_proxy::config::units::Period;
use tidegate_tests::{Origin, Running, edge, origin, shield, until, viewer, viewers};

const MIB: u64 = 1 << 20;
const COLD: &str = "/bytes/1048576";
const BREAK: u64 = 300 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn objects_come_over_one_connection_each_way() {
    let origin = origin().run().await;
    let (_shield, edge) = over_http2(&[&origin]).await;

    for number in 0..20 {
        let path = format!("/bytes/100000/{number}");
        viewer(edge.addr()).get(&path).await.is(200, &synthetic_bytes(&path, 0..100_000));
    }

    assert_eq!(origin.connections().accepted, 1);
    assert!(origin.seen("*").iter().all(|seen| seen.version == "HTTP/2.0"));
    // The viewer's host goes as far as the shield; the origin is asked for its own.
    assert_eq!(origin.counted().total, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_makes_one_request_and_streams_at_once() {
    let origin = origin().run().await;
    origin.fault(Fault::on(COLD).hold_at("rest", 64 * 1024)).unwrap();
    let (_shield, edge) = over_http2(&[&origin]).await;

    let mut watching = viewers(100, &[&edge]).start(COLD).await;
    for viewer in &mut watching {
        assert!(viewer.begins(64 * 1024).await);
    }
    origin.release("rest");

    for viewer in &mut watching {
        viewer.rest().await.is(200, &synthetic_bytes(COLD, 0..MIB));
    }
    assert_eq!(origin.requests(COLD), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_reset_or_stalls_goes_on_at_the_second_origin() {
    for fault in [Fault::on(COLD).cut_at(BREAK), Fault::on(COLD).hold_at("stall", BREAK)] {
        let (primary, backup) = (origin().run().await, origin().run().await);
        primary.fault(fault.clone()).unwrap();
        let (shield, edge) = over_http2(&[&primary, &backup]).await;

        for answer in viewers(20, &[&edge]).get(COLD).await {
            answer.is(200, &synthetic_bytes(COLD, 0..MIB));
        }

        assert_eq!(shield.count("tidegate_rescued_bodies_total", "").await, 1, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_object_at_the_second_origin_breaks_the_body_for_all_to_see() {
    let (primary, backup) = (origin().run().await, origin().run().await);
    primary.fault(Fault::on(COLD).cut_at(BREAK)).unwrap();
    backup.fault(Fault::on(COLD).variant(7)).unwrap();
    let (shield, edge) = over_http2(&[&primary, &backup]).await;

    let expected = synthetic_bytes(COLD, 0..MIB);
    for answer in viewers(20, &[&edge]).get(COLD).await {
        assert!(!answer.whole, "nobody may take a part for the whole");
        assert!(expected.starts_with(&answer.body));
    }
    for tier in [&shield, &edge] {
        assert_eq!(tier.count("tidegate_fills_total", "stored").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_private_answers_than_streams_of_one_connection_come_in_parallel() {
    let origin = origin().run().await;
    let (_shield, edge) = over_http2(&[&origin]).await;
    viewer(edge.addr()).get("/bytes/1000?private=1").await;

    origin.fault(Fault::on("/bytes/1000").hold("all")).unwrap();
    let watching = viewers(150, &[&edge]).start("/bytes/1000?private=1").await;
    origin.waiting("all", 150).await;
    origin.clear();

    let mut bodies = HashSet::new();
    for mut viewer in watching {
        let answer = viewer.rest().await;
        assert_eq!((answer.status, answer.whole), (200, true));
        assert!(bodies.insert(answer.body), "two viewers got the same body");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_who_does_not_take_its_own_answer_holds_up_nobody_on_the_same_connection() {
    let origin = origin().run().await;
    let (_shield, edge) = over_http2(&[&origin]).await;

    // More than all buffers and windows on the way can take.
    let mut stuck = viewer(edge.addr()).narrow().start("GET", "/bytes/33554432?private=1").await;
    assert!(stuck.begins(1).await);
    for number in 0..20 {
        let path = format!("/bytes/1048576/{number}");
        viewer(edge.addr()).get(&path).await.is(200, &synthetic_bytes(&path, 0..MIB));
    }

    assert_eq!(origin.connections().accepted, 1);
    assert!(stuck.rest().await.whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_that_nobody_wants_ends_its_stream_and_keeps_the_connection() {
    const LARGE: &str = "/bytes/33554432";
    let origin = origin().run().await;
    origin.fault(Fault::on(LARGE).hold_at("rest", 64 * 1024)).unwrap();
    let (_shield, edge) = over_http2(&[&origin]).await;

    let mut only = viewer(edge.addr()).start("GET", LARGE).await;
    assert!(only.begins(1000).await);
    drop(only);
    until("the fill is ended", async || edge.count("tidegate_fills_total", "abandoned").await == 1).await;

    viewer(edge.addr()).get("/bytes/10").await.is(200, &synthetic_bytes("/bytes/10", 0..10));
    assert_eq!(origin.connections().accepted, 1);
}

/// A shield in front of origins and an edge in front of it, which ask over HTTP/2.
async fn over_http2(origins: &[&Origin]) -> (Running, Running) {
    let mut shield = shield().with(|config| {
        config.upstream.http = Version::Http2;
        config.upstream.between_bytes_timeout = Period::secs(1);
        // An origin that breaks all bodies is not asked first for ever; here it is.
        config.upstream.health.consecutive_failures = 1000;
    });
    for origin in origins {
        shield = shield.origin(origin);
    }
    let shield = shield.run().await;
    let edge = edge().shield(&shield).with(|config| config.upstream.http = Version::Http2).run().await;
    (shield, edge)
}
