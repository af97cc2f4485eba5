//! Slow uploads and private responses that are read slowly leave connections to upstreams for other viewers.

use http::Method;
use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_proxy::config::units::{Period, Size};
use tidegate_proxy::site::config::Verb;
use tidegate_tests::{Connection, Origin, Running, edge, origin, until, viewer};

const PATH: &str = "/bytes/1000";

/// An edge with eight connections to its origin, of which four are for passes.
async fn narrow(change: impl FnOnce(&mut tidegate_edge::Config)) -> (Origin, Running) {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).with(|config| {
        config.site[0].methods = vec![Verb(Method::POST)];
        config.upstream.connections_max = 8;
        config.upstream.queue_max = 8;
        config.upstream.hedge_delay = Period::secs(0);
        change(config);
    });
    let edge = edge.run().await;
    (origin, edge)
}

async fn in_flight(edge: &Running) -> u64 {
    edge.count("tidegate_upstream_requests_in_flight", "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_with_credentials_take_their_share_and_no_more() {
    let (origin, edge) = narrow(|_| {}).await;
    origin.fault(Fault::on("/bytes/5000").hold("private")).unwrap();
    let mut slow = Vec::new();
    for _ in 0..20 {
        let viewer = viewer(edge.addr()).header("authorization", "Basic eDp5");
        slow.push(viewer.start("GET", "/bytes/5000").await);
    }
    origin.waiting("private", 4).await;
    for number in 0..20 {
        let path = format!("{PATH}/{number}");
        viewer(edge.addr()).get(&path).await.is(200, &synthetic_bytes(&path, 0..1000));
    }
    // Those that found no place in time get 503, and the four others their responses.
    until("four are left", async || in_flight(&edge).await == 4).await;
    origin.clear();
    let mut statuses = Vec::new();
    for mut connection in slow {
        statuses.push(connection.rest().await.status);
    }
    let served = statuses.iter().filter(|status| **status == 200).count();
    assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
    assert!(served >= 4, "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_upload_is_a_408_and_others_are_served_meanwhile() {
    let (origin, edge) = narrow(|config| {
        config.viewers.rate_min = Size::kib(10);
        config.viewers.rate_window = Period::secs(1);
    })
    .await;
    let head = "POST /echo HTTP/1.1\r\nhost: live.example\r\ncontent-length: 100000\r\n\r\nx";
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(Connection::open(edge.addr(), head.as_bytes()).await);
    }
    origin.arrived("/echo", 4).await;
    viewer(edge.addr()).get(PATH).await.is(200, &synthetic_bytes(PATH, 0..1000));
    for mut connection in slow {
        assert_eq!(connection.rest().await.status, 408);
    }
    until("no request is left", async || in_flight(&edge).await == 0).await;
    let body = synthetic_bytes("/body", 0..300_000);
    viewer(edge.addr()).body(&body).ask("POST", "/echo").await.is(200, &body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_response_that_is_not_read_is_cut_off() {
    let (_origin, edge) = narrow(|config| {
        config.viewers.rate_min = Size::kib(10);
        config.viewers.rate_window = Period::secs(1);
    })
    .await;
    // By the request, and by the response alone.
    for (field, target) in [("authorization", "/bytes/50000000"), ("x-plain", "/bytes/50000000?private=1")] {
        let mut unread = Vec::new();
        for _ in 0..8 {
            let viewer = viewer(edge.addr()).small_buffer().header(field, "x");
            unread.push(viewer.start("GET", target).await);
        }
        viewer(edge.addr()).get(PATH).await.is(200, &synthetic_bytes(PATH, 0..1000));
        until("no request is left", async || in_flight(&edge).await == 0).await;
        for mut connection in unread {
            let response = connection.rest().await;
            assert!(!response.whole || response.status == 503, "{target}: {}", response.status);
        }
    }
}
