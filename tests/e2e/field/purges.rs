//! Purges: a request that arrives after a purge gets nothing that was requested from the origin before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_proxy::purge::order::{Names, Order};
use tidegate_tests::{
    Connection, OPERATORS_TOKEN, Response, Running, Tier, edge, origin, shield, tidegate, until, viewer,
    viewers,
};
use tokio::task::JoinSet;

use super::scripted::{Asked, M3U8, Scripted, live, reply};

/// Purges at one tier; returns the report.
async fn purge(tier: &Tier, order: &Value) -> Value {
    let response = viewer(tier.admin()).body(order.to_string().as_bytes()).ask("POST", "/v1/purge").await;
    assert_eq!(response.status, 202, "{order}: {}", response.text());
    serde_json::from_str(&response.text()).unwrap()
}

/// Purges at the shield, then at the edge; returns the report of the edge.
async fn purge_all(shield: &Tier, edge: &Tier, order: &Value) -> Value {
    purge(shield, order).await;
    purge(edge, order).await
}

/// An origin whose every object is the number of its version, and a shield and an edge in front of it.
async fn versions(
    fields: &'static [(&'static str, &'static str)],
) -> (Arc<AtomicUsize>, Scripted, Running, Running) {
    let version = Arc::new(AtomicUsize::new(0));
    let newest = Arc::clone(&version);
    let origin = Scripted::run(move |asked: &Asked| {
        let newest = newest.load(Ordering::SeqCst);
        let etag = format!("\"{newest}\"");
        if asked.header("if-none-match") == etag {
            return reply(304, &[("ETag", &etag)], b"");
        }
        let own = [("Cache-Control", "max-age=600"), ("ETag", etag.as_str())];
        reply(200, &[&own, fields].concat(), newest.to_string().as_bytes())
    })
    .await;
    let shield = shield().origin_at(&origin.url).run().await;
    let edge = edge().shield(&shield).run().await;
    (version, origin, shield, edge)
}

const TAGGED: &[(&str, &str)] =
    &[("Surrogate-Key", "channel one"), ("Cache-Tag", "tv, films"), ("Cache-Groups", "\"news\"")];

const PATHS: [&str; 4] = ["/ch/1.ts", "/ch/2.ts", "/ch/init.mp4", "/ch/3.ts?x=1"];

