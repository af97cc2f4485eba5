//! The ways of a request over HTTP/1.1 give the same answer: the fast lane, the long way, and the long way by pingora's
//! session. At an edge, with TLS and without, and at a shield.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tidegate_origin_stub::Fault;
use tidegate_proxy::config::units::Size;
use tidegate_tests::viewer::Answer;
use tidegate_tests::{
    Connection, Origin, Running, Viewer, ViewerTls, authority, edge, origin, shield, until, viewer,
};
use tokio::runtime::Runtime;

const OBJECT: &str = "/bytes/200000";
const PLAYLIST: &str = "/vod/film/ts/240p/index.m3u8";
const OTHER: &str = "/vod/film/ts/360p/index.m3u8";
/// Live, and so slow that it does not move on during a test.
const LIVE: &str = "/ingest/ch1/index.m3u8";
const SLOW_LIVE: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:600\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:600,\n7.ts\n";
const AT_ONCE: &str = "tidegate_fast_path_hits_total";

struct Cluster {
    _origin: Origin,
    shield: Running,
    edge: Running,
    tls: ViewerTls,
    /// What the origin says of each object: its entity tag and its date.
    validators: BTreeMap<&'static str, (String, String)>,
}

/// Where a viewer asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Edge,
    EdgeByTls,
    Shield,
}

/// A field that changes nothing but the way that a request takes; without one, the fast lane, if it takes such a request.
const WAYS: [Option<(&str, &str)>; 3] = [None, Some(LONG_WAY), Some(SESSION)];
const LONG_WAY: (&str, &str) = ("tidegate-backup", "?1");
const SESSION: (&str, &str) = ("content-length", "0");

#[derive(Debug, Clone)]
struct Asked {
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
            let answer = viewer(edge.addr()).get(path).await;
            assert_eq!(answer.status, 200, "{path}");
            validators
                .insert(path, (answer.header("etag").to_owned(), answer.header("last-modified").to_owned()));
        }
        // What is not held yet would be a miss on the first way and a hit on the second.
        let ask_all = async |paths: &[&str]| {
            for (path, query) in paths.iter().flat_map(|path| QUERIES.map(|query| (path, query))) {
                for tier in [&edge, &shield] {
                    viewer(tier.addr()).get(&format!("{path}{query}")).await;
                }
            }
        };
        ask_all(&[OBJECT, PLAYLIST, OTHER]).await;
        edge.settled().await;
        shield.settled().await;
        // From now on the next version of the live playlist is waited for.
        ask_all(&[LIVE]).await;
        Self { _origin: origin, shield, edge, tls: authority.viewer_tls("127.0.0.1"), validators }
    }

    fn viewer(&self, asked: &Asked, way: Option<(&str, &str)>) -> Viewer {
        let (tag, date) = self.validators.get(asked.path).unwrap_or_else(|| &self.validators[OBJECT]);
        let mut viewer = match asked.at {
            At::Edge => viewer(self.edge.addr()),
            At::EdgeByTls => viewer(self.edge.tls_addr()).tls(&self.tls),
            At::Shield => viewer(self.shield.addr()),
        };
        for (name, value) in &asked.fields {
            viewer = viewer.header(name, &value.replace("TAG", tag).replace("DATE", date));
        }
        if let Some((name, value)) = way { viewer.header(name, value) } else { viewer }
    }

    /// The answers on each of the ways.
    async fn each(&self, asked: &Asked) -> [Answer; 3] {
        let target = format!("{}{}", asked.path, asked.query);
        let [fast, long, session] = WAYS.map(|way| self.viewer(asked, way));
        let ask = async |viewer: Viewer| viewer.ask(asked.method, &target).await;
        [ask(fast).await, ask(long).await, ask(session).await]
    }

    /// Requests that were answered on the fast lane.
    async fn at_once(&self) -> u64 {
        self.edge.count(AT_ONCE, "").await + self.shield.count(AT_ONCE, "").await
    }
}

