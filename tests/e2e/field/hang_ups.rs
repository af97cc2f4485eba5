//! Origins that close connections: at methods that they do not know, and at the wrong moment of a kept one.

use tidegate_proxy::config::units::Period;
use tidegate_proxy::config::upstream::ProbeKind;
use tidegate_proxy::site::config::Verb;
use tidegate_tests::{edge, resolver, until, viewer};
use tokio::net::TcpListener;

use super::scripted::{Asked, Reply, Scripted, reply, response};

fn get_only(asked: &Asked) -> Reply {
    match asked.method.as_str() {
        "GET" => reply(200, &[], b"segment"),
        _ => Reply::Last(Vec::new()),
    }
}

/// It knows nothing but the objects of its stream.
fn objects_only(asked: &Asked) -> Reply {
    if asked.path() == "/" { Reply::Last(Vec::new()) } else { get_only(asked) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_hangs_up_on_probes_stays_up_while_it_serves() {
    for (script, is_busy) in [(get_only as fn(&Asked) -> Reply, false), (objects_only, true)] {
        let origin = Scripted::run(script).await;
        let edge = edge().origin_at(&origin.url).with(|config| {
            config.upstream.probe.kind = ProbeKind::Http;
            config.upstream.probe.interval = Period::millis(20);
        });
        let edge = edge.run().await;
        let mut number = 0;
        let probes = || origin.requests("/");
        until("it was probed", async || probes() > 0).await;
        let before = probes();
        while probes() < before + 40 {
            if is_busy {
                number += 1;
                viewer(edge.addr()).get(&format!("/live/{number}.ts")).await.is(200, b"segment");
            }
            tokio::task::yield_now().await;
        }
        viewer(edge.addr()).get("/live/last.ts").await.is(200, b"segment");
        if !is_busy {
            assert_eq!(edge.count("tidegate_upstream_ejections_total", "").await, 0);
        }
        let page = viewer(edge.admin()).get("/v1/upstreams").await.text();
        assert!(page.contains("\"up\"") || page.contains("\"returning\""), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_on_a_closed_connection_is_sent_again_until_a_connection_is_new() {
    // Every connection serves one request, says that it persists, and closes at the second.
    let origin = Scripted::run(|asked| match asked.on_connection {
        1 => Reply::Bytes(response(200, &[], b"segment")),
        _ => Reply::Last(Vec::new()),
    });
    let origin = origin.await;
    let edge = edge().origin_at(&origin.url).run().await;
    // Enough idle connections that every try but the last meets a closed one.
    let mut together = tokio::task::JoinSet::new();
    for number in 0..20 {
        let addr = edge.addr();
        together.spawn(async move { viewer(addr).get(&format!("/live/first-{number}.ts")).await });
    }
    for response in together.join_all().await {
        response.is(200, b"segment");
    }
    for number in 0..40 {
        viewer(edge.addr()).get(&format!("/live/{number}.ts")).await.is(200, b"segment");
    }
    assert_eq!(edge.count("tidegate_fills_total", "failed").await, 0);
}

/// A request that may have been acted on cannot be sent again.
#[tokio::test(flavor = "multi_thread")]
async fn an_unsafe_request_uses_a_connection_of_its_own() {
    let origin = Scripted::run(|asked| match asked.on_connection {
        1 => Reply::Bytes(response(200, &[], b"segment")),
        _ => Reply::Last(Vec::new()),
    });
    let origin = origin.await;
    let edge = edge().origin_at(&origin.url).with(|config| {
        config.site[0].methods = vec![Verb(http::Method::DELETE), Verb(http::Method::PUT)];
    });
    let edge = edge.run().await;
    for number in 0..10 {
        viewer(edge.addr()).get(&format!("/live/{number}.ts")).await.is(200, b"segment");
        for method in ["DELETE", "PUT"] {
            let response = viewer(edge.addr()).ask(method, &format!("/live/{number}.json")).await;
            assert_eq!(response.status, 200, "{method}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_address_of_a_name_costs_no_viewer_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let origin =
        Scripted::run_on(listener, |_| Reply::Last(response(200, &[("Connection", "close")], b"segment")));
    let dns = resolver().await;
    dns.host("origin.test", 1, &["127.0.0.2", "127.0.0.3", "127.0.0.1", "127.0.0.4"]);
    for _first_address_by_chance in 0..8 {
        let edge = edge().origin_at(&format!("http://origin.test:{port}")).with(|config| {
            config.upstream.dns = vec![dns.addr()];
        });
        let edge = edge.run().await;
        for number in 0..3 {
            viewer(edge.addr()).get(&format!("/live/{number}.ts")).await.is(200, b"segment");
        }
        assert_eq!(edge.count("tidegate_fills_total", "failed").await, 0);
        assert_eq!(edge.count("tidegate_upstream_ejections_total", "").await, 0);
    }
    drop(origin);
}
