//! Web cache deception: a victim opens a link to a personal page under a name that looks static, and the
//! attacker requests the same link. The cache must not have the victim's page.
//!
//! A name never makes a response shareable: marks of the origin do, whatever the extension. And a request
//! that may be shared carries neither cookie nor authorization, so that an origin without marks answers as to
//! a stranger.

use std::collections::HashSet;

use tidegate_origin_stub::synthetic_bytes;
use tidegate_tests::{Response, edge, origin, shield, viewer};

/// A page, and what attackers append to its name.
const NAMES: [&str; 9] = [
    "account.php/x.css",
    "account.php/x.ts",
    "account.php/x.m4s",
    "account%2Fx.ts",
    "account;x.ts",
    "account%3Bx.mp4",
    "account.php%00x.ts",
    "account%23x.ts",
    "account%3Fx.ts",
];

fn path(name: &str) -> String {
    format!("/bytes/1000/{name}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_page_under_a_static_name_is_not_stored() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    for name in NAMES.iter().chain(&["account.php/x.m3u8", "account;x.m3u8"]) {
        for marks in ["private=1", "cookie=1", "cc=no-store", "cc=private,max-age%3D60"] {
            let target = format!("{}?{marks}&type=text/html", path(name));
            let before = origin.total();
            let victim = viewer(edge.addr()).header("cookie", "session=victim").get(&target).await;
            let attacker = viewer(edge.addr()).get(&target).await;
            if refused(&victim) {
                assert_eq!(origin.total(), before, "{target}");
                continue;
            }
            let third = viewer(edge.addr()).get(&target).await;
            assert!(origin.total() >= before + 3, "{target}");
            if marks.ends_with("=1") {
                let bodies: HashSet<_> = [victim, attacker, third].map(|response| response.body).into();
                assert_eq!(bodies.len(), 3, "{target}");
            }
        }
    }
    for tier in [&shield, &edge] {
        assert_eq!(tier.status().await["cache"]["body_bytes"], 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_shared_was_requested_without_a_viewers_session() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    for name in NAMES {
        let target = format!("{}?type=text/html&cc=max-age%3D60", path(name));
        let victim = viewer(edge.addr()).header("cookie", "session=victim").get(&target).await;
        if refused(&victim) {
            continue;
        }
        let attacker = viewer(edge.addr()).get(&target).await;
        assert_eq!((attacker.status, attacker.body), (victim.status, victim.body), "{target}");
        // A request with credentials gets a response of its own, which is not stored.
        let before = origin.total();
        let private = format!("{}?type=text/html&cc=max-age%3D60&2", path(name));
        for _ in 0..2 {
            viewer(edge.addr()).header("authorization", "Bearer victim").get(&private).await;
        }
        assert_eq!(origin.total(), before + 2, "{private}");
        viewer(edge.addr()).get(&private).await;
        assert_eq!(origin.total(), before + 3, "{private}");
    }
    let seen = origin.seen("/bytes/*");
    assert!(seen.len() >= 4 * 4, "{}", seen.len());
    assert!(seen.iter().all(|seen| seen.header("cookie").is_empty()), "{seen:?}");
    let with_credentials = seen.iter().filter(|seen| !seen.header("authorization").is_empty()).count();
    assert_eq!(with_credentials * 2, seen.len(), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_an_origin_may_read_as_one_are_two_objects() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).run().await;
    for (page, disguised) in [
        ("/bytes/1000/a", "/bytes/1000/a/x.ts"),
        ("/bytes/1000/b/x.ts", "/bytes/1000/b%2Fx.ts"),
        ("/bytes/1000/c", "/bytes/1000/c;x.ts"),
        ("/bytes/1000/d?x.ts", "/bytes/1000/d%3Fx.ts"),
    ] {
        let before = origin.total();
        for target in [page, disguised, page, disguised] {
            let response = viewer(edge.addr()).get(target).await;
            assert!(response.status == 200 || refused(&response), "{target} {}", response.status);
        }
        let requests = origin.total() - before;
        assert!(requests <= 2, "{page} {disguised} {requests}");
        let seen = origin.seen("/bytes/*");
        let paths: HashSet<_> =
            seen.iter().rev().take(usize::try_from(requests).unwrap()).map(|seen| &seen.path).collect();
        assert_eq!(paths.len() as u64, requests, "{paths:?}");
    }
    viewer(edge.addr()).get("/bytes/1000/a").await.is(200, &synthetic_bytes("/bytes/1000/a", 0..1000));
}

/// Whether the edge refused the request itself: some spellings are ambiguous.
fn refused(response: &Response) -> bool {
    response.status == 400
}
