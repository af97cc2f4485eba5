//! What hostile crowds may cause: variants, fills without readers, and bodies without a place in the cache.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_proxy::config::units::Size;
use tidegate_tests::{PATIENCE, edge, origin, until, viewer};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const MIB: u64 = 1 << 20;
/// Objects that no test requests before.
const COLD: &str = "/bytes/1000000/*";

type Requests = h2::client::SendRequest<Bytes>;

/// An HTTP/2 connection whose streams have this window.
async fn http2(addr: std::net::SocketAddr, window: u32) -> (Requests, JoinSet<()>) {
    let stream = TcpStream::connect(addr).await.unwrap();
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(window).max_concurrent_reset_streams(10_000);
    let (requests, connection) = builder.handshake(stream).await.unwrap();
    let mut driving = JoinSet::new();
    driving.spawn(async move { _ = connection.await });
    (requests, driving)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_variants_of_an_object_are_bounded() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).with(|config| config.cache.variants_max = 4).run().await;
    origin.fault(Fault::on("/bytes/1000").header("vary", "x-any")).unwrap();
    for number in 0..20 {
        let viewer = viewer(edge.addr()).header("x-any", &number.to_string());
        viewer.get("/bytes/1000").await.is(200, &synthetic_bytes("/bytes/1000", 0..1000));
    }
    assert!(edge.metric("tidegate_cache_objects", "").await <= 6.0);
    assert!(edge.count("tidegate_cache_variants_refused_total", "").await >= 15);
    // Those with a place are still served from the cache.
    let before = origin.requests("/bytes/1000");
    for number in 1..4 {
        let viewer = viewer(edge.addr()).header("x-any", &number.to_string());
        viewer.get("/bytes/1000").await.is(200, &synthetic_bytes("/bytes/1000", 0..1000));
    }
    assert_eq!(origin.requests("/bytes/1000"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn fills_end_when_all_readers_have_left() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).with(|config| config.cache.finish_max = 2).run().await;
    origin.fault(Fault::on("*").hold("head")).unwrap();
    let (mut requests, _driving) = http2(edge.addr(), 65_535).await;
    let mut open = Vec::new();
    for number in 0..40 {
        let request = http::Request::get(format!("http://live.example/bytes/1000000/{number}"));
        requests = requests.ready().await.unwrap();
        open.push(requests.send_request(request.body(()).unwrap(), true).unwrap());
    }
    origin.waiting("head", 40).await;
    for (_, mut sending) in open {
        sending.send_reset(h2::Reason::CANCEL);
    }
    until("two fills go on", async || edge.status().await["fills"]["count"] == 2).await;
    origin.clear();
    until("they end", async || edge.status().await["fills"]["count"] == 0).await;
    viewer(edge.addr()).get("/bytes/1000").await.is(200, &synthetic_bytes("/bytes/1000", 0..1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_stalled_readers_count_against_the_memory() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).with(|config| {
        config.cache.memory = Size::mib(16);
        config.cache.object_max = Size::mib(4);
        config.cache.sendfile = "0B".parse().unwrap();
    });
    let edge = edge.run().await;
    let mut connections = Vec::new();
    for connection in 0..2 {
        let (mut requests, driving) = http2(edge.addr(), 0).await;
        let mut open = Vec::new();
        for number in 0..50 {
            let request =
                http::Request::get(format!("http://live.example/bytes/{MIB}/{connection}-{number}"));
            requests = requests.ready().await.unwrap();
            open.push(requests.send_request(request.body(()).unwrap(), true).unwrap().0);
        }
        let mut bodies = Vec::new();
        for response in open {
            // An upstream that is full makes some of them 503.
            bodies.push(tokio::time::timeout(PATIENCE, response).await.unwrap().unwrap());
        }
        connections.push((requests, driving, bodies));
    }
    // 100 bodies of 1 MiB are open; the cache has 16 MiB, and fills and evicted bodies three quarters of it.
    // Objects beyond the budget leave the cache a moment later.
    until("the bodies are within their budgets", async || {
        edge.count("tidegate_cache_body_bytes", "").await <= 32 * MIB
    })
    .await;
    // Large objects are stored again as soon as the stalled readers are given up.
    let attempts = AtomicUsize::new(0);
    until("a large object is stored", async || {
        let cold = format!("/bytes/{MIB}/cold-{}", attempts.fetch_add(1, Ordering::Relaxed));
        for _cold_then_warm in 0..2 {
            viewer(edge.addr()).get(&cold).await.is(200, &synthetic_bytes(&cold, 0..MIB));
        }
        origin.requests(&cold) == 1
    })
    .await;
    assert!(edge.count("tidegate_stalled_responses_total", "").await > 0);
    tokio::time::timeout(Duration::from_secs(20), async {
        viewer(edge.addr()).get("/bytes/1000").await.is(200, &synthetic_bytes("/bytes/1000", 0..1000));
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_resets_its_requests_loses_its_connection() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).with(|config| config.viewers.resets_max = 50).run().await;
    origin.fault(Fault::on(COLD).hold("head")).unwrap();
    let (mut other, _driving) = http2(edge.addr(), 65_535).await;
    let (mut requests, _attack) = http2(edge.addr(), 65_535).await;
    let mut error = None;
    for number in 0..1000 {
        let request = http::Request::get(format!("http://live.example/bytes/1000000/{number}"));
        requests = match requests.ready().await {
            Ok(requests) => requests,
            Err(why) => {
                error = Some(why);
                break;
            }
        };
        let (response, mut sending) = match requests.send_request(request.body(()).unwrap(), true) {
            Ok(sent) => sent,
            Err(why) => {
                error = Some(why);
                break;
            }
        };
        // Paced: the tier has taken the request before it is reset.
        until("the tier has it", async || {
            origin.requests(COLD) > number || edge.count("tidegate_http2_reset_floods_total", "").await > 0
        })
        .await;
        sending.send_reset(h2::Reason::CANCEL);
        drop(response);
    }
    let error = error.expect("the connection ends");
    assert_eq!(error.reason(), Some(h2::Reason::ENHANCE_YOUR_CALM), "{error:?}");
    assert_eq!(edge.count("tidegate_http2_reset_floods_total", "").await, 1);
    assert!(origin.requests(COLD) <= 60, "{} requests", origin.requests(COLD));
    // Nothing of it is left, and other connections are served.
    origin.clear();
    until("the fills end", async || edge.status().await["fills"]["count"] == 0).await;
    let request = http::Request::get("http://live.example/bytes/1000").body(()).unwrap();
    let (response, _) = other.send_request(request, true).unwrap();
    assert_eq!(tokio::time::timeout(PATIENCE, response).await.unwrap().unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_that_seeks_keeps_its_connection() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).run().await;
    origin.fault(Fault::on(COLD).hold("head")).unwrap();
    let (mut requests, _driving) = http2(edge.addr(), 65_535).await;
    for number in 0..60 {
        let request = http::Request::get(format!("http://live.example/bytes/1000000/{number}"));
        requests = requests.ready().await.unwrap();
        let (response, mut sending) = requests.send_request(request.body(()).unwrap(), true).unwrap();
        until("the tier has it", async || origin.requests(COLD) > number).await;
        sending.send_reset(h2::Reason::CANCEL);
        drop(response);
    }
    let request = http::Request::get("http://live.example/bytes/1000").body(()).unwrap();
    let (response, _) = requests.ready().await.unwrap().send_request(request, true).unwrap();
    assert_eq!(tokio::time::timeout(PATIENCE, response).await.unwrap().unwrap().status(), 200);
    assert_eq!(edge.count("tidegate_http2_reset_floods_total", "").await, 0);
}
