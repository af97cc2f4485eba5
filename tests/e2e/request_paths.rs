//! A request over HTTP/1.1 gets the same response on each path: the fast path, the slow path, and the slow
//! path through pingora's session. This holds at an edge, with and without TLS, and at a shield.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tidegate_origin_stub::Fault;
use tidegate_proxy::config::units::Size;
use tidegate_tests::viewer::Response;
use tidegate_tests::{
    Connection, Origin, Running, Viewer, ViewerTls, authority, edge, origin, shield, until, viewer,
};
use tokio::runtime::Runtime;

const OBJECT: &str = "/bytes/200000";
const PLAYLIST: &str = "/vod/film/ts/240p/index.m3u8";
const OTHER: &str = "/vod/film/ts/360p/index.m3u8";
/// Live, and so slow that it does not advance during a test.
const LIVE: &str = "/ingest/ch1/index.m3u8";
const SLOW_LIVE: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:600\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:600,\n7.ts\n";
const FAST_PATH_HITS: &str = "tidegate_fast_path_hits_total";

struct Cluster {
    _origin: Origin,
    shield: Running,
    edge: Running,
    tls: ViewerTls,
    /// The entity tag and the date of each object, as the origin sent them.
    validators: BTreeMap<&'static str, (String, String)>,
}

/// The listener that a viewer connects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Edge,
    EdgeByTls,
    Shield,
}

/// A header field that changes only the path of the request. Without one, the fast path serves the requests
/// that it can.
const PATHS_TAKEN: [Option<(&str, &str)>; 3] = [None, Some(SLOW_PATH), Some(SESSION)];
const SLOW_PATH: (&str, &str) = ("tidegate-backup", "?1");
const SESSION: (&str, &str) = ("content-length", "0");

#[derive(Debug, Clone)]
struct Generated {
    at: At,
    method: &'static str,
    path: &'static str,
    query: &'static str,
    fields: Vec<(&'static str, String)>,
}

impl Cluster {
    async fn new() -> Self {
        let (origin, authority) = (origin().run().await, authority());
        viewer(origin.addr()).body(SLOW_LIVE.as_bytes()).ask("PUT", LIVE).await;
        let shield = shield().origin(&origin).run().await;
        let listen = authority.issue(&["127.0.0.1"]).listen();
        let edge = edge().shield(&shield).with(|config| config.listen.tls = Some(listen)).run().await;
        let mut validators = BTreeMap::new();
        for path in [OBJECT, PLAYLIST, OTHER] {
            let response = viewer(edge.addr()).get(path).await;
            assert_eq!(response.status, 200, "{path}");
            validators.insert(
                path,
                (response.header("etag").to_owned(), response.header("last-modified").to_owned()),
            );
        }
        // An object that is not cached yet would be a miss on the first path and a hit on the second.
        let ask_all = async |paths: &[&str]| {
            for (path, query) in paths.iter().flat_map(|path| QUERIES.map(|query| (path, query))) {
                for tier in [&edge, &shield] {
                    viewer(tier.addr()).get(&format!("{path}{query}")).await;
                }
            }
        };
        ask_all(&[OBJECT, PLAYLIST, OTHER]).await;
        edge.fills_finished().await;
        shield.fills_finished().await;
        // From now on the next version of the live playlist is awaited.
        ask_all(&[LIVE]).await;
        Self { _origin: origin, shield, edge, tls: authority.viewer_tls("127.0.0.1"), validators }
    }

    fn viewer(&self, generated: &Generated, way: Option<(&str, &str)>) -> Viewer {
        let (tag, date) = self.validators.get(generated.path).unwrap_or_else(|| &self.validators[OBJECT]);
        let mut viewer = match generated.at {
            At::Edge => viewer(self.edge.addr()),
            At::EdgeByTls => viewer(self.edge.tls_addr()).tls(&self.tls),
            At::Shield => viewer(self.shield.addr()),
        };
        for (name, value) in &generated.fields {
            viewer = viewer.header(name, &value.replace("TAG", tag).replace("DATE", date));
        }
        if let Some((name, value)) = way { viewer.header(name, value) } else { viewer }
    }

    /// The responses on each of the paths.
    async fn each(&self, generated: &Generated) -> [Response; 3] {
        let target = format!("{}{}", generated.path, generated.query);
        let [fast, slow, session] = PATHS_TAKEN.map(|way| self.viewer(generated, way));
        let ask = async |viewer: Viewer| viewer.ask(generated.method, &target).await;
        [ask(fast).await, ask(slow).await, ask(session).await]
    }

