//! Targets reach the origin as viewers write them, and equivalent ones share an object.

use tidegate_proxy::config::Version;
use tidegate_tests::{Connection, Running, edge, shield, viewer};

use super::raw::RawOrigin;

/// An origin whose responses are the targets that it received, behind two tiers.
async fn echo(http: Version) -> (RawOrigin, Running, Running) {
    let origin = RawOrigin::run(|target| {
        format!(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: {}\r\n\r\n{target}",
            target.len()
        )
        .into_bytes()
    })
    .await;
    let shield = shield().origin_at(&origin.url()).run().await;
    let edge = edge().shield(&shield).with(|config| config.upstream.http = http).run().await;
    (origin, shield, edge)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_reaches_the_origin_as_it_was_written() {
    let (_origin, _shield, edge) = echo(Version::Http1).await;
    let long = format!("/a.ts?t={}", "a".repeat(16_000));
    let deep = format!("/{}.ts", "a".repeat(8000));
    let many = format!("/a.ts?{}", (0..200).map(|n| format!("p{n}=1&")).collect::<Vec<_>>().concat());
    for target in [
        "/p/https%3A%2F%2Fcdn.example%2Fv%2Fseg-1.ts",
        "/a%2fb.ts",
        "/a%5Cb.ts",
        "/a\\b.ts",
        "/caf%E9/s.ts",
        "/%C6%B5%B5%C0/s.ts",
        "/%7euser/%41.ts",
        "/raw|[]{}\"<>^`'*.ts",
        "//double//slash.ts",
        "/a..b/...ts",
        "/a%252Fb.ts",
        "/a.ts?",
        "/a.ts??b=1",
        "/a.ts?b=2&a=1",
        "/a.ts?&c=1&",
        "/a.ts?acl=%2flive%2f*&hmac=%7e",
        "/a.ts?Policy=x__&Signature=K~x-y_&Key-Pair-Id=A",
        "/a.ts?k=|[]{}\"<>^`\\'",
        "/a.ts?d=b=c==",
        "/a.ts?e=%00%0d%0a%ff",
        &many,
        &long,
        &deep,
    ] {
        for _cold_then_warm in 0..2 {
            let request = format!("GET {target} HTTP/1.1\r\nhost: live.example\r\n\r\n");
            let response = Connection::open(edge.addr(), request.as_bytes()).await.rest().await;
            let shown = &target[..target.len().min(80)];
            assert_eq!(response.status, 200, "{shown}: {}", response.text());
            assert_eq!(response.text(), target, "{shown}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spellings_of_one_target_share_an_object() {
    let (origin, _shield, edge) = echo(Version::Http1).await;
    for spelling in ["/%7Eu/a.ts?b=2&a=%31", "/~u/a.ts?a=1&b=2", "/~u/%61.ts?&a=1&b=2&", "/%7eu/a.ts?b=2&a=1"]
    {
        viewer(edge.addr()).get(spelling).await.is(200, b"/%7Eu/a.ts?b=2&a=%31");
    }
    assert_eq!(origin.heads().len(), 1);
    // These are others.
    for other in ["/a/b.ts", "/a%2Fb.ts", "/a\\b.ts", "/a%5Cb.ts"] {
        viewer(edge.addr()).get(other).await.is(200, other.as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_name_contains_is_refused() {
    let (origin, _shield, edge) = echo(Version::Http1).await;
    for target in [
        "/live/../x.ts",
        "/live/%2e%2E/x.ts",
        "/live%2f..%2fx.ts",
        "/live\\..\\x.ts",
        "/a%0Ab.ts",
        "/a%00b.ts",
        "/a%7fb.ts",
        "/a%.ts",
        "/a%zz.ts",
    ] {
        assert_eq!(viewer(edge.addr()).get(target).await.status, 400, "{target}");
    }
    assert_eq!(origin.heads(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_between_tiers_carries_every_target() {
    let (_origin, _shield, edge) = echo(Version::Http2).await;
    for (target, received) in [
        ("/a%2fb|[]{}^.ts?b=2&a=%7e", "/a%2fb|[]{}^.ts?b=2&a=%7e"),
        // HTTP/2 libraries accept these in escaped form only.
        ("/a<b>`\".ts?c=<d>", "/a%3Cb%3E%60%22.ts?c=%3Cd%3E"),
    ] {
        viewer(edge.addr()).get(target).await.is(200, received.as_bytes());
    }
}
