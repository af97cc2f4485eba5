//! A broken body resumes at another upstream, or breaks visibly. Before the first byte, the next upstream is
//! tried.

use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_proxy::config::units::{Period, Size};
use tidegate_tests::{Origin, Running, Signal, Tier, edge, origin, shield, until, viewer, viewers};

const MIB: u64 = 1 << 20;
const COLD: &str = "/bytes/1048576";
/// Where bodies break: 300 KiB.
const BREAK: u64 = 300 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_body_resumes_at_the_second_origin() {
    let (primary, backup) = (origin().run().await, origin().run().await);
    primary.fault(Fault::on(COLD).cut_at(BREAK)).unwrap();
    let (shield, edge) = before(&primary, &backup).await;

    for response in viewers(50, &[&edge]).get(COLD).await {
        response.is(200, &synthetic_bytes(COLD, 0..MIB));
    }

    assert_eq!(shield.count("tidegate_rescued_bodies_total", "").await, 1);
    assert_eq!((primary.requests(COLD), backup.requests(COLD)), (1, 1));
    let rescue = &backup.seen(COLD)[0];
    assert!(rescue.header("range").starts_with("bytes="), "{:?}", rescue.headers);
    assert!(!rescue.header("if-range").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_body_resumes_at_the_second_origin() {
    for early in [Fault::on(COLD).close_at(BREAK), Fault::on(COLD).truncated_chunked(BREAK)] {
        let (primary, backup) = (origin().run().await, origin().run().await);
        primary.fault(early.clone()).unwrap();
        let (shield, edge) = before(&primary, &backup).await;

        for response in viewers(20, &[&edge]).get(COLD).await {
            response.is(200, &synthetic_bytes(COLD, 0..MIB));
        }

        assert_eq!(shield.count("tidegate_rescued_bodies_total", "").await, 1, "{early:?}");
        assert_eq!(edge.count("tidegate_rescued_bodies_total", "").await, 0, "the edge did not notice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_body_resumes_at_the_second_origin() {
    let (primary, backup) = (origin().run().await, origin().run().await);
    primary.fault(Fault::on(COLD).hold_at("stall", BREAK)).unwrap();
    let shield = shield()
        .origin(&primary)
        .origin(&backup)
        .with(|config| config.upstream.between_bytes_timeout = Period::millis(500));
    let shield = shield.run().await;
    let edge = edge().shield(&shield).run().await;

    for response in viewers(20, &[&edge]).get(COLD).await {
        response.is(200, &synthetic_bytes(COLD, 0..MIB));
    }

    assert_eq!(shield.count("tidegate_rescued_bodies_total", "").await, 1);
    assert_eq!((primary.requests(COLD), backup.requests(COLD)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_different_object_at_the_second_origin_breaks_the_body_visibly() {
    let (primary, backup) = (origin().run().await, origin().run().await);
    primary.fault(Fault::on(COLD).cut_at(BREAK)).unwrap();
    backup.fault(Fault::on(COLD).variant(7)).unwrap();
    let (shield, edge) = before(&primary, &backup).await;

    all_break(&edge).await;
    nothing_is_stored(&[&shield, &edge]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_shorter_than_its_content_length_breaks_visibly() {
    for rest in [Some(Fault::on(COLD).variant(7)), None] {
        let (primary, backup) = (origin().run().await, origin().run().await);
        primary.fault(Fault::on(COLD).wrong_length(2 * MIB)).unwrap();
        // A different object, or the same one, which is complete and so shorter than its Content-Length.
        if let Some(fault) = rest {
            backup.fault(fault).unwrap();
        }
        let (shield, edge) = before(&primary, &backup).await;

        all_break(&edge).await;
        nothing_is_stored(&[&shield, &edge]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_chunked_body_breaks_visibly() {
    let (primary, backup) = (origin().run().await, origin().run().await);
    primary.fault(Fault::on(COLD).truncated_chunked(10_000)).unwrap();
    backup.fault(Fault::on(COLD).variant(7)).unwrap();
    let (shield, edge) = before(&primary, &backup).await;

    all_break(&edge).await;
    nothing_is_stored(&[&shield, &edge]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_a_strong_validator_is_not_resumed() {
    let weak = format!("{COLD}?etag=&lm=0");
    let (primary, backup) = (origin().run().await, origin().run().await);
    primary.fault(Fault::on(COLD).cut_at(BREAK)).unwrap();
    let (_shield, edge) = before(&primary, &backup).await;

    let response = viewer(edge.addr()).get(&weak).await;

    assert!(!response.whole);
    assert_eq!(backup.requests(COLD), 0, "its bytes could belong to a different object");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_makes_no_more_attempts_than_allowed_including_continuations() {
    for (attempts_max, requests) in [(2, [1, 1, 0]), (3, [1, 1, 1])] {
        let origins = [origin().run().await, origin().run().await, origin().run().await];
        origins[0].fault(Fault::on(COLD).status(503)).unwrap();
        origins[1].fault(Fault::on(COLD).cut_at(BREAK)).unwrap();
        let shield = shield().origin(&origins[0]).origin(&origins[1]).origin(&origins[2]);
        let shield = shield.with(|config| config.upstream.attempts_max = attempts_max).run().await;

        let response = viewer(shield.addr()).get(COLD).await;

        assert_eq!(response.whole, attempts_max == 3, "the third one has the rest");
        assert_eq!([0, 1, 2].map(|number: usize| origins[number].requests(COLD)), requests);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_beyond_the_content_length_are_never_part_of_a_response() {
    let origin = origin().run().await;
    origin.fault(Fault::on(COLD).wrong_length(1000)).unwrap();
    let edge = edge().origin(&origin).run().await;

    viewer(edge.addr()).get(COLD).await.is(200, &synthetic_bytes(COLD, 0..1000));

    for path in ["/bytes/3000", "/bytes/3000/a", "/bytes/3000/b"] {
        viewer(edge.addr()).get(path).await.is(200, &synthetic_bytes(path, 0..3000));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_playlist_causes_no_error_for_viewers() {
    const PLAYLIST: &str = "/live/ch1/ts/360p/index.m3u8";
    for fault in [
        Fault::on(PLAYLIST).cut_at(100),
        Fault::on(PLAYLIST).truncated_chunked(100),
        Fault::on(PLAYLIST).wrong_length(100_000),
        Fault::on(PLAYLIST).garbage(),
    ] {
        let (primary, backup) = (origin().run().await, origin().run().await);
        primary.fault(fault.clone()).unwrap();
        let (shield, edge) = before(&primary, &backup).await;

        for response in viewers(10, &[&edge]).get(PLAYLIST).await {
            assert_eq!((response.status, response.whole), (200, true), "{fault:?}");
            assert!(response.text().starts_with("#EXTM3U\n"), "{fault:?}");
        }

        assert_eq!(shield.count("tidegate_failovers_total", "").await, 1, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_edge_resumes_at_the_next_shield_when_one_is_killed_in_mid_body() {
    let origin = origin().run().await;
    origin.fault(Fault::on(COLD).hold_at("rest", BREAK).times(1)).unwrap();
    let (one, two) = (shield().origin(&origin).spawn().await, shield().origin(&origin).spawn().await);
    let edge = edge().shield(&one).shield(&two).run().await;

    let mut watching = viewers(20, &[&edge]).start(COLD).await;
    origin.waiting("rest", 1).await;
    for viewer in &mut watching {
        assert!(viewer.begins(100_000).await);
    }
    let (owner, next) = if one.joined().await > 0 { (one, two) } else { (two, one) };
    owner.signal(Signal::Kill).await;

    for viewer in &mut watching {
        viewer.rest().await.is(200, &synthetic_bytes(COLD, 0..MIB));
    }
    assert_eq!(edge.count("tidegate_rescued_bodies_total", "").await, 1);
    assert_eq!(next.count("tidegate_fills_total", "stored").await, 1);
    assert_eq!(origin.requests(COLD), 2, "one from each shield");
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_byte_the_next_origin_is_tried_and_the_reason_counted() {
    for (fault, reason) in [
        (Fault::on("*").refuse(), "connect"),
        (Fault::on(COLD).hold("head"), "timeout"),
        (Fault::on(COLD).status(503), "status"),
        (Fault::on(COLD).down(), "broken"),
    ] {
        let (primary, backup) = (origin().run().await, origin().run().await);
        primary.fault(fault).unwrap();
        primary.listener_updated().await;
        let shield = shield()
            .origin(&primary)
            .origin(&backup)
            .with(|config| config.upstream.first_byte_timeout = Period::millis(500));
        let shield = shield.run().await;
        let edge = edge().shield(&shield).run().await;

        for response in viewers(10, &[&edge]).get(COLD).await {
            response.is(200, &synthetic_bytes(COLD, 0..MIB));
        }

        let label = format!("reason=\"{reason}\"");
        assert_eq!(shield.count("tidegate_failovers_total", &label).await, 1, "{reason}");
        assert_eq!(shield.count("tidegate_failovers_total", "").await, 1, "and no other reason");
        assert_eq!(backup.requests(COLD), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_refuses_connections_is_tried_last_for_a_while() {
    let (primary, backup) = (origin().run().await, origin().run().await);
    primary.fault(Fault::on("*").refuse()).unwrap();
    primary.listener_updated().await;
    let shield = shield()
        .origin(&primary)
        .origin(&backup)
        .with(|config| config.upstream.health.ejection_time = Period::secs(3600));
    let shield = shield.run().await;

    for path in ["/bytes/1", "/bytes/2", "/bytes/3"] {
        assert_eq!(viewer(shield.addr()).get(path).await.status, 200);
    }

    assert_eq!(
        shield.count("tidegate_failovers_total", "").await,
        1,
        "later ones go to the backup immediately"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_all_origins_down_proxy_status_names_the_origin_and_the_error() {
    for (fault, status, error) in [
        (Fault::on("*").refuse(), 502, "error=connection_refused"),
        (Fault::on("*").hold("head"), 504, "error=http_response_timeout"),
    ] {
        let (primary, backup) = (origin().run().await, origin().run().await);
        for origin in [&primary, &backup] {
            origin.fault(fault.clone()).unwrap();
            origin.listener_updated().await;
        }
        let shield = shield()
            .origin(&primary)
            .origin(&backup)
            .with(|config| config.upstream.first_byte_timeout = Period::millis(300));
        let shield = shield.run().await;
        let edge = edge().shield(&shield).run().await;

        let near = viewer(shield.addr()).get("/bytes/1000").await;
        assert_eq!(near.status, status);
        let proxy_status = near.header("proxy-status");
        assert!(proxy_status.starts_with("shield-1; ") && proxy_status.contains(error), "{proxy_status}");
        assert!(
            proxy_status.contains(&backup.addr().to_string()),
            "it names the last one tried: {proxy_status}"
        );

        let far = viewer(edge.addr()).get("/bytes/1000").await;
        assert_eq!(far.status, status);
        assert!(far.header("proxy-status").contains("edge-1; "), "{}", far.header("proxy-status"));
        assert!(far.whole);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_all_origins_down_stale_objects_are_served() {
    // Stale immediately, but kept for stale-if-error by the site's configuration.
    const STALE: &str = "/bytes/1000?cc=max-age%3D0";
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    let expected = synthetic_bytes("/bytes/1000", 0..1000);
    viewer(edge.addr()).get(STALE).await.is(200, &expected);

    for fault in [Fault::on("*").status(503), Fault::on("*").refuse()] {
        origin.fault(fault.clone()).unwrap();
        origin.listener_updated().await;
        let response = viewer(edge.addr()).get(STALE).await;
        response.is(200, &expected);
        // The shield still has a response to give; it says that it is stale.
        assert!(response.header("x-cache").contains("STALE"), "{fault:?}: {}", response.header("x-cache"));
    }
    until("both are counted", async || shield.count("tidegate_requests_total", "stale-if-error").await == 2)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_all_shields_gone_the_edge_serves_stale_objects() {
    const STALE: &str = "/bytes/1000?cc=max-age%3D0";
    let origin = origin().run().await;
    let mut shield = shield().origin(&origin).spawn().await;
    let edge = edge().shield(&shield).run().await;
    let expected = synthetic_bytes("/bytes/1000", 0..1000);
    viewer(edge.addr()).get(STALE).await.is(200, &expected);

    shield.signal(Signal::Kill).await;
    shield.ended().await;

    viewer(edge.addr()).get(STALE).await.is(200, &expected);
    until("it is counted", async || edge.count("tidegate_requests_total", "stale-if-error").await == 1).await;
    assert_eq!(
        viewer(edge.addr()).get("/bytes/1001").await.status,
        502,
        "an object that is not cached fails"
    );
}

/// A shield in front of two origins, and an edge in front of it.
async fn before(primary: &Origin, backup: &Origin) -> (Running, Running) {
    // By default an origin that breaks all bodies loses its first place; here it keeps it.
    let patient = |config: &mut tidegate_shield::Config| config.upstream.health.consecutive_failures = 1000;
    let shield = shield().origin(primary).origin(backup).with(patient).run().await;
    let edge = edge().shield(&shield).run().await;
    (shield, edge)
}

/// Every viewer sees a broken transfer of correct bytes; none sees a short success.
async fn all_break(edge: &Tier) {
    let expected = synthetic_bytes(COLD, 0..MIB);
    for response in viewers(50, &[edge]).get(COLD).await {
        assert!(!response.whole, "a truncated body must not look complete");
        assert!(expected.starts_with(&response.body), "the bytes sent are of the first object");
    }
}

async fn nothing_is_stored(tiers: &[&Tier]) {
    for tier in tiers {
        until("no fill is under way", async || tier.status().await["fills"]["count"] == 0).await;
        assert_eq!(tier.count("tidegate_fills_total", "stored").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_resumes_elsewhere_unless_no_other_origin_has_it() {
    const PATH: &str = "/bytes/300000";
    let slow = || Fault::on(PATH).bytes_per_second(20_000);
    let (primary, backup) = (origin().run().await, origin().run().await);
    primary.fault(slow()).unwrap();
    let hurried = |config: &mut tidegate_shield::Config| {
        (config.upstream.rate_min, config.upstream.rate_window) = (Size::kib(64), Period::millis(300));
    };
    let shield = shield().origin(&primary).origin(&backup).with(hurried).run().await;

    viewer(shield.addr()).get(PATH).await.is(200, &synthetic_bytes(PATH, 0..300_000));

    assert_eq!(backup.seen(PATH).len(), 1);
    assert!(backup.seen(PATH)[0].header("range").starts_with("bytes="), "from the position of the slow body");
    assert_eq!(shield.count("tidegate_rescued_bodies_total", "").await, 1);

    // A different object under the same name is no help: the slow body is read to its end.
    let (primary, other) = (origin().run().await, origin().run().await);
    primary.fault(Fault::on(PATH).bytes_per_second(150_000)).unwrap();
    other.fault(Fault::on(PATH).variant(1)).unwrap();
    let shield = tidegate_tests::shield().origin(&primary).origin(&other).with(|config| {
        (config.upstream.rate_min, config.upstream.rate_window) = (Size::mib(1), Period::millis(300));
    });
    let shield = shield.run().await;
    viewer(shield.addr()).get(PATH).await.is(200, &synthetic_bytes(PATH, 0..300_000));
}
