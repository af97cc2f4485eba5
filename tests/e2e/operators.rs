//! What operators see: health, readiness, metrics, status, and a line for every request.

use std::path::Path;

use serde_json::{Value, json};
use tidegate_origin_stub::Fault;
use tidegate_proxy::config::units::Period;
use tidegate_tests::{Response, Tier, edge, origin, shield, until, viewer, viewers};

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_is_healthy_and_ready_once_it_runs() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    for tier in [&shield, &edge] {
        let health = viewer(tier.admin()).get("/healthz").await;
        assert_eq!((health.status, value(&health)), (200, json!({ "status": "ok" })));
        let ready = viewer(tier.admin()).get("/readyz").await;
        assert_eq!((ready.status, value(&ready)), (200, json!({ "ready": true })));
        assert_eq!(ready.header("cache-control"), "no-store");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_without_an_available_upstream_is_not_ready_until_one_returns() {
    let origin = origin().run().await;
    let down = origin.fault(Fault::on("*").refuse()).unwrap();
    origin.listener_updated().await;
    let shield =
        shield().origin(&origin).with(|config| config.upstream.health.ejection_time = Period::millis(500));
    let shield = shield.run().await;
    assert_eq!(viewer(shield.addr()).get("/bytes/1").await.status, 502);

    let ready = viewer(shield.admin()).get("/readyz").await;
    assert_eq!((ready.status, value(&ready)), (503, json!({ "ready": false, "reason": "no_upstream" })));
    assert_eq!(viewer(shield.admin()).get("/healthz").await.status, 200, "a restart would not help");

    assert!(origin.remove(down));
    origin.listener_updated().await;
    until("the tier is ready again", async || viewer(shield.admin()).get("/readyz").await.status == 200)
        .await;
    until("the tier serves again", async || viewer(shield.addr()).get("/bytes/1").await.status == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_prometheus_text_with_our_prefix_and_no_paths() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    for target in ["/bytes/10", "/bytes/10", "/live/ch1/ts/index.m3u8", "/none", "/bytes/10/../x"] {
        viewer(edge.addr()).get(target).await;
    }
    viewer(edge.addr()).host("secret.example").ask("DELETE", "/bytes/10").await;
    // A request is counted at its end, a moment after the viewer has the response.
    until("all are counted", async || edge.count("tidegate_requests_total", "").await == 6).await;
    assert_eq!(edge.count("tidegate_requests_total", "fate=\"hit\"").await, 1);
    for tier in [&shield, &edge] {
        let response = viewer(tier.admin()).get("/metrics").await;
        assert!(response.header("content-type").starts_with("text/plain; version=0.0.4"));
        let samples = exposition(&response.text());
        for (name, labels) in &samples {
            assert!(name.starts_with("tidegate_") || name.starts_with("process_"), "{name}");
            for (label, value) in labels {
                if name == "tidegate_stream_viewers" && label == "stream" {
                    assert_eq!(value, "/live/ch1/ts", "`audience.streams_max` bounds these");
                    continue;
                }
                assert!(!value.contains('/') && !value.contains("example"), "{name}: {label}={value}");
            }
            let of = |label: &str| labels.iter().any(|(name, _)| name == label);
            assert!(of("tier") && of("node"), "{name} lacks its tier or node");
        }
        for name in ["tidegate_requests_total", "tidegate_origin_requests_total", "tidegate_connections"] {
            assert!(samples.iter().any(|(sample, _)| sample == name), "{name} is missing");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_page_lists_objects_fills_and_upstreams() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    viewer(edge.addr()).get("/bytes/1000").await;
    origin.fault(Fault::on("/bytes/2000").hold_at("rest", 500)).unwrap();
    let mut open = viewer(edge.addr()).start("GET", "/bytes/2000").await;
    assert!(open.begins(500).await);

    let status = edge.status().await;
    assert_eq!((&status["node"], &status["tier"]), (&json!("edge-1"), &json!("edge")));
    assert_eq!(status["readiness"], "ready");
    let charged = status["cache"]["charged_bytes"].as_u64().unwrap();
    assert!(charged > 3000 && charged < 100_000, "{charged}");
    assert_eq!(status["cache"]["body_bytes"], 1500);
    assert_eq!(status["fills"]["count"], 1);
    let fill = &status["fills"]["listed"][0];
    assert_eq!(fill, &json!({ "path": "/bytes/2000", "bytes": 500, "viewers": 1 }));
    let object = &status["objects"][0];
    assert_eq!(
        (&object["path"], &object["status"], &object["bytes"]),
        (&json!("/bytes/1000"), &json!(200), &json!(1000))
    );
    let upstream = &status["sites"][0]["upstreams"][0];
    assert_eq!(upstream["address"], format!("http://{}", shield.addr()));
    assert_eq!((&upstream["up"], &upstream["requests"]), (&json!(true), &json!(2)));
    origin.release("rest");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_paths_and_methods_of_the_operators_listener_are_errors_in_json() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    for (method, path, status) in [("GET", "/", 404), ("GET", "/v1/", 404), ("POST", "/v1/status", 405)] {
        let response = viewer(shield.admin()).ask(method, path).await;
        assert_eq!(response.status, status, "{method} {path}");
        assert!(value(&response)["error"].is_string());
    }
    // Viewers cannot reach these paths.
    assert_ne!(viewer(shield.addr()).get("/v1/status").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_state_change_of_an_upstream_is_logged_once() {
    let origin = origin().run().await;
    let down = origin.fault(Fault::on("*").refuse()).unwrap();
    origin.listener_updated().await;
    let shield =
        shield().origin(&origin).with(|config| config.upstream.health.slow_start = Period::millis(1));
    let shield = shield.spawn().await;

    for path in ["/bytes/1", "/bytes/2", "/bytes/3"] {
        assert_eq!(viewer(shield.addr()).get(path).await.status, 502);
    }
    assert!(origin.remove(down));
    origin.listener_updated().await;
    until("the tier serves again", async || viewer(shield.addr()).get("/bytes/4").await.status == 200).await;
    until("it is up", async || upstreams(&shield).await[0]["state"] == "up").await;
    // Log output and responses arrive by different channels.
    until("the last line is logged", async || shield.log_output().contains("to=\"up\"")).await;

    let said = shield.log_output();
    let lines: Vec<_> = said.lines().filter(|line| line.contains("upstream changed")).collect();
    let from_to = |line: &&str| -> (String, String) {
        let word = |name| {
            line.split(name).nth(1).unwrap_or_default().split([' ', '"']).find(|word| !word.is_empty())
        };
        (word("from=").unwrap_or_default().to_owned(), word("to=").unwrap_or_default().to_owned())
    };
    let changes: Vec<_> = lines.iter().map(from_to).collect();
    let expected = [("up", "down"), ("down", "returning"), ("returning", "up")];
    assert_eq!(changes, expected.map(|(from, to)| (from.to_owned(), to.to_owned())), "{said}");
    assert!(lines[0].contains("connection refused") && lines[0].contains(&origin.url()), "{said}");
}

/// The members of a tier's first pool.
async fn upstreams(tier: &Tier) -> Value {
    value(&viewer(tier.admin()).get("/v1/upstreams").await)["pools"][0]["upstreams"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn failovers_and_rescues_are_logged_at_debug_level() {
    let (primary, backup) = (origin().run().await, origin().run().await);
    primary.fault(Fault::on("/bytes/1000").status(503)).unwrap();
    primary.fault(Fault::on("/bytes/400000").close_at(100_000)).unwrap();
    let shield = shield().origin(&primary).origin(&backup);
    let shield = shield.spawn_with(&["--log", "info,tidegate_upstream=debug"]).await;

    viewer(shield.addr()).get("/bytes/1000?token=secret").await;
    assert!(viewer(shield.addr()).get("/bytes/400000").await.whole);

    until("the rescue is logged", async || shield.log_output().contains("rescued")).await;
    let (upstream, next) = (primary.url(), backup.url());
    for line in [
        format!(
            "failed over path=\"/bytes/1000\" upstream={upstream} error=response 503 Service Unavailable next={next}"
        ),
        format!(
            "rescued path=\"/bytes/400000\" from=100000 upstream={upstream} error=connection closed next={next}"
        ),
    ] {
        let said = shield.log_output();
        assert!(said.contains(&line) && !said.contains("secret"), "{line}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_has_a_json_line_with_its_fate() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let origin = origin().run().await;
    let log = file.to_str().unwrap().to_owned();
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).with(|config| config.log.access = log).run().await;

    let player = || viewer(edge.addr()).header("user-agent", "player/1").header("x-request-id", "r1");
    player().get("/bytes/1000?token=secret&CMCD=sid%3D%22abc%22").await;
    player().get("/bytes/1000?token=secret").await;
    player().get("/bytes/1000?private=1").await;
    player().get("/live/none.ts").await;
    player().ask("DELETE", "/bytes/1000").await;
    player().ask("OPTIONS", "/bytes/1000").await;
    origin.fault(Fault::on("/bytes/3000").status(503)).unwrap();
    player().get("/bytes/3000").await;
    origin.fault(Fault::on("/bytes/4000").cut_at(100)).unwrap();
    assert!(!player().get("/bytes/4000").await.whole);
    edge.drain();
    edge.ended().await;

    let lines = lines(&file);
    let of = |line: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let status = line["http"]["response"]["status_code"].as_u64();
        (text(&line["url"]["path"]), text(&line["tidegate"]["fate"]), status.unwrap_or_default())
    };
    // The line is written at the end of the request, a moment after the viewer has the response.
    let mut fates: Vec<_> = lines.iter().map(of).collect();
    fates.sort();
    let expected = [
        ("/bytes/1000", "hit", 200),
        ("/bytes/1000", "miss", 200),
        ("/bytes/1000", "options", 204),
        ("/bytes/1000", "pass", 200),
        ("/bytes/1000", "refused", 405),
        ("/bytes/3000", "failed", 503),
        ("/bytes/4000", "miss", 200),
        ("/live/none.ts", "miss", 404),
    ];
    assert_eq!(fates, expected.map(|(path, fate, status)| (path.to_owned(), fate.to_owned(), status)));
    let with = |path: &str, fate: &str| {
        let found = lines.iter().find(|line| line["url"]["path"] == path && line["tidegate"]["fate"] == fate);
        found.expect("the line was just found")
    };
    let first = with("/bytes/1000", "miss");
    assert!(first["@timestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!(first["http"]["request"], json!({ "method": "GET", "id": "r1" }));
    assert_eq!(first["http"]["response"]["body"]["bytes"], 1000);
    assert_eq!(first["url"]["path"], "/bytes/1000");
    assert!(!first["url"].to_string().contains("secret"), "{}", first["url"]);
    assert_eq!(first["client"]["ip"], "127.0.0.1");
    assert_eq!(first["user_agent"]["original"], "player/1");
    assert_eq!(first["tidegate"]["upstream"], format!("http://{}", shield.addr()));
    assert_eq!(first["cmcd"]["sid"], "abc", "{first}");
    assert_eq!(with("/bytes/4000", "miss")["tidegate"]["broken"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_is_logged_as_failed_and_a_refusal_with_the_fields_that_are_known() {
    const SEGMENT: &str = "/bytes/1000/0.ts";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let origin = origin().run().await;
    origin.fault(Fault::on(SEGMENT).hold("head")).unwrap();
    let log = file.to_str().unwrap().to_owned();
    let edge = edge().origin(&origin).with(|config| {
        config.viewers.wait_timeout = Period::millis(100);
        config.site[0].hosts = vec!["live.example".to_owned()];
        config.log.access = log;
    });
    let edge = edge.run().await;

    let waited = viewer(edge.addr()).get(SEGMENT).await;
    assert_eq!((waited.status, waited.header("x-cache")), (504, "ERROR"));
    assert_eq!(viewer(edge.addr()).ask("DELETE", "/live/index.m3u8").await.status, 405);
    assert_eq!(viewer(edge.addr()).get("/live/../init.mp4").await.status, 400);
    assert_eq!(viewer(edge.addr()).host("other.example").get("/live/index.m3u8").await.status, 421);
    until("all are counted", async || edge.count("tidegate_requests_total", "").await == 4).await;
    assert_eq!(edge.count("tidegate_requests_total", "fate=\"failed\",kind=\"segment\"").await, 1);
    origin.release("head");
    edge.drain();
    edge.ended().await;

    let lines = lines(&file);
    for (status, fate, kind, site, error) in [
        (504, "failed", "segment", json!("default"), "connection_read_timeout"),
        (405, "refused", "playlist", json!("default"), "http_request_denied"),
        (400, "refused", "other", json!("default"), "http_request_error"),
        (421, "refused", "other", Value::Null, "http_request_denied"),
    ] {
        let line = lines.iter().find(|line| line["http"]["response"]["status_code"] == status);
        let logged = &line.expect("every request has a line")["tidegate"];
        assert_eq!((&logged["fate"], &logged["kind"], &logged["site"]), (&json!(fate), &json!(kind), &site));
        assert_eq!(logged["error"], error, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_request_has_its_line_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let origin = origin().run().await;
    let log = file.to_str().unwrap().to_owned();
    let edge = edge().origin(&origin).with(|config| {
        config.viewers.head_timeout = Period::millis(100);
        config.log.access = log;
    });
    let edge = edge.run().await;

    let mut bodies = Vec::new();
    let large = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(100_000));
    for request in ["HELLO\r\n\r\n", "GET / HTTP/1.1\r\nhost: ", &large] {
        let response = viewer(edge.addr()).raw(request.as_bytes()).await;
        let head = response.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        bodies.push(response.len() - head - 4);
    }
    edge.drain();
    edge.ended().await;

    for ((line, status), bytes) in lines(&file).iter().zip([400, 408, 431]).zip(bodies) {
        assert_eq!(
            line["http"],
            json!({ "response": { "status_code": status, "body": { "bytes": bytes } } })
        );
        assert_eq!((&line["client"]["ip"], &line["url"]), (&json!("127.0.0.1"), &Value::Null));
        let logged = &line["tidegate"];
        assert_eq!((&logged["fate"], &logged["error"]), (&json!("refused"), &json!("http_request_error")));
    }
    assert_eq!(lines(&file).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_joins_a_fill_is_logged_as_collapsed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let origin = origin().run().await;
    origin.fault(Fault::on("/bytes/1000").hold("head")).unwrap();
    let log = file.to_str().unwrap().to_owned();
    let edge = edge().origin(&origin).with(|config| config.log.access = log).run().await;

    let watching = viewers(10, &[&edge]).start("/bytes/1000").await;
    until("all have joined", async || edge.joined().await == 10).await;
    origin.release("head");
    for mut viewer in watching {
        assert!(viewer.rest().await.whole);
    }
    edge.drain();
    edge.ended().await;

    let lines = lines(&file);
    assert_eq!(lines.len(), 10);
    let collapsed = lines.iter().filter(|line| line["tidegate"]["collapsed"] == true).count();
    let joined = lines.iter().filter(|line| line["tidegate"]["fate"] == "join").count();
    assert_eq!((collapsed, joined), (9, 9));
}

fn value(response: &Response) -> Value {
    serde_json::from_slice(&response.body).expect("JSON")
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

type Sample = (String, Vec<(String, String)>);

/// Parses the Prometheus text format strictly: every sample belongs to a family with help and type.
fn exposition(text: &str) -> Vec<Sample> {
    assert!(text.ends_with('\n'));
    let (mut families, mut helped, mut samples) = (Vec::new(), Vec::new(), Vec::new());
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            helped.push(help.split(' ').next().unwrap());
        } else if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(helped.contains(&name), "{name} has no help");
            assert!(!families.contains(&name), "{name} appears twice");
            families.push(name);
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let (name, labels) = name.strip_suffix('}').and_then(|name| name.split_once('{')).expect(line);
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            assert!(
                families.contains(&name) || family.is_some_and(|name| families.contains(&name)),
                "{line}"
            );
            let labels = labels.split(',').map(|label| {
                let (name, value) = label.split_once('=').expect(line);
                (name.to_owned(), value.trim_matches('"').to_owned())
            });
            samples.push((name.to_owned(), labels.collect()));
        }
    }
    samples
}