/// All that an answer says, but for the time that it took. Ages and what follows from them may be a second apart.
fn said(answer: &Answer) -> (u16, bool, BTreeMap<String, Vec<String>>, (usize, u64)) {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &answer.headers {
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
    answer.body.hash(&mut hasher);
    (answer.status, answer.whole, fields, (answer.body.len(), hasher.finish()))
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

fn seconds(answer: &Answer) -> [i64; 2] {
    let ttl = answer.header("cache-status").rsplit_once("ttl=").map_or("", |(_, ttl)| ttl);
    [answer.header("age"), ttl].map(|text| text.parse().unwrap_or_default())
}

fn requests() -> impl Strategy<Value = Asked> {
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
                // pingora looks at the first line only (RFC 9112 section 9.3 knows no such difference).
                "connection" => {
                    connections += 1;
                    connections == 1
                }
                // It names an object by itself, which is filled by whoever asks first.
                "tidegate-slice" => at != At::Shield,
                _ => true,
            });
            Asked { at, method, path, query, fields }
        })
}

fn one_of(
    name: &'static str,
    values: &'static [&'static str],
) -> impl Strategy<Value = (&'static str, String)> {
    prop::sample::select(values).prop_map(move |value| (name, value.to_owned()))
}

#[test]
fn all_ways_give_the_same_answer() {
    let runtime = Runtime::new().unwrap();
    let cluster = runtime.block_on(Cluster::new());
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&requests(), |asked| {
        let [fast, long, session] = runtime.block_on(cluster.each(&asked));
        for other in [long, session] {
            prop_assert_eq!(said(&fast), said(&other));
            for (one, other) in seconds(&fast).into_iter().zip(seconds(&other)) {
                prop_assert!((one - other).abs() <= 1, "{} and {}", one, other);
            }
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    // A comparison of the long way with itself would show nothing.
    let taken = runtime.block_on(cluster.at_once());
    assert!(taken > u64::from(CASES) / 8, "{taken} of {CASES} requests were answered at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_plain_is_answered_at_once_and_what_is_not_takes_the_long_way() {
    let cluster = Cluster::new().await;
    let ask = |at, path, name: &'static str, value: &str| {
        let fields = vec![(name, value.to_owned())];
        Asked { at, method: "GET", path, query: "", fields }
    };
    for asked in [
        ask(At::Edge, OBJECT, "user-agent", "player/1"),
        ask(At::EdgeByTls, OBJECT, "range", "bytes=70000-140000"),
        ask(At::Edge, PLAYLIST, "accept-encoding", "gzip"),
        ask(At::Shield, PLAYLIST, "if-none-match", "\"x\""),
        ask(At::EdgeByTls, LIVE, "accept-encoding", "gzip"),
        ask(At::Shield, LIVE, "user-agent", "player/1"),
    ] {
        let before = cluster.at_once().await;
        let [fast, long, session] = cluster.each(&asked).await;
        assert_eq!(said(&fast), said(&long), "{asked:?}");
        assert_eq!(said(&fast), said(&session), "{asked:?}");
        assert_eq!(cluster.at_once().await, before + 1, "{asked:?}");
    }
    for asked in [
        ask(At::Edge, OBJECT, "authorization", "x"),
        ask(At::Edge, OBJECT, "range", "bytes=0-1,5-6"),
        ask(At::EdgeByTls, OBJECT, "connection", "close"),
    ] {
        let before = cluster.at_once().await;
        cluster.each(&asked).await;
        assert_eq!(cluster.at_once().await, before, "{asked:?}");
    }
}

/// The clock of the origin stands, so that its playlist does: what keeps a newer one away is told in `Cache-Status`.
#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_live_playlist_from_moving_is_told_on_all_ways() {
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
    let told = |answer: &Answer| answer.header("cache-status").contains("detail=playlist_frozen");
    for way in WAYS {
        until("it is told", async || told(&ask(way).await)).await;
    }
    let before = edge.count(AT_ONCE, "").await;
    for way in WAYS {
        assert!(told(&ask(way).await), "{way:?}");
    }
    assert!(edge.count(AT_ONCE, "").await > before, "the fast lane was one of them");
    origin.advance(Duration::from_secs(2));
    for way in WAYS {
        until("it moves on", async || !told(&ask(way).await)).await;
    }
}

/// What is not held: nobody can answer it at once, and each way asks for it anew.
#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_given_on_the_same_with_a_length_and_in_chunks() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).run().await;
    for fault in [Fault::on(OBJECT), Fault::on(OBJECT).chunked()] {
        origin.fault(fault.header("cache-control", "private")).unwrap();
        for method in ["GET", "HEAD"] {
            let ask = async |(name, value): (&str, &str)| {
                viewer(edge.addr()).header(name, value).ask(method, OBJECT).await
            };
            let [long, session] = [ask(LONG_WAY).await, ask(SESSION).await];
            assert_eq!(said(&long), said(&session), "{method}");
            assert_eq!(long.status, 200);
            assert_eq!(long.body.len(), if method == "GET" { 200_000 } else { 0 });
        }
        origin.clear();
    }
}

