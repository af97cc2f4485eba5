//! How much one address may use, and how many requests may wait.

use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_proxy::config::access::ProxyProtocol;
use tidegate_tests::{Connection, Response, Running, edge, origin, until, viewer};

const PATH: &str = "/bytes/1000";
const HERE: &str = "192.0.2.7";

/// An edge that believes the addresses that a test names, with these limits.
async fn edge_with(
    origin: &tidegate_tests::Origin,
    change: impl FnOnce(&mut tidegate_proxy::config::Limits),
) -> Running {
    let edge = edge().origin(origin).with(|config| {
        config.listen.proxy_protocol = ProxyProtocol::On;
        config.listen.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        change(&mut config.limits);
    });
    edge.run().await
}

async fn get(edge: &Running, address: &str, path: &str) -> Response {
    viewer(edge.addr()).proxied_for(address).get(path).await
}

/// Asserts a refusal because of this limit, and that the viewer is told when to try again.
#[track_caller]
fn assert_limited(response: &Response, status: u16, limit: &str) {
    assert_eq!(response.status, status, "{}", response.text());
    assert!(response.text().ends_with(&format!(": too many requests ({limit})\n")), "{}", response.text());
    assert!(response.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1));
    assert_eq!(response.header("access-control-allow-origin"), "*");
}

