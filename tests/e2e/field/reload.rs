//! Reloads of the configuration: what changes, changes for the next request; what is cached stays, no
//! connection closes, and a file with an error changes nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_edge::Config;
use tidegate_proxy::config::NodeName;
use tidegate_proxy::config::units::{Period, Size};
use tidegate_proxy::config::upstream::ProbeKind;
use tidegate_tests::{
    Connection, Process, Response, Running, Signal, Swarm, edge, origin, shield, until, viewer,
};
use tokio::task::JoinSet;

use super::scripted::{Asked, Scripted, reply};
use crate::gate::token::{SECRET, token};

/// An edge and the file that it reads again.
struct Reloadable {
    edge: Running,
    folder: TempDir,
}

impl Reloadable {
    /// An edge whose one site has this origin.
    async fn of(origin: &str, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let edge = edge().origin_at(origin).with(change).run_from(&folder.path().join("edge.toml")).await;
        Self { edge, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("edge.toml")
    }

    fn change(&self, change: impl FnOnce(&mut Config)) {
        let mut config = Config::parse("edge.toml", &std::fs::read_to_string(self.file()).unwrap()).unwrap();
        change(&mut config);
        std::fs::write(self.file(), toml::to_string(&config).unwrap()).unwrap();
    }

    /// Changes the file and reloads it; returns the report.
    async fn reload(&self, change: impl FnOnce(&mut Config)) -> Value {
        self.change(change);
        let response = self.post().await;
        assert_eq!(response.status, 200, "{}", response.text());
        serde_json::from_slice(&response.body).unwrap()
    }

    async fn post(&self) -> Response {
        viewer(self.edge.admin()).ask("POST", "/v1/reload").await
    }

    async fn get(&self, target: &str) -> Response {
        viewer(self.edge.addr()).get(target).await
    }

    /// A response to the same request as a fill and as a hit.
    async fn status_twice(&self, target: &str) -> u16 {
        let (first, second) = (self.get(target).await.status, self.get(target).await.status);
        assert_eq!(first, second, "{target}");
        first
    }

    async fn upstreams(&self) -> Value {
        serde_json::from_slice(&viewer(self.edge.admin()).get("/v1/upstreams").await.body).unwrap()
    }
}

/// An origin whose every object is its name.
async fn named(name: &'static str) -> Scripted {
    let fields = &[("Cache-Control", "max-age=600")];
    Scripted::run(move |_: &Asked| reply(200, fields, name.as_bytes())).await
}

fn paths(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("/bytes/20000/{number}.ts")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_reloads_cost_no_request_and_no_cached_object() {
    let origin = origin().run().await;
    let node = Reloadable::of(&origin.url(), |_| {}).await;
    let paths = paths(20);
    for path in &paths {
        assert_eq!(node.get(path).await.status, 200);
    }
    let (is_done, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut crowd = JoinSet::new();
    for number in 0..50 {
        let (is_done, served) = (Arc::clone(&is_done), Arc::clone(&served));
        let (addr, path) = (node.edge.addr(), paths[number % paths.len()].clone());
        crowd.spawn(async move {
            let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
            let mut connection = Connection::open(addr, b"").await;
            while !is_done.load(Ordering::SeqCst) {
                connection.send(request.as_bytes()).await;
                let response = connection.response("GET").await;
                assert!(response.status == 200 && response.whole && response.body.len() == 20_000, "{path}");
                served.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    for round in 0..300 {
        let before = served.load(Ordering::SeqCst);
        let report = node
            .reload(|config| {
                let site = &mut config.site[0];
                site.gzip = !site.gzip;
                site.lifetimes.segment = Period::secs(600 + round);
            })
            .await;
        assert_eq!(report["needs_restart"], json!([]), "{report}");
        until("viewers are served in between", async || served.load(Ordering::SeqCst) > before).await;
    }
    is_done.store(true, Ordering::SeqCst);
    while let Some(ended) = crowd.join_next().await {
        ended.unwrap();
    }
    for path in &paths {
        assert_eq!(origin.requests(path), 1, "{path}");
    }
    assert_eq!(node.edge.count("tidegate_config_reloads_total", "result=\"success\"").await, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_stream_moves_to_other_origins_without_a_stall() {
    const PLAYLIST: &str = "/live/one/ts/144p/index.m3u8";
    let (first, second) = (origin().run().await, origin().run().await);
    let node = Reloadable::of(&first.url(), |_| {}).await;
    let swarm = Swarm::start(20, &[node.edge.addr()], &[PLAYLIST]);
    swarm.wait_until_playing().await;
    assert_eq!(second.total(), 0);
    for _ in 0..20 {
        node.reload(|config| config.site[0].gzip = !config.site[0].gzip).await;
    }
    let report = node.reload(|config| config.site[0].origins = vec![second.url().parse().unwrap()]).await;
    assert_eq!(report["changed"], json!(["site.default.origins"]));
    until("only the second origin is asked", async || {
        let (of_first, of_second) = (first.total(), second.requests(PLAYLIST));
        until("more versions", async || second.requests(PLAYLIST) >= of_second + 2).await;
        first.total() == of_first
    })
    .await;
    // One target duration: other tests share the processors.
    swarm.stop().await.assert_smooth(Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_origins_serve_what_is_not_cached() {
    let (first, second) = (named("first").await, named("second").await);
    let node = Reloadable::of(&first.url, |_| {}).await;
    node.get("/1.ts").await.is(200, b"first");
    node.reload(|config| config.site[0].origins = vec![second.url.parse().unwrap()]).await;
    node.get("/1.ts").await.is(200, b"first");
    node.get("/2.ts").await.is(200, b"second");
    assert_eq!((first.requests("/1.ts"), first.requests("/2.ts"), second.requests("/1.ts")), (1, 0, 0));
    let upstreams = node.upstreams().await.to_string();
    assert!(!upstreams.contains(&first.url) && upstreams.contains(&second.url), "{upstreams}");
}

/// What is known of an upstream stays while its configuration does.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_does_not_concern_an_upstream_keeps_what_is_known_of_it() {
    let origin = named("origin").await;
    let node = Reloadable::of(&origin.url, |_| {}).await;
    for target in ["/1.ts", "/2.ts", "/3.ts"] {
        node.get(target).await.is(200, b"origin");
    }
    node.reload(|config| config.site[0].cors = false).await;
    let upstreams = node.upstreams().await;
    assert_eq!(upstreams["pools"][0]["upstreams"][0]["requests"], json!(3), "{upstreams}");
    assert_eq!(node.get("/1.ts").await.header("access-control-allow-origin"), "");
}

/// Their heads were rendered before the reload.
#[tokio::test(flavor = "multi_thread")]
async fn cached_objects_get_the_header_fields_of_the_new_configuration() {
    const PAGE: &str = "https://www.example";
    let fields =
        &[("Cache-Control", "max-age=600"), ("Access-Control-Allow-Origin", "https://origin.example")];
    let origin = Scripted::run(move |_: &Asked| reply(200, fields, b"origin")).await;
    let node = Reloadable::of(&origin.url, |_| {}).await;
    let assert_readers = async |expected: &str| {
        for _ in 0..3 {
            let response = viewer(node.edge.addr()).header("origin", PAGE).get("/1.ts").await;
            response.is(200, b"origin");
            let readers = response.headers.get_all("access-control-allow-origin").iter();
            assert_eq!(readers.collect::<Vec<_>>(), [expected]);
        }
    };
    assert_readers("*").await;
    node.reload(|config| config.site[0].cors_credentials = vec![PAGE.to_owned()]).await;
    assert_readers(PAGE).await;
    node.reload(|config| config.site[0].cors_credentials.clear()).await;
    assert_readers("*").await;
    node.reload(|config| config.site[0].cors = false).await;
    assert_readers("https://origin.example").await;
    assert_eq!(origin.requests("/1.ts"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn former_origins_are_not_probed_and_their_counts_stay() {
    let (first, second) = (origin().run().await, origin().run().await);
    let node = Reloadable::of(&first.url(), |config| {
        config.upstream.probe.kind = ProbeKind::Http;
        config.upstream.probe.interval = Period::millis(20);
    })
    .await;
    let probes = async || node.edge.count("tidegate_upstream_probes_total", "").await;
    until("it is probed", async || probes().await >= 5).await;
    for round in 0..21 {
        let url = if round % 2 == 0 { second.url() } else { first.url() };
        node.reload(|config| config.site[0].origins = vec![url.parse().unwrap()]).await;
    }
    let before = probes().await;
    assert!(before >= 5, "{before}");
    until("only the second origin is probed", async || {
        let (of_first, of_second) = (first.total(), second.total());
        until("more probes", async || second.total() >= of_second + 3).await;
        first.total() == of_first
    })
    .await;
    until("the count goes on", async || probes().await > before).await;
    assert_eq!(node.edge.count("tidegate_upstreams", "").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_reloads_leave_nothing_behind() {
    let origins = (named("first").await, named("second").await);
    let process = edge().origin_at(&origins.0.url).spawn().await;
    let file = process.config_file("edge");
    let first = std::fs::read_to_string(&file).unwrap();
    let texts = [first.replace(&origins.0.url, &origins.1.url), first];
    let reload = async |rounds: usize| {
        for round in 0..rounds {
            std::fs::write(&file, &texts[round % 2]).unwrap();
            viewer(process.admin())
                .ask("POST", "/v1/reload")
                .await
                .is(200, br#"{"changed":["site.default.origins"],"needs_restart":[]}"#);
            let response = viewer(process.addr()).get(&format!("/{}.ts", round % 10)).await;
            assert_eq!(response.status, 200);
        }
    };
    let held = async || {
        let of = async |metric: &str| process.count(metric, "").await;
        (of("process_open_fds").await, of("process_threads").await, process.resident_bytes())
    };
    reload(200).await;
    let (descriptors, threads, memory) = held().await;
    reload(1000).await;
    let after = held().await;
    assert!(after.0 <= descriptors + 8, "descriptors: {descriptors}, then {}", after.0);
    assert!(after.1 <= threads + 2, "threads: {threads}, then {}", after.1);
    assert!(after.2 <= memory + (16 << 20), "memory: {memory}, then {}", after.2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_moves_to_another_shield() {
    let origin = named("origin").await;
    let (first, second) =
        (shield().origin_at(&origin.url).run().await, shield().origin_at(&origin.url).run().await);
    let folder = tempfile::tempdir().unwrap();
    let edge = edge().shield(&first).run_from(&folder.path().join("edge.toml")).await;
    let node = Reloadable { edge, folder };
    node.get("/1.ts").await.is(200, b"origin");
    let url = format!("http://{}", second.addr());
    let report = node.reload(|config| config.shields = vec![url.parse().unwrap()]).await;
    assert_eq!(report, json!({ "changed": ["shields"], "needs_restart": [] }));
    node.get("/2.ts").await.is(200, b"origin");
    assert_eq!(second.count("tidegate_requests_total", "").await, 1);
    assert_eq!(first.count("tidegate_requests_total", "").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shield_reloads_its_sites() {
    let (first, second) = (named("first").await, named("second").await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shield.toml");
    let shield = shield().origin_at(&first.url).run_from(&file).await;
    viewer(shield.addr()).get("/1.ts").await.is(200, b"first");
    let text = std::fs::read_to_string(&file).unwrap().replace(&first.url, &second.url);
    std::fs::write(&file, text).unwrap();
    let response = viewer(shield.admin()).ask("POST", "/v1/reload").await;
    response.is(200, br#"{"changed":["site.default.origins"],"needs_restart":[]}"#);
    viewer(shield.addr()).get("/2.ts").await.is(200, b"second");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_access_change_for_cached_objects_too() {
    let origin = origin().run().await;
    let node = Reloadable::of(&origin.url(), |_| {}).await;
    let path = "/bytes/5000/1.ts";
    assert_eq!(node.status_twice(path).await, 200);
    let keys = node.folder.path().join("a.key");
    std::fs::write(&keys, SECRET).unwrap();
    node.reload(|config| config.site[0].token.keys = vec![keys.clone()]).await;
    assert_eq!(node.status_twice(path).await, 403);
    let with_token = format!("/~{}{path}", token("/bytes"));
    assert_eq!(node.status_twice(&with_token).await, 200);
    std::fs::write(&keys, "fedcba9876543210fedcba9876543210").unwrap();
    let report = node.reload(|_| {}).await;
    assert_eq!(report["changed"], json!([]));
    assert_eq!(node.status_twice(&with_token).await, 403);
    node.reload(|config| {
        config.site[0].token.keys.clear();
        config.site[0].access.deny = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    assert_eq!(node.status_twice(path).await, 403);
    node.reload(|config| {
        config.site[0].access.deny.clear();
    })
    .await;
    assert_eq!(node.status_twice(path).await, 200);
    assert_eq!(origin.requests(path), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lifetimes_change_for_what_is_stored_from_then_on() {
    let origin = Scripted::run(|_: &Asked| reply(200, &[], b"segment")).await;
    let node = Reloadable::of(&origin.url, |_| {}).await;
    let ttl = async |target: &str| {
        let response = node.get(target).await;
        let member = response.header("cache-status").to_owned();
        let (_, ttl) = member.split_once("ttl=").expect("a lifetime");
        ttl.split(';').next().unwrap().parse::<i64>().unwrap()
    };
    assert!(ttl("/1.ts").await > 50);
    node.reload(|config| config.site[0].lifetimes.segment = Period::secs(50)).await;
    assert!(ttl("/1.ts").await > 50, "it keeps the lifetime that it was stored with");
    assert!(ttl("/2.ts").await <= 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_parameter_of_tokens_does_not_reach_the_log() {
    let origin = origin().run().await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let file = folder.path().join("edge.toml");
    let access = log.display().to_string();
    let edge = edge().origin(&origin).with(|config| config.log.access = access).run_from(&file).await;
    let node = Reloadable { edge, folder };
    let keys = node.folder.path().join("a.key");
    std::fs::write(&keys, SECRET).unwrap();
    node.reload(|config| {
        config.site[0].token.keys = vec![keys];
        config.site[0].token.parameter = "ticket".to_owned();
    })
    .await;
    let token = token("/bytes");
    assert_eq!(node.get(&format!("/bytes/100/1.ts?ticket={token}")).await.status, 200);
    let lines = async || std::fs::read_to_string(&log).unwrap();
    until("a line", async || lines().await.contains("ticket=REDACTED")).await;
    assert!(!lines().await.contains(&token));
}

#[tokio::test(flavor = "multi_thread")]
async fn sites_come_and_go() {
    let (first, second) = (named("first").await, named("second").await);
    let node = Reloadable::of(&first.url, |config| config.site[0].hosts = vec!["a.example".to_owned()]).await;
    let get = async |host: &str| viewer(node.edge.addr()).host(host).get("/1.ts").await;
    get("a.example").await.is(200, b"first");
    assert_eq!(get("b.example").await.status, 421);
    let report = node
        .reload(|config| {
            let mut site = config.site[0].clone();
            site.name = NodeName::try_from("new".to_owned()).unwrap();
            site.hosts = vec!["b.example".to_owned()];
            site.origins = vec![second.url.parse().unwrap()];
            config.site.push(site);
        })
        .await;
    assert_eq!(report, json!({ "changed": ["site.new"], "needs_restart": [] }));
    for _ in 0..2 {
        get("a.example").await.is(200, b"first");
        get("b.example").await.is(200, b"second");
    }
    let report = node.reload(|config| drop(config.site.remove(0))).await;
    assert_eq!(report["changed"], json!(["site.default"]));
    assert_eq!(get("a.example").await.status, 421);
    get("b.example").await.is(200, b"second");
    assert_eq!((first.requests("/1.ts"), second.requests("/1.ts")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_an_error_changes_nothing() {
    let origin = named("origin").await;
    let node = Reloadable::of(&origin.url, |_| {}).await;
    node.get("/1.ts").await.is(200, b"origin");
    let good = std::fs::read_to_string(node.file()).unwrap();
    let metric = async |name: &str| node.edge.metric(name, "").await;
    let started = metric("tidegate_config_last_reload_success_timestamp_seconds").await;
    assert!(started > 1_700_000_000.0);
    assert_eq!(node.edge.count("tidegate_config_last_reload_successful", "").await, 1);
    let bad = [
        ("[cache]\nmemroy = \"1MiB\"\n", json!(2), json!(1), "unknown field `memroy`"),
        ("shields = []\n\n[[site]]\norigins = []\n", json!(1), json!(1), "needs at least one origin"),
        ("[[site", json!(1), json!(7), "unclosed"),
    ];
    for (text, line, column, message) in bad {
        std::fs::write(node.file(), text).unwrap();
        let response = node.post().await;
        let error: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!((response.status, &error["line"], &error["column"]), (422, &line, &column), "{error}");
        assert!(error["message"].as_str().unwrap().contains(message), "{error}");
        assert_eq!(error["file"], json!(node.file().display().to_string()));
    }
    std::fs::remove_file(node.file()).unwrap();
    assert_eq!(node.post().await.status, 422);
    assert_eq!(node.edge.count("tidegate_config_last_reload_successful", "").await, 0);
    assert_eq!(node.edge.count("tidegate_config_reloads_total", "result=\"failure\"").await, 4);
    node.get("/2.ts").await.is(200, b"origin");
    std::fs::write(node.file(), good).unwrap();
    assert_eq!(node.reload(|_| {}).await, json!({ "changed": [], "needs_restart": [] }));
    assert_eq!(node.edge.count("tidegate_config_last_reload_successful", "").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_need_a_restart_are_named_until_the_restart() {
    let origin = named("origin").await;
    let node = Reloadable::of(&origin.url, |_| {}).await;
    let report = node
        .reload(|config| {
            config.cache.memory = Size::mib(128);
            config.listen.connections_max = 1000;
            config.site[0].gzip = false;
        })
        .await;
    let needs_restart = json!(["cache.memory", "listen.connections_max"]);
    assert_eq!(report, json!({ "changed": ["site.default.gzip"], "needs_restart": needs_restart }));
    assert_eq!(node.reload(|_| {}).await, json!({ "changed": [], "needs_restart": needs_restart }));
    assert_eq!(node.edge.status().await["cache"]["budget_bytes"], json!(256 << 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_that_come_together_run_one_after_the_other() {
    let origin = named("origin").await;
    let node = Reloadable::of(&origin.url, |_| {}).await;
    node.change(|config| config.site[0].gzip = false);
    let mut reloads = JoinSet::new();
    let admin = node.edge.admin();
    for _ in 0..20 {
        reloads.spawn(async move { viewer(admin).ask("POST", "/v1/reload").await });
    }
    let mut changed = 0;
    while let Some(response) = reloads.join_next().await {
        let response = response.unwrap();
        assert_eq!(response.status, 200);
        changed += usize::from(response.text().contains("site.default.gzip"));
    }
    assert_eq!(changed, 1, "the first one finds the difference");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_reloads_and_a_node_without_a_file_says_so() {
    let (first, second) = (named("first").await, named("second").await);
    let process: Process = edge().origin_at(&first.url).spawn().await;
    viewer(process.addr()).get("/1.ts").await.is(200, b"first");
    let file = process.config_file("edge");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace(&first.url, &second.url)).unwrap();
    process.signal(Signal::Hangup).await;
    until("it is reloaded", async || {
        process.count("tidegate_config_reloads_total", "result=\"success\"").await == 1
    })
    .await;
    viewer(process.addr()).get("/2.ts").await.is(200, b"second");
    std::fs::write(&file, "nodes = 1\n").unwrap();
    process.signal(Signal::Hangup).await;
    until("the error is logged", async || process.log_output().contains("edge.toml:1:1: unknown field"))
        .await;
    viewer(process.addr()).get("/3.ts").await.is(200, b"second");
    let without_file = edge().origin_at(&first.url).run().await;
    let response = viewer(without_file.admin()).ask("POST", "/v1/reload").await;
    assert_eq!(response.status, 422);
    assert!(response.text().contains("without a file"), "{}", response.text());
}
