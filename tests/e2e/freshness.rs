//! How long responses are reused, which field decides it, and what happens afterwards.

use std::time::Duration;

use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_proxy::config::units::Period;
use tidegate_proxy::site::config::PlaylistLifetime;
use tidegate_tests::{Response, Tier, edge, origin, shield, until, viewer, viewers};

const SIZE: u64 = 5000;
const PATH: &str = "/bytes/5000";

/// The outcome of the second of two requests: a hit, a revalidation, or a full response from the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Second {
    Hit,
    Revalidated,
    Passed,
}
use Second::{Hit, Passed, Revalidated};

/// Sends a request to the first tier, and waits until all tiers have stored the response.
async fn get(tiers: &[&Tier], target: &str) -> Response {
    let response = viewer(tiers[0].addr()).get(target).await;
    for tier in tiers {
        tier.fills_finished().await;
    }
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_applicable_field_decides_the_lifetime_of_a_response() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    let expires =
        |value: &str| format!("cc=&header=Expires:{}", value.replace(' ', "%20").replace(',', "%2C"));
    let (past, future) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Fri, 01 Jan 2100 00:00:00 GMT");
    let (expires_past, expires_future, expires_zero) = (expires(past), expires(future), expires("0"));
    let future_beside = format!("{}&cc=max-age%3D0", expires_future.replace("cc=&", ""));
    for (number, (query, second)) in [
        ("cc=max-age%3D60", Hit),
        ("cc=public,max-age%3D60", Hit),
        ("cc=max-age%3D0", Revalidated),
        ("cc=no-cache", Revalidated),
        ("cc=no-cache,max-age%3D60", Revalidated),
        ("cc=s-maxage%3D60,max-age%3D0", Hit),
        ("cc=s-maxage%3D0,max-age%3D60", Revalidated),
        (&*expires_future, Hit),
        (&*expires_past, Revalidated),
        (&*expires_zero, Revalidated),
        (&*future_beside, Revalidated),
        // No heuristic by default, though there is an old Last-Modified.
        ("cc=", Revalidated),
        ("cc=no-cache&header=CDN-Cache-Control:max-age%3D60", Hit),
        ("cc=max-age%3D60&header=CDN-Cache-Control:no-cache", Revalidated),
        ("cc=max-age%3D60&header=CDN-Cache-Control:no-store", Passed),
        ("cc=no-store&header=CDN-Cache-Control:max-age%3D60", Hit),
        // RFC 9213 section 2.2: an unreadable field is ignored.
        ("cc=max-age%3D60&header=CDN-Cache-Control:%22", Hit),
        ("cc=no-cache&header=Surrogate-Control:max-age%3D60", Hit),
        ("cc=no-cache&header=Surrogate-Control:no-cache&header=CDN-Cache-Control:max-age%3D60", Hit),
        ("cc=no-store", Passed),
        ("cc=private", Passed),
        ("cc=private,max-age%3D60", Passed),
        ("cc=max-age%3D60&header=Age:61", Revalidated),
        ("cc=max-age%3D60&header=Age:10", Hit),
        ("cc=immutable", Revalidated),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/bytes/100/{number}");
        for _ in 0..2 {
            let response = get(&[&edge, &shield], &format!("{path}?{query}")).await;
            response.is(200, &synthetic_bytes(&path, 0..100));
        }
        let seen = origin.seen(&path);
        let became = match seen.get(1) {
            None => Hit,
            Some(again) if again.header("if-none-match").is_empty() => Passed,
            Some(_) => Revalidated,
        };
        assert_eq!(became, second, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_may_set_the_lifetime_of_responses_without_one() {
    let origin = origin().run().await;
    for (heuristic, default) in [(false, Some(Period::secs(60))), (true, None)] {
        origin.forget();
        let edge = edge().origin(&origin).with(|config| {
            config.site[0].lifetimes.default = default;
            config.site[0].lifetimes.heuristic = heuristic;
        });
        let edge = edge.run().await;
        for _ in 0..2 {
            get(&[&edge], "/bytes/5000?cc=").await.is(200, &synthetic_bytes(PATH, 0..SIZE));
        }
        assert_eq!(origin.requests(PATH), 1, "heuristic = {heuristic}");
        get(&[&edge], "/bytes/5000?cc=no-cache").await;
        get(&[&edge], "/bytes/5000?cc=no-cache").await;
        assert_eq!(origin.requests(PATH), 3, "an explicit lifetime is obeyed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hls_decides_playlist_lifetimes_unless_the_site_defers_to_the_origin() {
    let origin =
        origin().with(|config| "no-cache".clone_into(&mut config.live.segment_cache_control)).run().await;
    for (who, requests) in [(PlaylistLifetime::Auto, 1), (PlaylistLifetime::Origin, 2)] {
        let edge = edge().origin(&origin).with(|config| config.site[0].lifetimes.playlist = who).run().await;
        // A finished playlist and a segment: neither changes under its name.
        for path in ["/vod/film/ts/240p/index.m3u8", "/vod/film/ts/240p/0.ts"] {
            origin.forget();
            for _ in 0..2 {
                assert_eq!(get(&[&edge], path).await.status, 200);
            }
            assert_eq!(origin.requests(path), requests, "{who:?} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_object_is_served_while_the_origin_is_down() {
    let target = "/bytes/5000?cc=max-age%3D0,stale-if-error%3D600";
    for (fault, detail) in [
        (Fault::on(PATH).status(503), "; fwd=stale; fwd-status=503"),
        (Fault::on("*").refuse(), "; fwd=stale"),
    ] {
        let origin = origin().run().await;
        let patient = Period::secs(60);
        let shield =
            shield().origin(&origin).with(|config| config.cache.failure_lifetime = patient).run().await;
        let fresh = get(&[&shield], target).await;
        let refused = fault.down.is_some();
        origin.fault(fault).unwrap();
        origin.listener_updated().await;

        let first = get(&[&shield], target).await;
        let before = origin.total();
        let again = get(&[&shield], target).await;

        for response in [&fresh, &first, &again] {
            response.is(200, &synthetic_bytes(PATH, 0..SIZE));
        }
        let status = first.header("cache-status");
        assert!(status.starts_with(&format!("shield-1{detail}; ")), "{status}");
        assert!(!status.contains("stored"), "{status}");
        assert_eq!(status.contains("; detail=connection_refused"), refused, "{status}");
        assert_eq!(first.header("x-cache"), "STALE");
        // The failure is remembered: no upstream receives a request, so this is a hit on a stale object.
        let status = again.header("cache-status");
        assert!(status.starts_with("shield-1; hit; ttl="), "{status}");
        assert_eq!((again.header("x-cache"), origin.total()), ("STALE", before));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_object_of_the_shield_reaches_the_viewers_of_the_edge() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    let target = "/bytes/5000?cc=max-age%3D0,stale-if-error%3D600";
    get(&[&edge, &shield], target).await;
    origin.fault(Fault::on(PATH).status(503)).unwrap();

    for response in viewers(20, &[&edge]).get(target).await {
        response.is(200, &synthetic_bytes(PATH, 0..SIZE));
        assert!(response.header("x-cache").starts_with("STALE, "), "{}", response.header("x-cache"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_must_be_revalidated_is_never_served_stale() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).run().await;
    for cc in ["max-age%3D0,must-revalidate,stale-if-error%3D600", "no-cache", "s-maxage%3D0"] {
        let target = format!("/bytes/5000?cc={cc}");
        get(&[&edge], &target).await.is(200, &synthetic_bytes(PATH, 0..SIZE));
        let down = origin.fault(Fault::on(PATH).status(503).retry_after(7)).unwrap();
        let response = get(&[&edge], &target).await;
        assert_eq!((response.status, response.header("retry-after")), (503, "7"), "{cc}");
        let proxy_status = response.header("proxy-status");
        assert!(
            proxy_status.starts_with("edge-1; next-hop=") && proxy_status.contains("; received-status=503"),
            "{proxy_status}"
        );
        assert!(!proxy_status.contains("error="), "{proxy_status}");
        assert!(origin.remove(down));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn within_its_grace_an_object_is_served_immediately_and_revalidated_once_in_the_background() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).run().await;
    let target = "/bytes/5000?cc=max-age%3D0,stale-while-revalidate%3D600";
    get(&[&edge], target).await;
    origin.fault(Fault::on(PATH).hold("refresh")).unwrap();

    let responses = viewers(50, &[&edge]).get(target).await;

    for response in responses {
        response.is(200, &synthetic_bytes(PATH, 0..SIZE));
        assert_eq!(response.header("x-cache"), "STALE");
        assert!(response.header("cache-status").starts_with("edge-1; hit; ttl="));
    }
    origin.waiting("refresh", 1).await;
    assert_eq!(origin.requests(PATH), 2);
    origin.release("refresh");
    origin.answered(PATH, 2).await;
    assert_eq!(origin.seen(PATH)[1].status, Some(304));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_age_is_correct_across_two_tiers() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    let target = "/bytes/5000?cc=max-age%3D600&header=Age:100";
    let age = async |tier: &tidegate_tests::Running| -> u64 {
        viewer(tier.addr()).get(target).await.header("age").parse().expect("an age")
    };
    assert!(age(&shield).await >= 100, "the Age of the response counts");
    until("it ages at the shield", async || age(&shield).await > 101).await;

    let at_shield = age(&shield).await;
    let response = viewer(edge.addr()).get(target).await;

    let at_edge: u64 = response.header("age").parse().unwrap();
    assert!(at_edge >= at_shield, "{at_edge} at the edge, {at_shield} at the shield before it");
    assert!(at_edge < at_shield + 60, "{at_edge} at the edge, {at_shield} at the shield before it");
    let left: u64 = response.header("cache-status").rsplit_once("ttl=").unwrap().1.parse().unwrap();
    assert_eq!(left, 600 - at_edge);
    assert_eq!(origin.requests(PATH), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn expires_is_measured_by_the_origins_clock_on_every_tier() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    for skew_hours in [-5_i64, 0, 5] {
        // A minute after the origin's current time.
        let skew = Duration::from_hours(skew_hours.unsigned_abs());
        let wall = std::time::UNIX_EPOCH + origin.now();
        let there = if skew_hours < 0 { wall - skew } else { wall + skew };
        let expires = httpdate::fmt_http_date(there + Duration::from_mins(1));
        let path = format!("/bytes/100/{skew_hours}");
        let fault = Fault::on(&path).clock_skew_ms(skew_hours * 3_600_000).header("expires", &expires);
        origin.fault(fault.without_header("cache-control")).unwrap();

        let responses = [get(&[&edge, &shield], &path).await, get(&[&edge, &shield], &path).await];

        for response in &responses {
            for member in response.header("cache-status").split(", ") {
                let ttl: i64 = member.rsplit_once("ttl=").unwrap().1.parse().unwrap();
                assert!((30..=60).contains(&ttl), "{skew_hours} h: {member}");
            }
        }
        assert_eq!(origin.requests(&path), 1, "{skew_hours} h");
    }
}