#[tokio::test(flavor = "multi_thread")]
async fn cache_busting_does_not_reach_the_origin_at_the_rate_of_the_attacker() {
    let origin = origin().run().await;
    let edge = edge_with(&origin, |limits| (limits.fills_per_second, limits.fills_burst) = (1, 20)).await;
    get(&edge, "198.51.100.1", PATH).await.is(200, &synthetic_bytes(PATH, 0..1000));
    let began = tokio::time::Instant::now();
    let mut refused = 0;
    for number in 0..200 {
        let response = get(&edge, HERE, &format!("{PATH}?x={number}")).await;
        if response.status == 429 {
            assert_limited(&response, 429, "fills_per_address");
            refused += 1;
        }
    }
    // Passes are upstream requests, too.
    let login = viewer(edge.addr()).proxied_for(HERE).header("authorization", "Basic eA==");
    for _ in 0..50 {
        refused += u64::from(login.get(PATH).await.status == 429);
    }
    let earned = began.elapsed().as_secs() + 1;
    let sent = origin.total() - 1;
    assert!((20..=20 + earned).contains(&sent), "{sent} in {earned} s");
    assert_eq!(refused, 250 - sent);
    let limited = edge.count("tidegate_limited_requests_total", "limit=\"fills_per_address\"").await;
    assert_eq!(limited, refused);
    // What is cached is free, and other addresses are not affected.
    get(&edge, HERE, PATH).await.is(200, &synthetic_bytes(PATH, 0..1000));
    assert_eq!(get(&edge, "192.0.2.8", &format!("{PATH}?y")).await.status, 200);
    assert_eq!(get(&edge, HERE, &format!("{PATH}?y")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_at_its_limit_of_fills_joins_those_of_others() {
    let origin = origin().run().await;
    let edge = edge_with(&origin, |limits| (limits.fills_per_second, limits.fills_burst) = (1, 1)).await;
    origin.fault(Fault::on("/bytes/5000").hold("head")).unwrap();
    let mut first = start(&edge, "198.51.100.1", "/bytes/5000").await;
    until("a fill is under way", async || edge.joined().await == 1).await;
    // One fill and some refusals: the limit is reached.
    let mut refused = false;
    for number in 0..10 {
        refused |= get(&edge, HERE, &format!("{PATH}?x={number}")).await.status == 429;
    }
    assert!(refused);
    let mut joined = start(&edge, HERE, "/bytes/5000").await;
    until("it has joined", async || edge.joined().await == 2).await;
    origin.release("head");
    for connection in [&mut first, &mut joined] {
        connection.rest().await.is(200, &synthetic_bytes("/bytes/5000", 0..5000));
    }
    assert_eq!(origin.requests("/bytes/5000"), 1);
}

async fn start(edge: &Running, address: &str, path: &str) -> Connection {
    viewer(edge.addr()).proxied_for(address).start("GET", path).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_may_open_a_number_of_connections() {
    let origin = origin().run().await;
    let edge = edge_with(&origin, |limits| limits.connections_per_address = 2).await;
    // One network of IPv6 counts as one address.
    let mut open = Vec::new();
    for address in ["2001:db8::1", "2001:db8::2"] {
        let mut connection = start(&edge, address, PATH).await;
        assert_eq!(connection.rest().await.status, 200);
        open.push(connection);
    }
    assert_eq!(get(&edge, "2001:db8::3", PATH).await.status, 0);
    assert_eq!(get(&edge, "2001:db8:0:1::1", PATH).await.status, 200);
    let reason = "reason=\"connections_per_address\"";
    assert_eq!(edge.count("tidegate_refused_connections_total", reason).await, 1);
    drop(open);
    until("the connections are gone", async || get(&edge, "2001:db8::3", PATH).await.status == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_may_send_requests_at_a_rate_on_the_fast_path_too() {
    let origin = origin().run().await;
    let edge =
        edge_with(&origin, |limits| (limits.requests_per_second, limits.requests_burst) = (1, 10)).await;
    let began = tokio::time::Instant::now();
    let mut statuses = Vec::new();
    for _ in 0..50 {
        let response = get(&edge, HERE, PATH).await;
        if response.status != 200 {
            assert_limited(&response, 429, "requests_per_address");
        }
        statuses.push(response.status);
    }
    let earned = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    let served = statuses.iter().filter(|status| **status == 200).count();
    assert!((10..=10 + earned).contains(&served), "{served} in {earned} s");
    assert_eq!(get(&edge, "192.0.2.8", PATH).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_wait_are_limited_per_object_and_in_all() {
    let origin = origin().run().await;
    let edge =
        edge_with(&origin, |limits| (limits.waiters_max, limits.waiters_per_object_max) = (3, 2)).await;
    for path in ["/bytes/5000", "/bytes/6000", "/bytes/7000"] {
        origin.fault(Fault::on(path).hold("head")).unwrap();
    }
    let mut waiting = Vec::new();
    for (count, path) in [(1, "/bytes/5000"), (2, "/bytes/5000"), (3, "/bytes/6000")] {
        waiting.push(start(&edge, HERE, path).await);
        until("it waits", async || edge.joined().await == count).await;
        if count == 2 {
            assert_limited(&get(&edge, HERE, path).await, 503, "waiters_per_object");
        }
    }
    assert_limited(&get(&edge, HERE, "/bytes/7000").await, 503, "waiters");
    origin.release("head");
    for mut connection in waiting {
        assert!(connection.rest().await.whole);
    }
    get(&edge, HERE, "/bytes/5000").await.is(200, &synthetic_bytes("/bytes/5000", 0..5000));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kernel_sends_at_the_rate_of_a_connection() {
    let origin = origin().run().await;
    let edge = edge_with(&origin, |limits| {
        limits.connection_rate_max = tidegate_proxy::config::units::Size::mib(1);
    });
    let edge = edge.await;
    let path = "/bytes/2097152";
    let began = tokio::time::Instant::now();
    assert!(get(&edge, HERE, path).await.whole);
    let took = began.elapsed();
    assert!(took > std::time::Duration::from_millis(800), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_viewers_of_a_site_receive_bytes_at_a_rate() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).with(|config| {
        let first = config.site[0].clone();
        config.site[0].rate_max = tidegate_proxy::config::units::Size::mib(1);
        config.site[0].hosts = vec!["live.example".to_owned()];
        config.site.push(tidegate_proxy::site::Config {
            name: tidegate_proxy::config::NodeName::literal("other"),
            hosts: vec!["other.example".to_owned()],
            ..first
        });
    });
    let edge = edge.run().await;
    let path = "/bytes/262144";
    let began = tokio::time::Instant::now();
    let mut served = 0;
    // One miss, then hits, on both paths: HEAD has no body, and costs nothing.
    for number in 0..40 {
        let viewer = if number % 2 == 0 {
            viewer(edge.addr())
        } else {
            viewer(edge.addr()).header("if-range", "\"none\"").header("range", "bytes=0-9")
        };
        let response = viewer.get(path).await;
        if response.status == 503 {
            assert_limited(&response, 503, "bytes_per_site");
            continue;
        }
        response.is(200, &synthetic_bytes(path, 0..262_144));
        served += 1;
    }
    // Four fit into the rate; the last one before the limit may exceed it.
    let earned = 4 * (began.elapsed().as_secs() + 1);
    assert!((4..=5 + earned).contains(&served), "{served} in {:?}", began.elapsed());
    let limited = edge.count("tidegate_limited_requests_total", "limit=\"bytes_per_site\"").await;
    assert_eq!(limited, 40 - served);
    let other = viewer(edge.addr()).host("other.example");
    other.get(path).await.is(200, &synthetic_bytes(path, 0..262_144));
    until("the site has paid", async || viewer(edge.addr()).get(path).await.status == 200).await;
}
