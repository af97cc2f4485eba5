//! What is for one viewer is given to one viewer, and nobody waits for another's.

use std::collections::HashSet;

use tidegate_origin_stub::{Fault, synthetic_bytes, synthetic_variant};
use tidegate_proxy::config::Version;
use tidegate_tests::{Answer, Connection, Tier, edge, origin, shield, until, viewer, viewers};

const PATH: &str = "/bytes/1000";
const PRIVATE: &str = "/bytes/1000?private=1";
const COOKIE: &str = "/bytes/1000?cookie=1";

#[tokio::test(flavor = "multi_thread")]
async fn fifty_viewers_of_a_private_answer_are_at_the_origin_at_the_same_time() {
    for (target, http) in [
        (PRIVATE, Version::Http1),
        (COOKIE, Version::Http1),
        (PRIVATE, Version::Http2),
        (COOKIE, Version::Http2),
    ] {
        let origin = origin().run().await;
        let shield = shield().origin(&origin).with(|config| config.upstream.http = http).run().await;
        let edge = edge().shield(&shield).with(|config| config.upstream.http = http).run().await;

        // The first burst: nobody knows yet, so one asks. When its head says so, all others go at once.
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

        // From now on it is known.
        origin.fault(Fault::on(PATH).hold("all")).unwrap();
        let burst = viewers(50, &[&edge]).start(target).await;
        origin.waiting("all", 50).await;
        origin.clear();
        all_differ(burst, target).await;
        assert_eq!(origin.requests(PATH), 100);

        nothing_is_held(&[&shield, &edge]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_not_to_be_stored_are_not() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    for (asked, target) in [
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
        assert_eq!(origin.total(), asked * 3);
    }
    nothing_is_held(&[&shield, &edge]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewers_cookie_goes_to_the_origin_for_its_own_answer_only() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;

    // A shared answer is fetched without anybody's cookie, and given to all.
    for name in ["anna", "bert"] {
        let with_cookie = viewer(edge.addr()).header("cookie", &format!("name={name}"));
        with_cookie.get("/bytes/2000").await.is(200, &synthetic_bytes("/bytes/2000", 0..2000));
    }
    let seen = origin.seen("/bytes/2000");
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].header("cookie"), "");

    // A private one is fetched once without a cookie, to find out, and then for each viewer with its own.
    let mut bodies = HashSet::new();
    for name in ["anna", "bert", "carl"] {
        let with_cookie = viewer(edge.addr()).header("cookie", &format!("name={name}"));
        let answer = with_cookie.get(PRIVATE).await;
        assert_eq!(answer.status, 200);
        assert!(bodies.insert(answer.body), "{name} got another one's answer");
    }
    let cookies: Vec<_> =
        origin.seen(PATH).into_iter().map(|seen| seen.header("cookie").to_owned()).collect();
    let own: Vec<_> = cookies.iter().filter(|cookie| !cookie.is_empty()).collect();
    assert_eq!(own, ["name=anna", "name=bert", "name=carl"], "{cookies:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_behind_a_login_is_not_shared() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;

    for answer in viewers(10, &[&edge]).header("authorization", "Bearer a").get(PATH).await {
        answer.is(200, &synthetic_bytes(PATH, 0..1000));
    }
    assert_eq!(origin.requests(PATH), 10);
    assert!(origin.seen(PATH).iter().all(|seen| seen.header("authorization") == "Bearer a"));
    nothing_is_held(&[&shield, &edge]).await;

    // Without a login it is an object like any other, and none of those with one get it.
    for _ in 0..2 {
        viewer(edge.addr()).get(PATH).await.is(200, &synthetic_bytes(PATH, 0..1000));
    }
    assert_eq!(origin.requests(PATH), 11);
    assert_eq!(origin.seen(PATH)[10].header("authorization"), "");
    viewer(edge.addr()).header("authorization", "Bearer b").get(PATH).await;
    assert_eq!(origin.requests(PATH), 12);
    assert_eq!(origin.seen(PATH)[11].header("authorization"), "Bearer b");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_may_share_answers_that_set_a_cookie_and_then_nobody_gets_the_cookie() {
    let origin = origin().run().await;
    let shield =
        shield().origin(&origin).with(|config| config.site[0].lifetimes.ignore_set_cookie = true).run().await;
    let edge =
        edge().shield(&shield).with(|config| config.site[0].lifetimes.ignore_set_cookie = true).run().await;

    for answer in viewers(20, &[&edge]).get(COOKIE).await {
        assert_eq!((answer.status, answer.whole), (200, true));
        assert!(!answer.headers.contains_key("set-cookie"));
    }

    assert_eq!(origin.requests(PATH), 1);
}

/// Every viewer has a body of its own, and its own cookie where one is set.
async fn all_differ(burst: Vec<Connection>, target: &str) {
    let mut bodies = HashSet::new();
    for mut viewer in burst {
        let answer = viewer.rest().await;
        assert_eq!((answer.status, answer.whole, answer.body.len()), (200, true, 1000));
        if target == COOKIE {
            answer.is(200, &synthetic_variant(PATH, visit(&answer), 0..1000));
        }
        assert!(bodies.insert(answer.body), "two viewers got the same body");
    }
    assert_eq!(bodies.len(), 50);
}

/// The number in the cookie that was set; the body is made of it, too.
fn visit(answer: &Answer) -> u64 {
    let cookie = answer.header("set-cookie");
    cookie.trim_start_matches("visit=").split(';').next().unwrap().parse().expect(cookie)
}

async fn nothing_is_held(tiers: &[&Tier]) {
    for tier in tiers {
        assert_eq!(tier.count("tidegate_fills_total", "stored").await, 0);
        assert_eq!(tier.status().await["cache"]["body_bytes"], 0);
    }
}
