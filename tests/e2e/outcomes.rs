//! An upstream request is counted twice: when it is sent, and by its outcome when it ends, however it ends.

use http::Method;
use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_proxy::site::config::Verb;
use tidegate_tests::{Origin, Running, Tier, origin, shield, until, viewer};

const BODY: &str = "/bytes/400000";
const LARGE: &str = "/bytes/20000000";
const PLAYLIST: &str = "/vod/film/ts/240p/index.m3u8";

#[tokio::test(flavor = "multi_thread")]
async fn every_request_upstream_has_exactly_one_outcome() {
    let (primary, backup, shield) = two_origins().await;
    let asking = || viewer(shield.addr());

    asking().get("/bytes/1000").await.is(200, &synthetic_bytes("/bytes/1000", 0..1000));
    assert_eq!(asking().get("/live/none.ts").await.status, 404);
    primary.fault(Fault::on(BODY).cut_at(100_000)).unwrap();
    asking().get(BODY).await.is(200, &synthetic_bytes(BODY, 0..400_000));
    primary.fault(Fault::on(PLAYLIST).garbage()).unwrap();
    assert_eq!(asking().get(PLAYLIST).await.status, 200);
    primary.fault(Fault::on("/bytes/3000").status(503)).unwrap();
    assert_eq!(asking().get("/bytes/3000").await.status, 200);
    for _stored_then_renewed in 0..2 {
        assert_eq!(asking().get("/bytes/2000?cc=max-age%3D0").await.status, 200);
        shield.fills_finished().await;
    }
    assert_eq!(asking().body(b"a body").ask("POST", "/echo").await.text(), "a body");
    for method in ["GET", "HEAD"] {
        assert_eq!(asking().ask(method, "/bytes/1000?private=1").await.status, 200);
    }

    let expected = [("success", 8), ("not_modified", 1), ("client_error", 1), ("server_error", 1)];
    over(&shield, &[&expected[..], &[("broken", 1), ("unusable", 1)]].concat()).await;
    assert_eq!(primary.total() + backup.total(), 13);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_continuation_is_one_request_with_one_outcome() {
    let (primary, backup, shield) = two_origins().await;
    primary.fault(Fault::on(BODY).cut_at(100_000)).unwrap();
    backup.fault(Fault::on(BODY).variant(7)).unwrap();

    assert!(!viewer(shield.addr()).get(BODY).await.whole);

    // The first origin's body breaks, resumes, and breaks again; both times the second origin has a different
    // object.
    over(&shield, &[("broken", 2), ("unusable", 2)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_readers_is_counted_as_abandoned() {
    let (primary, _backup, shield) = two_origins().await;
    primary.fault(Fault::on(LARGE).hold_at("rest", 1000)).unwrap();
    for target in [LARGE, &format!("{LARGE}?private=1")] {
        let mut leaving = viewer(shield.addr()).start("GET", target).await;
        assert!(leaving.begins(1000).await);
    }
    over(&shield, &[("abandoned", 2)]).await;

    // A viewer's cookie is not sent for a response that may be shared: the fill finds out without it that the
    // response is private.
    let with_cookie = viewer(shield.addr()).header("cookie", "name=anna");
    assert_eq!(with_cookie.get("/bytes/1000?private=1").await.status, 200);
    over(&shield, &[("abandoned", 3), ("success", 1)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passed_method_has_its_outcome_too_when_the_origin_fails() {
    let (primary, backup, shield) = two_origins().await;
    primary.fault(Fault::on("*").refuse()).unwrap();
    primary.listener_updated().await;
    backup.fault(Fault::on("/echo").down()).unwrap();

    assert_eq!(viewer(shield.addr()).body(b"a body").ask("POST", "/echo").await.status, 502);

    over(&shield, &[("connect", 1), ("broken", 1)]).await;
}

/// Waits until as many requests have ended as were sent, and checks their outcomes.
async fn over(tier: &Tier, outcomes: &[(&str, u64)]) {
    const COUNTER: &str = "tidegate_upstream_requests_total";
    let sent = async || tier.count("tidegate_origin_requests_total", "").await;
    until("all requests have ended", async || tier.count(COUNTER, "").await >= sent().await).await;
    for (outcome, count) in outcomes {
        assert_eq!(tier.count(COUNTER, &format!("outcome=\"{outcome}\"")).await, *count, "{outcome}");
    }
    let sum = outcomes.iter().map(|(_, count)| count).sum::<u64>();
    assert_eq!((tier.count(COUNTER, "").await, sent().await), (sum, sum), "and no others");
}

/// A shield in front of two origins that passes POST.
async fn two_origins() -> (Origin, Origin, Running) {
    let (primary, backup) = (origin().run().await, origin().run().await);
    let shield = shield().origin(&primary).origin(&backup);
    let shield = shield.with(|config| config.site[0].methods = vec![Verb(Method::POST)]).run().await;
    (primary, backup, shield)
}