    /// The number of requests that the fast path served.
    async fn fast_path_hits(&self) -> u64 {
        self.edge.count(FAST_PATH_HITS, "").await + self.shield.count(FAST_PATH_HITS, "").await
    }
}

/// Everything in a response except its timing. Ages and the values derived from them may differ by a second.
fn comparable(response: &Response) -> (u16, bool, BTreeMap<String, Vec<String>>, (usize, u64)) {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &response.headers {
        let value = value.to_str().unwrap();
        let value = match name.as_str() {
            "server-timing" => value.split("dur=").next().unwrap().to_owned(),
            "cache-status" => without_ttl(value),
            "age" | "date" => String::new(),
            _ => value.to_owned(),
        };
        fields.entry(name.to_string()).or_default().push(value);
    }
    let mut hasher = DefaultHasher::new();
    response.body.hash(&mut hasher);
    (response.status, response.whole, fields, (response.body.len(), hasher.finish()))
}

fn without_ttl(value: &str) -> String {
    match value.rsplit_once("ttl=") {
        Some((before, after)) => {
            format!(
                "{before}ttl={}",
                after.trim_start_matches('-').trim_start_matches(|c: char| c.is_ascii_digit())
            )
        }
        None => value.to_owned(),
    }
}

fn seconds(response: &Response) -> [i64; 2] {
    let ttl = response.header("cache-status").rsplit_once("ttl=").map_or("", |(_, ttl)| ttl);
    [response.header("age"), ttl].map(|text| text.parse().unwrap_or_default())
}

fn requests() -> impl Strategy<Value = Generated> {
    let fields = prop_oneof![
        4 => prop_oneof!["bytes=[0-9]{1,6}-[0-9]{0,6}", "bytes=-[0-9]{1,6}", "bytes=5-1", "lines=1-2", "bytes=", "BYTES=0-0"]
            .prop_map(|range| ("range", range)),
        3 => one_of("accept-encoding", &["gzip", "br, gzip;q=0.5", "identity", "gzip;q=0", "", "*"]),
        3 => one_of("if-none-match", &["TAG", "W/TAG", "\"x\", TAG", "*", "\"x\"", "TAG x", ""]),
        3 => one_of("if-modified-since", &["DATE", "Sat, 01 Jan 2000 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT", "never"]),
        1 => one_of("if-match", &["TAG", "W/TAG", "*", "\"x\""]),
        1 => one_of("if-unmodified-since", &["DATE", "Sat, 01 Jan 2000 00:00:00 GMT"]),
        1 => one_of("if-range", &["TAG", "W/TAG", "DATE", "\"x\""]),
        2 => one_of("origin", &["https://player.example", "null"]),
        1 => one_of("cookie", &["a=b"]),
        1 => one_of("cache-control", &["no-cache", "max-age=0", "only-if-cached"]),
        1 => one_of("authorization", &["Basic eA=="]),
        1 => one_of("connection", &["keep-alive", "Keep-Alive", "close", "keep-alive, x-odd", "range"]),
        1 => one_of("cdn-loop", &["elsewhere", "edge-1", "a, EDGE-1; b"]),
        1 => one_of("te", &["trailers"]),
        1 => one_of("upgrade", &["h2c", "websocket"]),
        1 => one_of("expect", &["100-continue"]),
        1 => one_of("user-agent", &["player/1 (\u{e9})"]),
        1 => one_of("cmcd-request", &["bl=900,mtp=2500"]),
        1 => one_of("x-odd", &["", "a: b", "\"", "%00"]),
        1 => one_of("tidegate-slice", &["?1"]),
    ];
    (
        prop::sample::select(vec![At::Edge, At::Edge, At::EdgeByTls, At::Shield]),
        prop::sample::select(vec!["GET", "GET", "GET", "HEAD", "OPTIONS", "POST"]),
        prop::sample::select(&PATHS),
        prop::sample::select(&QUERIES),
        prop::collection::vec(fields, 0..4),
    )
        .prop_map(|(at, method, path, query, mut fields)| {
            let mut connections = 0;
            fields.retain(|(name, _)| match *name {
                // pingora looks at the first line only (RFC 9112 section 9.3 makes no such difference).
                "connection" => {
                    connections += 1;
                    connections == 1
                }
                // It names a separate object, whose fill belongs to the first request.
                "tidegate-slice" => at != At::Shield,
                _ => true,
            });
            Generated { at, method, path, query, fields }
        })
}

fn one_of(
    name: &'static str,
    values: &'static [&'static str],
) -> impl Strategy<Value = (&'static str, String)> {
    prop::sample::select(values).prop_map(move |value| (name, value.to_owned()))
}

