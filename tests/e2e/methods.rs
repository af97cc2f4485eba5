//! Methods: GET, HEAD and OPTIONS everywhere, others only where a site allows them, which are then passed.

use bytes::Bytes;
use http::Method;
use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_proxy::config::units::Size;
use tidegate_proxy::site;
use tidegate_tests::{Origin, Running, edge, origin, shield, viewer};

const PATH: &str = "/bytes/5000";
const SIZE: u64 = 5000;
const PUSHED: &str = "/ingest/channel/1.ts";

struct Cluster {
    origin: Origin,
    _shield: Running,
    edge: Running,
}

impl Cluster {
    /// Tiers whose site allows these methods besides the safe ones.
    async fn allowing(methods: &[Method]) -> Self {
        let verbs: Vec<_> = methods.iter().cloned().map(site::config::Verb).collect();
        let origin = origin().run().await;
        let shield = shield().origin(&origin).with(|config| config.site[0].methods.clone_from(&verbs));
        let shield = shield.run().await;
        let edge = edge().shield(&shield).with(|config| config.site[0].methods.clone_from(&verbs));
        let edge = edge.run().await;
        Self { origin, _shield: shield, edge }
    }
}

/// Bytes that do not compress.
fn noise(path: &str, size: u64) -> Bytes {
    synthetic_bytes(path, 0..size)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_is_answered_at_the_edge() {
    let cluster = Cluster::allowing(&[]).await;
    let preflight = viewer(cluster.edge.addr())
        .header("origin", "https://player.example")
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "range, x-player");
    let response = preflight.ask("OPTIONS", "/live/show/ts/240p/index.m3u8").await;

    response.is(204, b"");
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", "GET, HEAD, OPTIONS"),
        ("access-control-allow-headers", "range, x-player"),
        ("access-control-max-age", "86400"),
        ("allow", "GET, HEAD, OPTIONS"),
        ("content-length", ""),
    ] {
        assert_eq!(response.header(name), value, "{name}");
    }
    assert_eq!(cluster.origin.total(), 0);

    let read = viewer(cluster.edge.addr()).header("origin", "https://player.example").get(PATH).await;
    read.is(200, &noise(PATH, SIZE));
    assert_eq!(read.header("access-control-allow-origin"), "*");
    assert!(read.header("access-control-expose-headers").contains("Content-Range"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_response_to_head_is_the_head_of_the_response_to_get() {
    let cluster = Cluster::allowing(&[]).await;
    let head = viewer(cluster.edge.addr()).ask("HEAD", PATH).await;
    let get = viewer(cluster.edge.addr()).get(PATH).await;

    head.is(200, b"");
    get.is(200, &noise(PATH, SIZE));
    for name in ["content-length", "content-type", "etag", "last-modified", "cache-control", "accept-ranges"]
    {
        assert!(!head.header(name).is_empty(), "{name}");
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
    // An object that a HEAD request stored serves a GET request.
    assert_eq!(cluster.origin.requests(PATH), 1);
    assert_eq!(cluster.origin.seen(PATH)[0].method, Method::GET);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_request_leaves_its_connection_in_sync() {
    let cluster = Cluster::allowing(&[]).await;
    let request = |method: &str| format!("{method} {PATH} HTTP/1.1\r\nhost: live.example\r\n\r\n");
    let both = request("HEAD") + &request("GET");
    let mut pipe = tidegate_tests::Connection::open(cluster.edge.addr(), both.as_bytes()).await;
    pipe.response("HEAD").await.is(200, b"");
    pipe.response("GET").await.is(200, &noise(PATH, SIZE));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_method_is_passed_with_its_body_and_its_response() {
    let cluster = Cluster::allowing(&[Method::POST]).await;
    let body = noise("/body", 1 << 20);
    for _never_stored in 0..2 {
        let echo = viewer(cluster.edge.addr()).header("content-type", "video/mp2t").body(&body);
        let response = echo.ask("POST", "/echo").await;

        response.is(200, &body);
        assert_eq!((response.header("x-method"), response.header("content-type")), ("POST", "video/mp2t"));
        assert_eq!(response.header("x-cache"), "PASS, PASS");
        assert!(response.header("cache-status").starts_with("shield-1; fwd=method, edge-1; fwd=method"));
    }
    assert_eq!(cluster.origin.requests("/echo"), 2);
    let other = viewer(cluster.edge.addr()).body(b"x").ask("PUT", "/echo").await;
    assert_eq!((other.status, other.header("allow")), (405, "GET, HEAD, OPTIONS, POST"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_unknown_length_is_passed_chunked() {
    let cluster = Cluster::allowing(&[Method::POST]).await;
    let head = "POST /echo HTTP/1.1\r\nhost: live.example\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut posting = tidegate_tests::Connection::open(cluster.edge.addr(), head.as_bytes()).await;
    let pieces: Vec<Bytes> = (0..20).map(|n| noise(&format!("/{n}"), 10_000 + n)).collect();
    for piece in &pieces {
        posting.send(format!("{:x}\r\n", piece.len()).as_bytes()).await;
        posting.send(piece).await;
        posting.send(b"\r\n").await;
    }
    posting.send(b"0\r\n\r\n").await;

    posting.rest().await.is(200, &pieces.concat());
    // Both sides agree where the request ends: the connection stays usable.
    posting.send(format!("GET {PATH} HTTP/1.1\r\nhost: live.example\r\n\r\n").as_bytes()).await;
    posting.rest().await.is(200, &noise(PATH, SIZE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_body_is_forwarded_while_it_arrives() {
    let cluster = Cluster::allowing(&[Method::POST]).await;
    let head = "POST /echo HTTP/1.1\r\nhost: live.example\r\ncontent-length: 200000\r\n\r\n";
    let body = noise("/body", 200_000);
    let mut posting = tidegate_tests::Connection::open(cluster.edge.addr(), head.as_bytes()).await;
    posting.send(&body[..100_000]).await;

    // The origin has the request while half of the body is still to come.
    cluster.origin.arrived("/echo", 1).await;
    posting.send(&body[100_000..]).await;

    posting.rest().await.is(200, &body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successful_unsafe_request_invalidates_the_cached_object() {
    let cluster = Cluster::allowing(&[Method::PUT, Method::DELETE]).await;
    let viewer = || viewer(cluster.edge.addr());
    let (first, second) = (noise("/first", 3000), noise("/second", 4000));
    assert_eq!(viewer().body(&first).ask("PUT", PUSHED).await.status, 201);
    for _ in 0..2 {
        viewer().get(PUSHED).await.is(200, &first);
    }
    let read = cluster.origin.requests(PUSHED);
    assert_eq!(read, 2, "one PUT, one GET");

    assert_eq!(viewer().body(&second).ask("PUT", PUSHED).await.status, 204);
    viewer().get(PUSHED).await.is(200, &second);

    // RFC 9111 section 4.4: an error response invalidates nothing.
    cluster.origin.fault(Fault::on(PUSHED).status(403).times(1)).unwrap();
    assert_eq!(viewer().body(&first).ask("PUT", PUSHED).await.status, 403);
    let before = cluster.origin.requests(PUSHED);
    viewer().get(PUSHED).await.is(200, &second);
    assert_eq!(cluster.origin.requests(PUSHED), before);

    assert_eq!(viewer().ask("DELETE", PUSHED).await.status, 204);
    assert_eq!(viewer().get(PUSHED).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_a_413() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).with(|config| {
        config.viewers.body_max = Size::kib(64);
        config.site[0].methods = vec![site::config::Verb(Method::PUT)];
    });
    let edge = edge.run().await;
    let body = noise("/body", 200_000);

    let refused = viewer(edge.addr()).body(&body).ask("PUT", PUSHED).await;

    assert_eq!((refused.status, refused.header("connection")), (413, "close"));
    assert_eq!(viewer(edge.addr()).get(PUSHED).await.status, 404, "nothing was stored at the origin");
    assert_eq!(viewer(edge.addr()).body(&body[..60_000]).ask("PUT", PUSHED).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn early_hints_reach_the_viewer_before_the_response() {
    let cluster = Cluster::allowing(&[Method::PUT]).await;
    cluster.origin.fault(Fault::on(PUSHED).early_hints()).unwrap();
    let response = viewer(cluster.edge.addr()).body(b"segment").ask("PUT", PUSHED).await;
    assert_eq!((response.informational, response.status), (vec![103], 201));
}

#[tokio::test(flavor = "multi_thread")]
async fn early_hints_before_an_object_reach_the_viewer_that_started_its_fill() {
    let cluster = Cluster::allowing(&[]).await;
    cluster.origin.fault(Fault::on(PATH).early_hints()).unwrap();
    let first = viewer(cluster.edge.addr()).get(PATH).await;
    first.is(200, &noise(PATH, SIZE));
    assert_eq!(first.informational, vec![103]);

    let hit = viewer(cluster.edge.addr()).get(PATH).await;
    hit.is(200, &noise(PATH, SIZE));
    assert_eq!(hit.informational, Vec::<u16>::new(), "a cached object is sent without hints");
}

#[tokio::test(flavor = "multi_thread")]
async fn early_hints_before_a_private_response_reach_its_viewer() {
    let cluster = Cluster::allowing(&[]).await;
    cluster.origin.fault(Fault::on(PATH).early_hints()).unwrap();
    let response = viewer(cluster.edge.addr()).header("authorization", "Basic eDp5").get(PATH).await;
    response.is(200, &noise(PATH, SIZE));
    assert_eq!(response.informational, vec![103]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_expects_100_continue_gets_it() {
    let cluster = Cluster::allowing(&[Method::PUT]).await;
    let head = format!(
        "PUT {PUSHED} HTTP/1.1\r\nhost: live.example\r\ncontent-length: 7\r\nexpect: 100-continue\r\n\r\n"
    );
    let mut careful = tidegate_tests::Connection::open(cluster.edge.addr(), head.as_bytes()).await;
    let (status, _) = careful.head().await.expect("a head");
    assert_eq!(status, 100);
    careful.send(b"segment").await;
    assert_eq!(careful.rest().await.status, 201);
    assert_eq!(cluster.origin.seen(PUSHED)[0].header("expect"), "", "the edge sent 100 Continue");
    viewer(cluster.edge.addr()).get(PUSHED).await.is(200, b"segment");

    // RFC 9110 section 10.1.1: a refused client gets the final status immediately, and sends no body.
    let refused = head.replacen("PUT", "POST", 1);
    let mut refused = tidegate_tests::Connection::open(cluster.edge.addr(), refused.as_bytes()).await;
    let response = refused.rest().await;
    assert_eq!((response.status, response.informational), (405, Vec::new()));
}