/// Of several lines of Connection, pingora looks at the first, and what is not pingora's at all: so it shows who answers.
#[tokio::test(flavor = "multi_thread")]
async fn the_long_way_is_pingoras_only_where_a_body_is_announced() {
    let cluster = Cluster::new().await;
    for ((name, value), stays) in [(LONG_WAY, "close"), (SESSION, "keep-alive")] {
        let request = format!(
            "GET {PLAYLIST} HTTP/1.1\r\nhost: live.example\r\n{name}: {value}\r\nconnection: keep-alive\r\nconnection: close\r\n\r\n"
        );
        let mut connection = Connection::open(cluster.edge.addr(), request.as_bytes()).await;
        assert_eq!(connection.answer("GET").await.header("connection"), stays);
    }
}

/// Under TLS bytes are changed on their way, and a file is of no use.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_that_is_asked_for_often_is_sent_from_a_file() {
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
    assert_eq!(from_file().await, before + 1, "what is small goes from memory");
    // Who takes it slowly is sent all of it, too.
    viewer(cluster.edge.addr()).narrow().get(OBJECT).await.is(200, &whole.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shorter_than_the_least_that_is_sent_from_files_has_none() {
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
async fn requests_behind_each_other_are_answered_in_their_order_whichever_way_they_take() {
    let cluster = Cluster::new().await;
    let plain = format!("GET {OBJECT} HTTP/1.1\r\nhost: live.example\r\nrange: bytes=0-9\r\n\r\n");
    let long = format!(
        "GET {OBJECT} HTTP/1.1\r\nhost: live.example\r\nrange: bytes=5-9\r\ncontent-length: 0\r\n\r\n"
    );
    let last = format!("HEAD {PLAYLIST} HTTP/1.1\r\nhost: live.example\r\nconnection: close\r\n\r\n");
    let all = [&plain, &plain, &long, &plain, &long, &long, &plain, &last].map(String::as_str).concat();
    let answers = viewer(cluster.edge.addr()).raw(all.as_bytes()).await;
    let answers = String::from_utf8_lossy(&answers);
    let ranges: Vec<_> = answers
        .lines()
        .filter_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-range: bytes ").map(|range| range[..3].to_owned())
        })
        .collect();
    assert_eq!(ranges, ["0-9", "0-9", "5-9", "0-9", "5-9", "5-9", "0-9"]);
    assert!(answers.to_ascii_lowercase().contains("connection: close"));
}

const CASES: u32 = 400;
const PATHS: [&str; 4] = [OBJECT, PLAYLIST, OTHER, LIVE];
const QUERIES: [&str; 8] =
    ["", "", "?", "?CMCD=bl%3D900", "?b=2&a=1", "?_HLS_skip=YES", "?_HLS_msn=x", "?a=%zz"];