#[test]
fn all_paths_give_the_same_response() {
    let runtime = Runtime::new().unwrap();
    let cluster = runtime.block_on(Cluster::new());
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&requests(), |generated| {
        let [fast, slow, session] = runtime.block_on(cluster.each(&generated));
        for other in [slow, session] {
            prop_assert_eq!(comparable(&fast), comparable(&other));
            for (one, other) in seconds(&fast).into_iter().zip(seconds(&other)) {
                prop_assert!((one - other).abs() <= 1, "{} and {}", one, other);
            }
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    // Comparing the slow path with itself would show nothing.
    let taken = runtime.block_on(cluster.fast_path_hits());
    assert!(taken > u64::from(CASES) / 8, "{taken} of {CASES} requests took the fast path");
}

#[tokio::test(flavor = "multi_thread")]
async fn simple_hits_take_the_fast_path_and_other_requests_the_slow_path() {
    let cluster = Cluster::new().await;
    let ask = |at, path, name: &'static str, value: &str| {
        let fields = vec![(name, value.to_owned())];
        Generated { at, method: "GET", path, query: "", fields }
    };
    for generated in [
        ask(At::Edge, OBJECT, "user-agent", "player/1"),
        ask(At::EdgeByTls, OBJECT, "range", "bytes=70000-140000"),
        ask(At::Edge, PLAYLIST, "accept-encoding", "gzip"),
        ask(At::Shield, PLAYLIST, "if-none-match", "\"x\""),
        ask(At::EdgeByTls, LIVE, "accept-encoding", "gzip"),
        ask(At::Shield, LIVE, "user-agent", "player/1"),
    ] {
        let before = cluster.fast_path_hits().await;
        let [fast, slow, session] = cluster.each(&generated).await;
        assert_eq!(comparable(&fast), comparable(&slow), "{generated:?}");
        assert_eq!(comparable(&fast), comparable(&session), "{generated:?}");
        assert_eq!(cluster.fast_path_hits().await, before + 1, "{generated:?}");
    }
    for generated in [
        ask(At::Edge, OBJECT, "authorization", "x"),
        ask(At::Edge, OBJECT, "range", "bytes=0-1,5-6"),
        ask(At::EdgeByTls, OBJECT, "connection", "close"),
    ] {
        let before = cluster.fast_path_hits().await;
        cluster.each(&generated).await;
        assert_eq!(cluster.fast_path_hits().await, before, "{generated:?}");
    }
}

/// The origin's clock stands still, and so does its playlist; `Cache-Status` gives the reason.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_live_playlist_is_reported_on_all_paths() {
    const PLAYLIST: &str = "/live/ch1/ts/360p/index.m3u8";
    let origin = origin().run().await;
    origin.stop_clock();
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    let ask = async |way: Option<(&str, &str)>| {
        let viewer = viewer(edge.addr());
        let viewer = if let Some((name, value)) = way { viewer.header(name, value) } else { viewer };
        viewer.get(PLAYLIST).await
    };
    let frozen = |response: &Response| response.header("cache-status").contains("detail=playlist_frozen");
    for way in PATHS_TAKEN {
        until("the reason is reported", async || frozen(&ask(way).await)).await;
    }
    let before = edge.count(FAST_PATH_HITS, "").await;
    for way in PATHS_TAKEN {
        assert!(frozen(&ask(way).await), "{way:?}");
    }
    assert!(edge.count(FAST_PATH_HITS, "").await > before, "the fast path was one of them");
    origin.advance(Duration::from_secs(2));
    for way in PATHS_TAKEN {
        until("the playlist advances", async || !frozen(&ask(way).await)).await;
    }
}

/// Private responses are never cached: the fast path cannot serve them, and each path requests them again.
#[tokio::test(flavor = "multi_thread")]
async fn passed_responses_are_the_same_with_a_length_and_chunked() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).run().await;
    for fault in [Fault::on(OBJECT), Fault::on(OBJECT).chunked()] {
        origin.fault(fault.header("cache-control", "private")).unwrap();
        for method in ["GET", "HEAD"] {
            let ask = async |(name, value): (&str, &str)| {
                viewer(edge.addr()).header(name, value).ask(method, OBJECT).await
            };
            let [slow, session] = [ask(SLOW_PATH).await, ask(SESSION).await];
            assert_eq!(comparable(&slow), comparable(&session), "{method}");
            assert_eq!(slow.status, 200);
            assert_eq!(slow.body.len(), if method == "GET" { 200_000 } else { 0 });
        }
        origin.clear();
    }
}

