//! Bad input gets a clear error and affects no other viewer.
//!
//! Each bad request has its own connection, while a good viewer uses another one before and after it.

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate_origin_stub::synthetic_bytes;
use tidegate_proxy::config::units::Period;
use tidegate_tests::viewer::{Connection, Response};
use tidegate_tests::{Origin, PATIENCE, Running, edge, origin, shield};

const GOOD: &str = "GET /bytes/1000 HTTP/1.1\r\nhost: live.example\r\n\r\n";

/// What happens to the connection after a bad request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The connection can be used again.
    Stays,
    /// The start of the next request is unknown, so the connection closes.
    Closes,
}
use Then::{Closes, Stays};

/// An edge that serves one host and has short timeouts, in front of a shield and an origin.
struct Cluster {
    origin: Origin,
    _shield: Running,
    edge: Running,
}

impl Cluster {
    async fn new() -> Self {
        count_panics();
        let origin = origin().run().await;
        let shield = shield().origin(&origin).run().await;
        let edge = edge().shield(&shield).with(|config| {
            config.site[0].hosts = vec!["live.example".to_owned()];
            config.viewers.head_timeout = "200ms".parse().unwrap();
        });
        let edge = edge.run().await;
        Self { origin, _shield: shield, edge }
    }

    /// Sends `request` on a new connection.
    async fn response(&self, request: &[u8]) -> Response {
        next(&mut Connection::open(self.edge.addr(), request).await).await
    }

    /// Sends `request` to the edge while another connection serves a good viewer.
    async fn refuses(&self, request: &[u8], status: u16, then: Then) {
        let shown = shown(request);
        let mut good = Connection::open(self.edge.addr(), GOOD.as_bytes()).await;
        next(&mut good).await.is(200, &synthetic_bytes("/bytes/1000", 0..1000));

        let mut bad = Connection::open(self.edge.addr(), request).await;
        let response = next(&mut bad).await;

        assert_eq!((response.status, response.whole), (status, true), "{shown}: {}", response.text());
        if then == Closes {
            assert_eq!(response.header("connection"), "close", "{shown}");
            assert!(bad.some().await.is_empty(), "{shown}: the connection ends");
        } else {
            bad.send(GOOD.as_bytes()).await;
            assert_eq!(next(&mut bad).await.status, 200, "{shown}: the connection goes on");
        }
        good.send(GOOD.as_bytes()).await;
        next(&mut good).await.is(200, &synthetic_bytes("/bytes/1000", 0..1000));
        assert_eq!(panics(), 0, "{shown}");
    }