#[tokio::test(flavor = "multi_thread")]
async fn no_viewer_gets_old_bytes_after_a_purge_of_any_kind() {
    let (version, _origin, shield, edge) = versions(TAGGED).await;
    let purged = Arc::new(AtomicUsize::new(0));
    let is_done = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let mut crowd = JoinSet::new();
    for number in 0..200 {
        let (purged, is_done, served) = (Arc::clone(&purged), Arc::clone(&is_done), Arc::clone(&served));
        let addr = edge.addr();
        crowd.spawn(async move {
            let request = format!("GET {} HTTP/1.1\r\nhost: a\r\n\r\n", PATHS[number % PATHS.len()]);
            let mut connection = Connection::open(addr, b"").await;
            while !is_done.load(Ordering::SeqCst) {
                let at_least = purged.load(Ordering::SeqCst);
                connection.send(request.as_bytes()).await;
                let response = connection.response("GET").await;
                assert_eq!(response.status, 200, "{}", response.text());
                let got: usize = response.text().parse().unwrap();
                assert!(got >= at_least, "version {got} after the purge of {at_least}");
                served.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    let url = |path: &str| format!("http://any.example{path}");
    let urls = PATHS.map(url);
    let soft = json!({ "everything": true, "soft": true });
    for order in [
        json!({ "files": urls }),
        json!({ "prefixes": url("/ch/") }),
        json!({ "hosts": "any.example" }),
        json!({ "tags": "channel" }),
        json!({ "tags": "films" }),
        json!({ "tags": "news" }),
        json!({ "tags": "channel", "soft": true }),
        json!({ "everything": true }),
        soft,
    ] {
        let before = served.load(Ordering::SeqCst);
        until("the crowd is served", async || served.load(Ordering::SeqCst) >= before + 400).await;
        let newest = version.fetch_add(1, Ordering::SeqCst) + 1;
        let report = purge_all(&shield, &edge, &order).await;
        purged.store(newest, Ordering::SeqCst);
        assert_eq!(report["purged"], 4, "{order}");
    }
    let before = served.load(Ordering::SeqCst);
    until("the crowd is served", async || served.load(Ordering::SeqCst) >= before + 400).await;
    is_done.store(true, Ordering::SeqCst);
    while let Some(ended) = crowd.join_next().await {
        ended.unwrap();
    }
    assert_eq!(edge.count("tidegate_purges_total", "kind=\"tags\"").await, 4);
    assert_eq!(edge.count("tidegate_purges_total", "").await, 9);
    assert_eq!(edge.count("tidegate_purged_objects_total", "").await, 36);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_selects_no_more_than_it_names() {
    let (_version, _origin, shield, edge) = versions(TAGGED).await;
    let all = ["/ch/1.ts", "/ch/1.ts?x=1", "/ch/12.ts", "/other/1.ts"];
    for (order, gone) in [
        (json!({ "files": "http://a/ch/1.ts" }), &all[..1]),
        (json!({ "files": ["http://a/ch/12.ts", "/other/1.ts"], "site": "default" }), &all[2..]),
        (json!({ "prefixes": "http://a/ch/1" }), &all[..3]),
        (json!({ "tags": "nothing" }), &[]),
        (json!({ "tags": "chan" }), &[]),
        (json!({ "tags": ["nothing", "one"] }), &all[..]),
    ] {
        for path in all {
            viewer(edge.addr()).get(path).await;
        }
        edge.fills_finished().await;
        shield.fills_finished().await;
        assert_eq!(purge_all(&shield, &edge, &order).await["purged"], gone.len(), "{order}");
        for path in all {
            let expected = if gone.contains(&path) { "MISS" } else { "HIT" };
            let response = viewer(edge.addr()).get(path).await;
            assert!(response.header("x-cache").ends_with(expected), "{order}: {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_from_before_a_purge_is_neither_joined_nor_stored() {
    const PATH: &str = "/bytes/2000";
    let new = synthetic_bytes(PATH, 0..2000);
    for order in [
        json!({ "files": "http://a/bytes/2000" }),
        json!({ "everything": true, "soft": true }),
        json!({ "tags": "held" }),
    ] {
        for at in [None, Some(500)] {
            let origin = origin().run().await;
            let old = Fault::on(PATH).times(1).variant(1).header("surrogate-key", "held");
            origin
                .fault(at.map_or_else(|| old.clone().hold("x"), |at| old.clone().hold_at("x", at)))
                .unwrap();
            let shield = shield().origin(&origin).run().await;
            let edge = edge().shield(&shield).run().await;
            let mut early = viewer(edge.addr()).start("GET", PATH).await;
            origin.waiting("x", 1).await;
            if at.is_some() {
                assert!(early.begins(500).await);
            }
            purge_all(&shield, &edge, &order).await;
            let is_tag = order.get("tags").is_some();
            if is_tag && at.is_none() {
                // Only the head shows whether the purge concerns it.
                let mut late = viewer(edge.addr()).start("GET", PATH).await;
                until("it has joined", async || edge.joined().await == 2).await;
                origin.release("x");
                late.response("GET").await.is(200, &new);
                early.response("GET").await.is(200, &new);
            } else {
                for response in viewers(20, &[&edge]).get(PATH).await {
                    response.is(200, &new);
                }
                origin.release("x");
                let first = early.rest().await;
                assert!(
                    first.whole && first.status == 200 && (at.is_none() == (first.body == new)),
                    "{order} {at:?}: {} whole: {}",
                    first.status,
                    first.whole
                );
            }
            edge.fills_finished().await;
            shield.fills_finished().await;
            viewer(edge.addr()).get(PATH).await.is(200, &new);
            assert_eq!(origin.requests(PATH), 2, "{order} {at:?}");
        }
    }
}

/// The corrected playlist goes back, which a tier that knows the stream would refuse.
#[tokio::test(flavor = "multi_thread")]
async fn what_live_knows_of_a_purged_playlist_is_forgotten() {
    const PATH: &str = "/ch/1.m3u8";
    for order in [
        json!({ "files": "http://a/ch/1.m3u8" }),
        json!({ "prefixes": "http://a/ch/" }),
        json!({ "everything": true }),
        json!({ "tags": "ch" }),
    ] {
        let first = Arc::new(AtomicUsize::new(100));
        let newest = Arc::clone(&first);
        let origin = Scripted::run(move |asked: &Asked| {
            if asked.path() != PATH {
                return reply(200, &[], b"segment");
            }
            reply(200, &[M3U8, ("Surrogate-Key", "ch")], live(newest.load(Ordering::SeqCst)).as_bytes())
        })
        .await;
        let shield = shield().origin_at(&origin.url).run().await;
        let edge = edge().shield(&shield).run().await;
        for _ in 0..3 {
            viewer(edge.addr()).get(PATH).await.is(200, live(100).as_bytes());
        }
        until("it is followed", async || edge.count("tidegate_playlist_polls_total", "").await > 0).await;
        let blocked = viewer(edge.addr()).start("GET", "/ch/1.m3u8?_HLS_msn=104").await;

        first.store(50, Ordering::SeqCst);
        let report = purge_all(&shield, &edge, &order).await;
        assert_eq!(report["streams"], 1, "{order}");
        for response in viewers(20, &[&edge]).get(PATH).await {
            response.is(200, live(50).as_bytes());
        }
        drop(blocked);
        first.store(51, Ordering::SeqCst);
        until("it moves on", async || viewer(edge.addr()).get(PATH).await.body == live(51).as_bytes()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_blocks_is_released_by_a_purge_and_blocks_again_on_what_is_found_then() {
    const PATH: &str = "/ch/1.m3u8";
    let first = Arc::new(AtomicUsize::new(100));
    let newest = Arc::clone(&first);
    let origin =
        Scripted::run(move |_: &Asked| reply(200, &[M3U8], live(newest.load(Ordering::SeqCst)).as_bytes()))
            .await;
    let edge = edge().origin_at(&origin.url).run().await;
    for order in [json!({ "everything": true }), json!({ "everything": true, "soft": true })] {
        let now = first.load(Ordering::SeqCst);
        until("the newest is there", async || {
            viewer(edge.addr()).get(PATH).await.body == live(now).as_bytes()
        })
        .await;
        let target = format!("{PATH}?_HLS_msn={}", now + 4);
        let mut blocked = viewer(edge.addr()).start("GET", &target).await;
        until("it blocks", async || edge.count("tidegate_blocked_requests", "").await == 1).await;
        first.fetch_add(1, Ordering::SeqCst);
        purge(&edge, &order).await;
        blocked.response("GET").await.is(200, live(now + 1).as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn softly_purged_objects_are_revalidated_and_serve_while_no_origin_can() {
    let (version, origin, shield, edge) = versions(&[]).await;
    let soft = json!({ "files": "http://a/1.ts", "soft": true });
    viewer(edge.addr()).get("/1.ts").await.is(200, b"0");
    let report = purge_all(&shield, &edge, &soft).await;
    assert_eq!(report["soft"], true);
    let again = viewer(edge.admin()).get(&format!("/v1/purge/{}", report["id"].as_str().unwrap())).await;
    assert_eq!(serde_json::from_str::<Value>(&again.text()).unwrap(), report);
    viewer(edge.addr()).get("/1.ts").await.is(200, b"0");
    let seen = origin.seen("/1.ts");
    assert_eq!((seen.len(), seen[1].header("if-none-match")), (2, "\"0\""));
    version.fetch_add(1, Ordering::SeqCst);
    viewer(edge.addr()).get("/1.ts").await.is(200, b"0");
    purge_all(&shield, &edge, &soft).await;
    viewer(edge.addr()).get("/1.ts").await.is(200, b"1");
    purge_all(&shield, &edge, &soft).await;
    drop(origin);
    viewer(edge.addr()).get("/1.ts").await.is(200, b"1");
    purge_all(&shield, &edge, &json!({ "files": "http://a/1.ts" })).await;
    assert_eq!(viewer(edge.addr()).get("/1.ts").await.status, 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_do_not_see_the_tags_for_caches() {
    let (_version, _origin, shield, edge) = versions(TAGGED).await;
    let names = ["surrogate-key", "cache-tag", "cache-groups"];
    let seen = |response: &Response| names.map(|name| response.header(name).to_owned());
    for _ in 0..2 {
        let at_edge = viewer(edge.addr()).get("/1.ts").await;
        assert_eq!(seen(&at_edge), ["", "", "\"news\""]);
        assert_eq!(seen(&viewer(shield.addr()).get("/1.ts").await), ["channel one", "tv, films", "\"news\""]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_purge_only_where_a_site_allows_them() {
    let origin = origin().run().await;
    let closed = edge().origin(&origin).run().await;
    assert_eq!(viewer(closed.addr()).ask("PURGE", "/bytes/10").await.status, 405);
    let open = edge().origin(&origin).with(|config| {
        config.site[0].purge.allow = vec!["127.0.0.1/32".parse().unwrap()];
    });
    let open = open.run().await;
    viewer(open.addr()).get("/bytes/10").await;
    open.fills_finished().await;
    let purged = viewer(open.addr()).ask("PURGE", "/bytes/10").await;
    assert_eq!(purged.status, 200);
    let report: Value = serde_json::from_str(&purged.text()).unwrap();
    assert_eq!((&report["purged"], &report["kind"]), (&json!(1), &json!("files")));
    assert!(viewer(open.addr()).get("/bytes/10").await.header("x-cache").ends_with("MISS"));
    let elsewhere = edge().origin(&origin).with(|config| {
        config.site[0].purge.allow = vec!["192.0.2.0/24".parse().unwrap()];
    });
    let elsewhere = elsewhere.run().await;
    assert_eq!(viewer(elsewhere.addr()).ask("PURGE", "/bytes/10").await.status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_cannot_be_carried_out_names_its_field() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).run().await;
    for (order, field) in
        [("{\"files\":\"/1.ts\"}", "files"), ("{\"everything\":true,\"site\":\"x\"}", "site"), ("x", "")]
    {
        let refused = viewer(edge.admin()).body(order.as_bytes()).ask("POST", "/v1/purge").await;
        let error: Value = serde_json::from_str(&refused.text()).unwrap();
        assert_eq!((refused.status, &error["field"]), (400, &json!(field)), "{order}");
    }
    assert_eq!(viewer(edge.admin()).get("/v1/purge").await.status, 405);
    assert_eq!(viewer(edge.admin()).get("/v1/purge/x").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_purges_shields_then_edges_and_names_the_nodes_that_did_not_answer() {
    let folder = tempfile::tempdir().unwrap();
    let (config, token) = (folder.path().join("edge.toml"), OPERATORS_TOKEN);
    let origin = origin().run().await;
    let shield =
        shield().origin(&origin).with(|config| config.listen.operators_token = Some(token.to_owned()));
    let shield = shield.run().await;
    let guarded = |edge: tidegate_tests::tiers::EdgeBuilder| {
        edge.shield(&shield).with(|config| config.listen.operators_token = Some(token.to_owned()))
    };
    let (one, two) = (guarded(edge()).run().await, guarded(edge().named("edge-2")).run().await);
    for edge in [&one, &two] {
        viewer(edge.addr()).get("/bytes/10").await;
        edge.fills_finished().await;
    }
    shield.fills_finished().await;
    let write = |edges: &[&str]| {
        let shield = format!("http://{}", shield.admin());
        let text = format!(
            "[listen]\noperators_token = {token:?}\n[control]\nshields = [{shield:?}]\nedges = {edges:?}\n"
        );
        std::fs::write(&config, text).unwrap();
    };
    let [one_url, two_url] = [&one, &two].map(|edge| format!("http://{}", edge.admin()));
    write(&[&one_url, &two_url]);
    let config = config.to_str().unwrap();
    let done = tidegate(&["purge", "--config", config, "--url", "https://a/bytes/10"]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", done.stdout);
    assert!(lines[0].contains("(shield shield-1)") && lines[0].contains("purged 1 objects"), "{}", lines[0]);
    assert!(lines[1..].iter().any(|line| line.contains("(edge edge-2)")), "{}", done.stdout);
    assert!(viewer(one.addr()).get("/bytes/10").await.header("x-cache").ends_with("MISS"));

    // Port 1 refuses.
    write(&[&one_url, "http://127.0.0.1:1", &two_url]);
    let failed = tidegate(&["purge", "--config", config, "--tag", "x", "--soft"]).await;
    assert_eq!(failed.code, Some(1));
    assert!(failed.stderr.contains("1 of 4 nodes did not purge: http://127.0.0.1:1"), "{}", failed.stderr);
    assert_eq!(failed.stdout.lines().filter(|line| line.contains("expired 0 objects")).count(), 3);

    let named = ["purge", "--edge", &one_url, "--everything"];
    let refused = tidegate(&named).await;
    assert!(
        refused.code == Some(1) && refused.stdout.contains("401"),
        "{}{}",
        refused.stdout,
        refused.stderr
    );
    let accepted = tidegate(&[&named[..], &["--token", token]].concat()).await;
    assert_eq!(accepted.code, Some(0), "{}", accepted.stderr);
    for usage in [
        &["purge", "--everything"][..],
        &["purge", "--edge", &one_url],
        &["purge", "--edge", "x", "--everything"],
    ] {
        assert_ne!(tidegate(usage).await.code, Some(0), "{usage:?}");
    }
}

/// A program may embed a tier and purge without a listener.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_runs_on_a_tier_in_the_same_process() {
    let origin = origin().run().await;
    let mut config = tidegate_edge::Config::default();
    config.shields.clear();
    config.site[0].origins = vec![origin.url().parse().unwrap()];
    config.listen.viewers = "127.0.0.1:0".parse().unwrap();
    config.listen.operators = "127.0.0.1:0".parse().unwrap();
    let edge = tidegate_edge::Edge::load(config).await.unwrap();
    let tier = edge.node().tier();
    let order = Order { prefixes: Names(vec!["http://a/".to_owned()]), ..Order::default() };
    let report = order.resolve(&tier.sites()).unwrap().run(tier);
    assert_eq!((report.purged, report.kind), (0, "prefixes"));
}