/// pingora looks at the first of several Connection lines, the other parsers at all of them, which shows
/// which one serves the request.
#[tokio::test(flavor = "multi_thread")]
async fn pingoras_session_serves_only_requests_that_announce_a_body() {
    let cluster = Cluster::new().await;
    for ((name, value), stays) in [(SLOW_PATH, "close"), (SESSION, "keep-alive")] {
        let request = format!(
            "GET {PLAYLIST} HTTP/1.1\r\nhost: live.example\r\n{name}: {value}\r\nconnection: keep-alive\r\nconnection: close\r\n\r\n"
        );
        let mut connection = Connection::open(cluster.edge.addr(), request.as_bytes()).await;
        assert_eq!(connection.response("GET").await.header("connection"), stays);
    }
}

/// TLS encrypts the bytes on their way, so a file is of no use there.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_popular_body_is_sent_from_a_file() {
    let cluster = Cluster::new().await;
    let from_file = async || cluster.edge.count("tidegate_sendfile_responses_total", "").await;
    let whole = viewer(cluster.edge.addr()).get(OBJECT).await;
    until("it is sent from a file", async || {
        viewer(cluster.edge.addr()).get(OBJECT).await.is(200, &whole.body);
        from_file().await > 0
    })
    .await;
    assert_eq!(cluster.edge.count("tidegate_sendfile_bytes", "").await, 200_000);

    let before = from_file().await;
    let range = viewer(cluster.edge.addr()).header("range", "bytes=70000-199999").get(OBJECT).await;
    range.is(206, &whole.body[70_000..]);
    assert_eq!(from_file().await, before + 1);
    viewer(cluster.edge.addr()).header("range", "bytes=70000-80000").get(OBJECT).await;
    assert!(viewer(cluster.edge.addr()).ask("HEAD", OBJECT).await.body.is_empty());
    viewer(cluster.edge.addr()).get(OTHER).await;
    assert_eq!(from_file().await, before + 1, "small responses are sent from memory");
    // A slow viewer gets the whole body, too.
    viewer(cluster.edge.addr()).small_buffer().get(OBJECT).await.is(200, &whole.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_below_the_minimum_size_has_no_file() {
    let origin = origin().run().await;
    let least = |config: &mut tidegate_edge::Config| config.cache.sendfile_min = Size::kib(512);
    let edge = edge().origin(&origin).with(least).run().await;
    let (short, long) = ("/bytes/500000?cc=max-age=60", "/bytes/600000?cc=max-age=60");
    let from_file = async || edge.count("tidegate_sendfile_responses_total", "").await;
    until("the long one is sent from a file", async || {
        for path in [short, long] {
            assert_eq!(viewer(edge.addr()).get(path).await.status, 200);
        }
        from_file().await > 0
    })
    .await;
    assert_eq!(edge.count("tidegate_sendfile_bytes", "").await, 600_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order_on_every_path() {
    let cluster = Cluster::new().await;
    let plain = format!("GET {OBJECT} HTTP/1.1\r\nhost: live.example\r\nrange: bytes=0-9\r\n\r\n");
    let slow = format!(
        "GET {OBJECT} HTTP/1.1\r\nhost: live.example\r\nrange: bytes=5-9\r\ncontent-length: 0\r\n\r\n"
    );
    let last = format!("HEAD {PLAYLIST} HTTP/1.1\r\nhost: live.example\r\nconnection: close\r\n\r\n");
    let all = [&plain, &plain, &slow, &plain, &slow, &slow, &plain, &last].map(String::as_str).concat();
    let responses = viewer(cluster.edge.addr()).raw(all.as_bytes()).await;
    let responses = String::from_utf8_lossy(&responses);
    let ranges: Vec<_> = responses
        .lines()
        .filter_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-range: bytes ").map(|range| range[..3].to_owned())
        })
        .collect();
    assert_eq!(ranges, ["0-9", "0-9", "5-9", "0-9", "5-9", "5-9", "0-9"]);
    assert!(responses.to_ascii_lowercase().contains("connection: close"));
}

const CASES: u32 = 400;
const PATHS: [&str; 4] = [OBJECT, PLAYLIST, OTHER, LIVE];
const QUERIES: [&str; 8] =
    ["", "", "?", "?CMCD=bl%3D900", "?b=2&a=1", "?_HLS_skip=YES", "?_HLS_msn=x", "?a=%zz"];