    /// The same for many requests with the same response; the origin receives only the good viewer's request.
    async fn refuses_all(&self, requests: &[&[u8]], status: u16, then: Then) {
        for request in requests {
            self.refuses(request, status, then).await;
        }
        assert_eq!(self.origin.total(), self.origin.requests("/bytes/1000"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_http_is_a_400_and_closes_the_connection() {
    let requests: [&[u8]; 13] = [
        b"HELLO\r\n\r\n",
        b"GET /bytes/10\r\n\r\n",
        b"GET /bytes/10 HTTP/3.7\r\nhost: live.example\r\n\r\n",
        b"GET /bytes/10 HTTP/2.0\r\nhost: live.example\r\n\r\n",
        b"G\x01T /bytes/10 HTTP/1.1\r\nhost: live.example\r\n\r\n",
        b"GET /bytes/10 HTTP/1.1\r\nhost: live.example\r\nno colon\r\n\r\n",
        b"GET /bytes/10 HTTP/1.1\r\nhost : live.example\r\n\r\n",
        b"GET /bytes/10 HTTP/1.1\r\nhost: live.example\r\nx: a\r\n folded\r\n\r\n",
        b"GET /bytes/10 HTTP/1.1\r\nhost: live.example\r\nx: a\0b\r\n\r\n",
        b"GET /bytes/10 HTTP/1.1\r\nhost: live.example\r\n: empty\r\n\r\n",
        // RFC 9112 section 3: a recipient must not repair an invalid request line; it may be an attempt to
        // bypass a filter.
        b"GET /bytes/10 and more HTTP/1.1\r\nhost: live.example\r\n\r\n",
        b"GET /bytes/10\t HTTP/1.1\r\nhost: live.example\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ];
    Cluster::new().await.refuses_all(&requests, 400, Closes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_is_a_431() {
    let cluster = Cluster::new().await;
    let head = |fields: &str| format!("GET /bytes/10 HTTP/1.1\r\nhost: live.example\r\n{fields}\r\n");
    let long = head(&format!("x: {}\r\n", "a".repeat(100 * 1024)));
    let endless = format!("GET /bytes/10 HTTP/1.1\r\nx: {}", "a".repeat(2 << 20));
    let many = head(&(0..400).fold(String::new(), |fields, n| fields + &format!("x-{n}: a\r\n")));
    for request in [long, endless, many] {
        cluster.refuses(request.as_bytes(), 431, Closes).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ambiguous_target_is_a_400() {
    let cluster = Cluster::new().await;
    let targets: [&[u8]; 16] = [
        b"/bytes/../bytes/10",
        b"/bytes/%2e%2e/bytes/10",
        b"/bytes/.%2E/bytes/10",
        b"/bytes/./10",
        b"/bytes%2f..%2f10",
        b"/bytes\\..\\10",
        b"/bytes/%5c%2e%2e",
        b"/bytes/10%00",
        b"/bytes/10\0",
        b"/bytes/10%0d%0ax:1",
        b"/bytes/10%zz",
        b"/bytes/10%",
        b"/bytes/\xff",
        b"/bytes/10#fragment",
        b"/bytes/10?_HLS_msn=abc",
        b"/bytes/10?_HLS_part=1",
    ];
    for target in targets {
        let request = [b"GET ", target, b" HTTP/1.1\r\nhost: live.example\r\n\r\n"].concat();
        let response = cluster.response(&request).await;
        assert_eq!((response.status, response.whole), (400, true), "{}", shown(&request));
    }
    cluster.refuses(GOOD.as_bytes(), 200, Stays).await;
    assert_eq!(cluster.origin.total(), 1, "only the good request went upstream");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_target_forms_are_served_or_refused_by_their_form() {
    let cluster = Cluster::new().await;
    for (line, host, status) in [
        ("GET http://live.example/bytes/1000 HTTP/1.1", "live.example", 200),
        ("GET HTTP://live.example/bytes/1000 HTTP/1.1", "live.example", 200),
        ("GET http://live.example HTTP/1.1", "live.example", 404),
        ("GET http://other.example/bytes/1000 HTTP/1.1", "other.example", 421),
        // A client sends the same host in both places (RFC 9112 section 3.2.2). A request with two hosts is
        // not trusted.
        ("GET http://live.example/bytes/1000 HTTP/1.1", "other.example", 400),
        ("GET http://live.example@other.example/bytes/1000 HTTP/1.1", "live.example", 400),
        ("GET ftp://live.example/bytes/1000 HTTP/1.1", "live.example", 400),
        ("GET live.example:80 HTTP/1.1", "live.example:80", 400),
        ("GET bytes/1000 HTTP/1.1", "live.example", 400),
        ("GET * HTTP/1.1", "live.example", 400),
        ("OPTIONS * HTTP/1.1", "live.example", 204),
        ("CONNECT live.example:80 HTTP/1.1", "live.example:80", 405),
    ] {
        let request = format!("{line}\r\nhost: {host}\r\n\r\n");
        let response = cluster.response(request.as_bytes()).await;
        assert_eq!((response.status, response.whole), (status, true), "{request}");
        if status == 405 {
            assert_eq!(response.header("allow"), "GET, HEAD, OPTIONS");
        }
    }
    cluster.refuses(GOOD.as_bytes(), 200, Stays).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_names_one_host() {
    let requests: [&[u8]; 9] = [
        b"GET /bytes/10 HTTP/1.1\r\nhost: live.example\r\nhost: live.example\r\n\r\n",
        b"GET /bytes/10 HTTP/1.1\r\nhost: live.example\r\nhost: other.example\r\n\r\n",
        b"GET /bytes/10 HTTP/1.1\r\n\r\n",
        // RFC 9112 section 3.2: this also holds where the target names the host.
        b"GET http://live.example/bytes/10 HTTP/1.1\r\n\r\n",
        b"GET /bytes/10 HTTP/1.1\r\nhost:\r\n\r\n",
        b"GET /bytes/10 HTTP/1.1\r\nhost: live.example, other.example\r\n\r\n",
        b"GET /bytes/10 HTTP/1.1\r\nhost: viewer@live.example\r\n\r\n",
        b"GET /bytes/10 HTTP/1.1\r\nhost: live.example:port\r\n\r\n",
        b"GET /bytes/10 HTTP/1.0\r\n\r\n",
    ];
    let cluster = Cluster::new().await;
    for request in requests {
        let response = cluster.response(request).await;
        assert_eq!((response.status, response.whole), (400, true), "{}", shown(request));
    }
    let unknown = b"GET /bytes/10 HTTP/1.1\r\nhost: other.example\r\n\r\n";
    cluster.refuses(unknown, 421, Stays).await;
    let cased = b"GET /bytes/1000 HTTP/1.1\r\nhost: LIVE.example.:8080\r\n\r\n";
    cluster.refuses(cased, 200, Stays).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_ambiguous_length_is_a_400_and_closes_the_connection() {
    let requests: [&[u8]; 8] = [
        b"POST /bytes/10 HTTP/1.1\r\nhost: live.example\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /bytes/10 HTTP/1.1\r\nhost: live.example\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /bytes/10 HTTP/1.1\r\nhost: live.example\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"POST /bytes/10 HTTP/1.1\r\nhost: live.example\r\ncontent-length: five\r\n\r\nhello",
        b"POST /bytes/10 HTTP/1.1\r\nhost: live.example\r\ncontent-length: -5\r\n\r\nhello",
        b"POST /bytes/10 HTTP/1.1\r\nhost: live.example\r\ntransfer-encoding: gzip\r\n\r\nhello",
        b"GET /bytes/10 HTTP/1.1\r\nhost: live.example\r\ncontent-length: 5\r\n\r\nhello",
        b"GET /bytes/10 HTTP/1.1\r\nhost: live.example\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ];
    Cluster::new().await.refuses_all(&requests, 400, Closes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsupported_method_is_a_405_with_the_allowed_methods() {
    let cluster = Cluster::new().await;
    for method in ["POST", "PUT", "DELETE", "TRACE", "BREW"] {
        let request =
            format!("{method} /bytes/10 HTTP/1.1\r\nhost: live.example\r\ncontent-length: 0\r\n\r\n");
        cluster.refuses(request.as_bytes(), 405, Stays).await;
        let response = cluster.response(request.as_bytes()).await;
        assert_eq!(response.header("allow"), "GET, HEAD, OPTIONS");
    }
    // The tier does not read this body: the response says so, and the connection closes.
    let body = format!(
        "POST /bytes/10 HTTP/1.1\r\nhost: live.example\r\ncontent-length: 500000\r\n\r\n{}",
        "a".repeat(500_000)
    );
    cluster.refuses(body.as_bytes(), 405, Closes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_too_long_is_a_414() {
    let cluster = Cluster::new().await;
    for target in [format!("/bytes/{}", "1".repeat(9000)), format!("/bytes/10?a={}", "1".repeat(17_000))] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: live.example\r\n\r\n");
        cluster.refuses(request.as_bytes(), 414, Stays).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_request_is_a_408() {
    let cluster = Cluster::new().await;
    for half in ["G", "GET /bytes/10 HT", "GET /bytes/10 HTTP/1.1\r\nhost: live.example\r\n"] {
        cluster.refuses(half.as_bytes(), 408, Closes).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_request_is_closed_without_a_response() {
    count_panics();
    let origin = origin().run().await;
    let edge = edge().origin(&origin).with(|config| config.viewers.idle_timeout = Period::secs(1));
    let edge = edge.run().await;
    let mut silent = Connection::open(edge.addr(), b"").await;
    let mut idle = Connection::open(edge.addr(), GOOD.as_bytes()).await;
    next(&mut idle).await.is(200, &synthetic_bytes("/bytes/1000", 0..1000));

    assert!(silent.some().await.is_empty());
    assert!(idle.some().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_after_a_request_is_a_separate_bad_request() {
    let cluster = Cluster::new().await;
    let request = [GOOD.as_bytes(), b"\x00\x01garbage\r\n\r\n"].concat();
    let mut bad = Connection::open(cluster.edge.addr(), &request).await;
    next(&mut bad).await.is(200, &synthetic_bytes("/bytes/1000", 0..1000));
    assert_eq!(next(&mut bad).await.status, 400);
    assert!(bad.some().await.is_empty());
    cluster.refuses(GOOD.as_bytes(), 200, Stays).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let cluster = Cluster::new().await;
    let sizes = [3000, 1, 2000, 0, 1000];
    let ask = |size: &u64| format!("GET /bytes/{size} HTTP/1.1\r\nhost: live.example\r\n\r\n");
    let requests: String = sizes.iter().map(ask).collect();
    for _cold_then_warm in 0..2 {
        let mut pipe = Connection::open(cluster.edge.addr(), requests.as_bytes()).await;
        for size in sizes {
            next(&mut pipe).await.is(200, &synthetic_bytes(&format!("/bytes/{size}"), 0..size));
        }
    }
    assert_eq!(cluster.origin.total(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_1_0_connection_closes_unless_keep_alive_is_requested() {
    let cluster = Cluster::new().await;
    let ask = |fields: &str| format!("GET /bytes/1000 HTTP/1.0\r\nhost: live.example\r\n{fields}\r\n");
    let expected = synthetic_bytes("/bytes/1000", 0..1000);

    let mut once = Connection::open(cluster.edge.addr(), ask("").as_bytes()).await;
    let response = next(&mut once).await;
    response.is(200, &expected);
    assert_eq!((response.header("transfer-encoding"), response.header("connection")), ("", "close"));
    assert!(once.some().await.is_empty());

    let keep_alive = ask("connection: keep-alive\r\n");
    let mut persistent = Connection::open(cluster.edge.addr(), keep_alive.as_bytes()).await;
    next(&mut persistent).await.is(200, &expected);
    persistent.send(keep_alive.as_bytes()).await;
    next(&mut persistent).await.is(200, &expected);
}

/// The next answer on a connection.
async fn next(connection: &mut Connection) -> Response {
    tokio::time::timeout(PATIENCE, connection.response("GET")).await.expect("a response in time")
}

/// A request as a failed assertion shows it.
fn shown(request: &[u8]) -> String {
    request[..request.len().min(120)].escape_ascii().to_string()
}

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts the panics of tiers from now on; panics of tests are not counted.
fn count_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic.location().is_some_and(|place| !place.file().starts_with("tests/")) {
                PANICS.fetch_add(1, Ordering::Relaxed);
            }
            before(panic);
        }));
    });
}

fn panics() -> usize {
    PANICS.load(Ordering::Relaxed)
}
