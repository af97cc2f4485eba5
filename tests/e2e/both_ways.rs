//! The fast lane and the long way give the same answer to the same request. A `Content-Length: 0`, which changes
//! nothing else, makes a request take the long way.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tidegate_tests::viewer::Answer;
use tidegate_tests::{Origin, Running, Viewer, edge, origin, shield, until, viewer};
use tokio::runtime::Runtime;

const OBJECT: &str = "/bytes/200000";
const PLAYLIST: &str = "/vod/film/ts/240p/index.m3u8";
const OTHER: &str = "/vod/film/ts/360p/index.m3u8";
const AT_ONCE: &str = "tidegate_requests_at_once_total";

struct House {
    _origin: Origin,
    _shield: Running,
    edge: Running,
    /// What the origin says of each object: its entity tag and its date.
    validators: BTreeMap<&'static str, (String, String)>,
}

#[derive(Debug, Clone)]
struct Asked {
    method: &'static str,
    path: &'static str,
    query: &'static str,
    fields: Vec<(&'static str, String)>,
}

impl House {
    async fn new() -> Self {
        let origin = origin().run().await;
        let shield = shield().origin(&origin).run().await;
        let edge = edge().shield(&shield).run().await;
        let mut validators = BTreeMap::new();
        for path in [OBJECT, PLAYLIST, OTHER] {
            let answer = viewer(edge.addr()).get(path).await;
            assert_eq!(answer.status, 200, "{path}");
            validators
                .insert(path, (answer.header("etag").to_owned(), answer.header("last-modified").to_owned()));
        }
        // What is not held yet would be a miss on the first way and a hit on the second.
        for (path, query) in validators.keys().flat_map(|path| QUERIES.map(|query| (path, query))) {
            viewer(edge.addr()).get(&format!("{path}{query}")).await;
        }
        edge.settled().await;
        Self { _origin: origin, _shield: shield, edge, validators }
    }

    fn viewer(&self, asked: &Asked) -> Viewer {
        let (tag, date) = &self.validators[asked.path];
        let mut viewer = viewer(self.edge.addr());
        for (name, value) in &asked.fields {
            viewer = viewer.header(name, &value.replace("TAG", tag).replace("DATE", date));
        }
        viewer
    }

    /// The answers on the fast lane, if it takes such a request, and on the long way.
    async fn both(&self, asked: &Asked) -> [Answer; 2] {
        let target = format!("{}{}", asked.path, asked.query);
        let fast = self.viewer(asked).ask(asked.method, &target).await;
        let long = self.viewer(asked).header("content-length", "0").ask(asked.method, &target).await;
        [fast, long]
    }

    async fn at_once(&self) -> u64 {
        self.edge.count(AT_ONCE, "").await
    }
}

/// All that an answer says, but for the time that it took. Ages and what follows from them may be a second apart.
fn said(answer: &Answer) -> (u16, bool, BTreeMap<String, Vec<String>>, Vec<u8>) {
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
    (answer.status, answer.whole, fields, answer.body.clone())
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
        prop::sample::select(vec!["GET", "GET", "GET", "HEAD", "OPTIONS", "POST"]),
        prop::sample::select(vec![OBJECT, PLAYLIST, OTHER]),
        prop::sample::select(&QUERIES),
        prop::collection::vec(fields, 0..4),
    )
        .prop_map(|(method, path, query, fields)| Asked { method, path, query, fields })
}

fn one_of(
    name: &'static str,
    values: &'static [&'static str],
) -> impl Strategy<Value = (&'static str, String)> {
    prop::sample::select(values).prop_map(move |value| (name, value.to_owned()))
}

#[test]
fn both_ways_give_the_same_answer() {
    let runtime = Runtime::new().unwrap();
    let house = runtime.block_on(House::new());
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&requests(), |asked| {
        let [fast, long] = runtime.block_on(house.both(&asked));
        prop_assert_eq!(said(&fast), said(&long));
        for (fast, long) in seconds(&fast).into_iter().zip(seconds(&long)) {
            prop_assert!((fast - long).abs() <= 1, "{} and {}", fast, long);
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    // A comparison of the long way with itself would show nothing.
    let taken = runtime.block_on(house.at_once());
    assert!(taken > u64::from(CASES) / 8, "{taken} of {CASES} requests were answered at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_plain_is_answered_at_once_and_what_is_not_takes_the_long_way() {
    let house = House::new().await;
    let ask = |path, name: &'static str, value: &str| {
        let fields = vec![(name, value.to_owned())];
        Asked { method: "GET", path, query: "", fields }
    };
    for asked in [
        ask(OBJECT, "user-agent", "player/1"),
        ask(OBJECT, "range", "bytes=70000-140000"),
        ask(PLAYLIST, "accept-encoding", "gzip"),
        ask(PLAYLIST, "if-none-match", "\"x\""),
    ] {
        let before = house.at_once().await;
        let [fast, long] = house.both(&asked).await;
        assert_eq!(said(&fast), said(&long));
        assert_eq!(house.at_once().await, before + 1, "{asked:?}");
    }
    for asked in [
        ask(OBJECT, "authorization", "x"),
        ask(OBJECT, "range", "bytes=0-1,5-6"),
        ask(OBJECT, "connection", "close"),
    ] {
        let before = house.at_once().await;
        house.both(&asked).await;
        assert_eq!(house.at_once().await, before, "{asked:?}");
    }
}

/// Under TLS bytes are changed on their way, and a file is of no use.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_that_is_asked_for_often_is_sent_from_a_file() {
    let house = House::new().await;
    let from_file = async || house.edge.count("tidegate_requests_sendfile_total", "").await;
    let whole = viewer(house.edge.addr()).get(OBJECT).await;
    until("it is sent from a file", async || {
        viewer(house.edge.addr()).get(OBJECT).await.is(200, &whole.body);
        from_file().await > 0
    })
    .await;
    assert_eq!(house.edge.count("tidegate_sendfile_bytes", "").await, 200_000);

    let before = from_file().await;
    let range = viewer(house.edge.addr()).header("range", "bytes=70000-199999").get(OBJECT).await;
    range.is(206, &whole.body[70_000..]);
    assert_eq!(from_file().await, before + 1);
    viewer(house.edge.addr()).header("range", "bytes=70000-80000").get(OBJECT).await;
    assert!(viewer(house.edge.addr()).ask("HEAD", OBJECT).await.body.is_empty());
    viewer(house.edge.addr()).get(OTHER).await;
    assert_eq!(from_file().await, before + 1, "what is small goes from memory");
    // Who takes it slowly is sent all of it, too.
    viewer(house.edge.addr()).narrow().get(OBJECT).await.is(200, &whole.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_behind_each_other_are_answered_in_their_order_whichever_way_they_take() {
    let house = House::new().await;
    let plain = format!("GET {OBJECT} HTTP/1.1\r\nhost: live.example\r\nrange: bytes=0-9\r\n\r\n");
    let long = format!(
        "GET {OBJECT} HTTP/1.1\r\nhost: live.example\r\nrange: bytes=5-9\r\ncontent-length: 0\r\n\r\n"
    );
    let last = format!("HEAD {PLAYLIST} HTTP/1.1\r\nhost: live.example\r\nconnection: close\r\n\r\n");
    let all = [&plain, &plain, &long, &plain, &long, &long, &plain, &last].map(String::as_str).concat();
    let answers = viewer(house.edge.addr()).raw(all.as_bytes()).await;
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
const QUERIES: [&str; 8] =
    ["", "", "?", "?CMCD=bl%3D900", "?b=2&a=1", "?_HLS_skip=YES", "?_HLS_msn=x", "?a=%zz"];
