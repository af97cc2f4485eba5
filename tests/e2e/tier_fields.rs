//! The fields that tiers add: Cache-Status, X-Cache, Via, CDN-Loop; and the fields that they remove at every
//! hop.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_tests::{edge, origin, shield, until, viewer, viewers};
use tokio::net::{TcpListener, TcpStream};

const PATH: &str = "/bytes/5000";
const SIZE: u64 = 5000;

/// A `Cache-Status` with its remaining lifetimes replaced: a second may have passed.
fn status(response: &tidegate_tests::Response) -> String {
    let members =
        response.header("cache-status").split(", ").map(|member| match member.rsplit_once("; ttl=") {
            Some((before, ttl)) => {
                let ttl: i64 = ttl.parse().expect("a number");
                assert!((0..=60).contains(&ttl), "{member}");
                format!("{before}; ttl")
            }
            None => member.to_owned(),
        });
    members.collect::<Vec<_>>().join(", ")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tier_adds_its_cache_status_the_shield_first() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let (one, two) = (edge().shield(&shield).run().await, edge().named("edge-2").shield(&shield).run().await);
    let missed = "shield-1; fwd=uri-miss; fwd-status=200; stored; ttl";
    for (edge, x_cache, cache_status) in [
        (&one, "MISS, MISS", format!("{missed}, edge-1; fwd=uri-miss; fwd-status=200; stored; ttl")),
        // The shield's member from when the object arrived at this edge is still true.
        (&one, "MISS, HIT", format!("{missed}, edge-1; hit; ttl")),
        (
            &two,
            "HIT, MISS",
            "shield-1; hit; ttl, edge-2; fwd=uri-miss; fwd-status=200; stored; ttl".to_owned(),
        ),
        (&two, "HIT, HIT", "shield-1; hit; ttl, edge-2; hit; ttl".to_owned()),
    ] {
        let response = viewer(edge.addr()).get(PATH).await;
        edge.fills_finished().await;
        shield.fills_finished().await;
        response.is(200, &synthetic_bytes(PATH, 0..SIZE));
        assert_eq!((response.header("x-cache"), status(&response)), (x_cache, cache_status));
    }
    let partial = viewer(one.addr()).header("range", "bytes=0-1").get(PATH).await;
    assert_eq!(status(&partial), format!("{missed}, edge-1; hit; ttl"));
    let refused = viewer(one.addr()).get("/..").await;
    assert_eq!((refused.header("x-cache"), status(&refused)), ("NONE", "edge-1".to_owned()));
    assert!(refused.header("proxy-status").starts_with("edge-1; error=http_request_error; details="));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_joins_a_fill_is_reported_as_collapsed() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    origin.fault(Fault::on(PATH).hold("head")).unwrap();
    let crowd = viewers(10, &[&edge]);
    let responses = tokio::spawn(async move { crowd.get(PATH).await });
    until("all wait", async || edge.status().await["fills"]["viewers"] == 10).await;
    origin.release("head");

    let responses = responses.await.unwrap();
    let member = |response| status(response).split(", ").nth(1).expect("the edge's member").to_owned();
    let collapsed = "edge-1; fwd=uri-miss; fwd-status=200; stored; collapsed; ttl";
    assert_eq!(responses.iter().filter(|response| member(response) == collapsed).count(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_joins_a_revalidation_is_reported_as_stale() {
    let path = "/bytes/5000?cc=no-cache";
    let origin = origin().run().await;
    let edge = edge().origin(&origin).run().await;
    viewer(edge.addr()).get(path).await.is(200, &synthetic_bytes(PATH, 0..SIZE));
    edge.fills_finished().await;
    origin.fault(Fault::on(PATH).hold("head")).unwrap();
    let crowd = viewers(10, &[&edge]);
    let responses = tokio::spawn(async move { crowd.get(path).await });
    until("all wait", async || edge.status().await["fills"]["viewers"] == 10).await;
    origin.release("head");

    for response in responses.await.unwrap() {
        assert!(response.header("cache-status").starts_with("edge-1; fwd=stale; "), "{:?}", response.headers);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tier_adds_its_server_timing() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    let response = viewer(edge.addr()).get(PATH).await;
    let timing: Vec<_> = response.headers.get_all("server-timing").iter().collect();
    let milliseconds = |line: &&http::HeaderValue, tier: &str| -> f64 {
        let line = line.to_str().unwrap();
        line.strip_prefix(tier).and_then(|rest| rest.strip_prefix(";dur=")).unwrap().parse().unwrap()
    };
    let (at_shield, at_edge) = (milliseconds(&timing[0], "shield-1"), milliseconds(&timing[1], "edge-1"));
    assert!(at_shield <= at_edge + 0.1, "the edge waits for the shield: {timing:?}");
    assert_eq!(timing.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn via_and_cdn_loop_name_every_hop() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    let asking = viewer(edge.addr()).header("via", "1.0 home").header("cdn-loop", "other; v=1");
    let response = asking.get(PATH).await;

    assert_eq!(response.header("via"), "1.1 shield-1, 1.1 edge-1");
    let seen = &origin.seen(PATH)[0];
    assert_eq!(seen.header("via"), "1.0 home, 1.1 edge-1, 1.1 shield-1");
    assert_eq!(seen.header("cdn-loop"), "other; v=1, edge-1, shield-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_returns_to_a_tier_is_a_508() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).run().await;
    for marks in ["edge-1", "other, EDGE-1; v=2"] {
        let response = viewer(edge.addr()).header("cdn-loop", marks).get(PATH).await;
        assert_eq!(response.status, 508, "{marks}");
        assert!(response.header("proxy-status").starts_with("edge-1; error=proxy_loop_detected"));
    }
    // RFC 8586 section 2: a Connection field cannot remove CDN-Loop.
    let hiding = viewer(edge.addr()).header("connection", "cdn-loop").header("cdn-loop", "edge-1");
    assert_eq!(hiding.get(PATH).await.status, 508);
    assert_eq!(origin.total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tiers_that_are_upstreams_of_each_other_detect_the_loop() {
    let circle = Forwarder::new().await;
    let two = edge().named("edge-2").shield_at(&format!("http://{}", circle.addr)).run().await;
    let one = edge().shield_at(&format!("http://{}", two.addr())).run().await;
    circle.to.set(one.addr()).unwrap();

    let response = viewer(one.addr()).get(PATH).await;

    assert_eq!(response.status, 508, "{}", response.text());
    let proxy_status = response.header("proxy-status");
    assert!(proxy_status.contains("received-status=508"), "{proxy_status}");
}

/// A port that is known before its target.
struct Forwarder {
    addr: SocketAddr,
    to: Arc<OnceLock<SocketAddr>>,
    _tasks: tokio::task::JoinSet<()>,
}

impl Forwarder {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let to = Arc::new(OnceLock::new());
        let (target, mut tasks) = (Arc::clone(&to), tokio::task::JoinSet::new());
        tasks.spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let to: SocketAddr = *target.get().expect("a target");
                open.spawn(async move {
                    let mut far = TcpStream::connect(to).await.expect("a connection");
                    let _over = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Self { addr, to, _tasks: tasks }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hop_by_hop_fields_are_not_forwarded() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    let fault = Fault::on(PATH)
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .header("keep-alive", "timeout=5")
        .header("proxy-authenticate", "Basic")
        .header("trailer", "x-sum")
        .header("x-end", "1");
    origin.fault(fault).unwrap();
    let asking = viewer(edge.addr())
        .header("connection", "keep-alive, x-mine")
        .header("x-mine", "1")
        .header("keep-alive", "timeout=5")
        .header("te", "trailers")
        .header("upgrade", "websocket")
        .header("proxy-authorization", "Basic eA==")
        .header("proxy-connection", "keep-alive")
        .header("x-theirs", "1");

    let response = asking.get(PATH).await;

    response.is(200, &synthetic_bytes(PATH, 0..SIZE));
    for name in ["x-hop", "keep-alive", "proxy-authenticate", "trailer"] {
        assert_eq!(response.header(name), "", "{name}");
    }
    assert_eq!(response.header("x-end"), "1");
    let seen = &origin.seen(PATH)[0];
    for name in ["x-mine", "keep-alive", "te", "upgrade", "proxy-authorization", "proxy-connection"] {
        assert_eq!(seen.header(name), "", "{name}");
    }
    assert_eq!(seen.header("x-theirs"), "1");
}
