//! A private response reaches one viewer only, and no request waits for another viewer's private response.

use std::collections::HashSet;

use tidegate_origin_stub::{Fault, synthetic_bytes, synthetic_variant};
use tidegate_proxy::config::Version;
use tidegate_tests::{Connection, Response, Tier, edge, origin, shield, until, viewer, viewers};

const PATH: &str = "/bytes/1000";
const PRIVATE: &str = "/bytes/1000?private=1";
const COOKIE: &str = "/bytes/1000?cookie=1";

#[tokio::test(flavor = "multi_thread")]
async fn fifty_viewers_of_a_private_response_reach_the_origin_simultaneously() {
    for (target, http) in [
        (PRIVATE, Version::Http1),
        (COOKIE, Version::Http1),
        (PRIVATE, Version::Http2),
        (COOKIE, Version::Http2),
    ] {
        let origin = origin().run().await;
        let shield = shield().origin(&origin).with(|config| config.upstream.http = http).run().await;
        let edge = edge().shield(&shield).with(|config| config.upstream.http = http).run().await;

        // The first burst: the tiers do not know yet that the response is private, so one request goes out.
        // When its head says so, all others follow immediately.
        origin.fault(Fault::on(PATH).hold("first").times(1)).unwrap();
        origin.fault(Fault::on(PATH).hold("rest").skip(1)).unwrap();
        let burst = viewers(50, &[&edge]).start(target).await;
        until("all fifty wait for the first head", async || edge.joined().await == 50).await;
        origin.waiting("first", 1).await;
        assert_eq!(origin.requests(PATH), 1);
        origin.release("first");
        origin.waiting("rest", 49).await;
        origin.clear();
        all_differ(burst, target).await;
        assert_eq!(origin.requests(PATH), 50);

        // From now on the tiers know it.
        origin.fault(Fault::on(PATH).hold("all")).unwrap();
        let burst = viewers(50, &[&edge]).start(target).await;
        origin.waiting("all", 50).await;
        origin.clear();
        all_differ(burst, target).await;
        assert_eq!(origin.requests(PATH), 100);

        nothing_is_cached(&[&shield, &edge]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_that_must_not_be_stored_are_not() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    for (round, target) in [
        "/bytes/100/a?cc=no-store",
        "/bytes/100/b?cc=max-age%3D60,no-store",
        "/bytes/100/c?cc=private,max-age%3D60",
        "/bytes/100/d?header=CDN-Cache-Control:no-store",
        "/bytes/100/e?header=Vary:*",
    ]
    .into_iter()
    .zip(1..)
    .map(|(target, number)| (number, target))
    {
        let path = target.split('?').next().unwrap();
        for _ in 0..3 {
            viewer(edge.addr()).get(target).await.is(200, &synthetic_bytes(path, 0..100));
        }
        assert_eq!(origin.requests(path), 3, "{target}");
        assert_eq!(origin.total(), round * 3);
    }
    nothing_is_cached(&[&shield, &edge]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewers_cookie_goes_to_the_origin_only_for_its_own_response() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;

    // A shared response is fetched without any cookie, and every viewer gets it.
    for name in ["anna", "bert"] {
        let with_cookie = viewer(edge.addr()).header("cookie", &format!("name={name}"));
        with_cookie.get("/bytes/2000").await.is(200, &synthetic_bytes("/bytes/2000", 0..2000));
    }
    let seen = origin.seen("/bytes/2000");
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].header("cookie"), "");

    // A private response is fetched once without a cookie, to find out, and then for each viewer with the
    // viewer's own.
    let mut bodies = HashSet::new();
    for name in ["anna", "bert", "carl"] {
        let with_cookie = viewer(edge.addr()).header("cookie", &format!("name={name}"));
        let response = with_cookie.get(PRIVATE).await;
        assert_eq!(response.status, 200);
        assert!(bodies.insert(response.body), "{name} got another viewer's response");
    }
    let cookies: Vec<_> =
        origin.seen(PATH).into_iter().map(|seen| seen.header("cookie").to_owned()).collect();
    let own: Vec<_> = cookies.iter().filter(|cookie| !cookie.is_empty()).collect();
    assert_eq!(own, ["name=anna", "name=bert", "name=carl"], "{cookies:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_to_authorized_requests_are_not_shared() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;

    for response in viewers(10, &[&edge]).header("authorization", "Bearer a").get(PATH).await {
        response.is(200, &synthetic_bytes(PATH, 0..1000));
    }
    assert_eq!(origin.requests(PATH), 10);
    assert!(origin.seen(PATH).iter().all(|seen| seen.header("authorization") == "Bearer a"));
    nothing_is_cached(&[&shield, &edge]).await;

    // Without authorization it is an ordinary object, and requests with authorization do not get it.
    for _ in 0..2 {
        viewer(edge.addr()).get(PATH).await.is(200, &synthetic_bytes(PATH, 0..1000));
    }
    assert_eq!(origin.requests(PATH), 11);
    assert_eq!(origin.seen(PATH)[10].header("authorization"), "");
    viewer(edge.addr()).header("authorization", "Bearer b").get(PATH).await;
    assert_eq!(origin.requests(PATH), 12);
    assert_eq!(origin.seen(PATH)[11].header("authorization"), "Bearer b");
}

/// Every viewer has its own body, and its own cookie where one is set.
async fn all_differ(burst: Vec<Connection>, target: &str) {
    let mut bodies = HashSet::new();
    for mut viewer in burst {
        let response = viewer.rest().await;
        assert_eq!((response.status, response.whole, response.body.len()), (200, true, 1000));
        if target == COOKIE {
            response.is(200, &synthetic_variant(PATH, visit(&response), 0..1000));
        }
        assert!(bodies.insert(response.body), "two viewers got the same body");
    }
    assert_eq!(bodies.len(), 50);
}

/// The number in the cookie that was set; the body contains it, too.
fn visit(response: &Response) -> u64 {
    let cookie = response.header("set-cookie");
    cookie.trim_start_matches("visit=").split(';').next().unwrap().parse().expect(cookie)
}

async fn nothing_is_cached(tiers: &[&Tier]) {
    for tier in tiers {
        assert_eq!(tier.count("tidegate_fills_total", "stored").await, 0);
        assert_eq!(tier.status().await["cache"]["body_bytes"], 0);
    }
}
