//! Ranges (RFC 9110 section 14, RFC 8673): any bytes of an object, complete or growing, from one request to
//! the origin.

use std::ops::Range;

use bytes::Bytes;
use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_tests::viewer::Response;
use tidegate_tests::{Origin, Running, edge, origin, shield, viewer};

const SIZE: u64 = 100_000;
const OBJECT: &str = "/bytes/100000";
/// The last position in the range of a client that follows a growing object (RFC 8673 section 2.2).
const EVER: u64 = (1 << 53) - 1;

struct Cluster {
    origin: Origin,
    _shield: Running,
    edge: Running,
}

impl Cluster {
    async fn new() -> Self {
        let origin = origin().run().await;
        let shield = shield().origin(&origin).run().await;
        let edge = edge().shield(&shield).run().await;
        Self { origin, _shield: shield, edge }
    }

    async fn range(&self, range: &str) -> Response {
        viewer(self.edge.addr()).header("range", range).get(OBJECT).await
    }
}

fn bytes(range: Range<u64>) -> Bytes {
    synthetic_bytes(OBJECT, range)
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_are_served_from_one_object_that_the_origin_sends_once() {
    let cluster = Cluster::new().await;
    for (range, expected, content_range) in [
        ("bytes=500-999", 500..1000, "bytes 500-999/100000"),
        ("bytes=0-0", 0..1, "bytes 0-0/100000"),
        ("bytes=99999-", 99_999..100_000, "bytes 99999-99999/100000"),
        ("bytes=1-", 1..100_000, "bytes 1-99999/100000"),
        ("bytes=99000-1000000", 99_000..100_000, "bytes 99000-99999/100000"),
        ("bytes=-500", 99_500..100_000, "bytes 99500-99999/100000"),
        ("bytes=-1000000", 0..100_000, "bytes 0-99999/100000"),
        ("BYTES= 5-9", 5..10, "bytes 5-9/100000"),
        ("bytes=1000-9007199254740991", 1000..100_000, "bytes 1000-99999/100000"),
        // Adjacent ranges are combined.
        ("bytes=10-19,20-29", 10..30, "bytes 10-29/100000"),
    ] {
        let response = cluster.range(range).await;
        response.is(206, &bytes(expected.clone()));
        assert_eq!(response.header("content-range"), content_range, "{range}");
        assert_eq!(response.header("content-length"), (expected.end - expected.start).to_string(), "{range}");
        assert!(!response.header("etag").is_empty());
    }
    assert_eq!(cluster.origin.requests(OBJECT), 1);
    assert_eq!(cluster.origin.seen(OBJECT)[0].header("range"), "", "a fill is whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_range_is_ignored_and_one_beyond_the_end_is_a_416() {
    let cluster = Cluster::new().await;
    let many = format!(
        "bytes={}",
        (0..20).map(|n| format!("{}-{}", n * 100, n * 100 + 9)).collect::<Vec<_>>().join(",")
    );
    for range in [
        "bytes=",
        "bytes=a-b",
        "bytes=9-5",
        "bytes=1-2,x",
        "lines=1-2",
        "bytes 1-2",
        "1-2",
        "bytes=--5",
        &many,
    ] {
        let response = cluster.range(range).await;
        response.is(200, &bytes(0..SIZE));
        assert_eq!(
            (response.header("content-range"), response.header("accept-ranges")),
            ("", "bytes"),
            "{range}"
        );
    }
    for range in ["bytes=100000-", "bytes=100000-100001", "bytes=-0", "bytes=100000-,200000-"] {
        let response = cluster.range(range).await;
        response.is(416, b"");
        assert_eq!(response.header("content-range"), "bytes */100000", "{range}");
    }
    let head = viewer(cluster.edge.addr()).header("range", "bytes=0-9").ask("HEAD", OBJECT).await;
    // RFC 9110 section 14.2: Range applies to GET only.
    assert_eq!((head.status, head.header("content-length")), (200, "100000"));
    assert_eq!(cluster.origin.requests(OBJECT), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_ranges_are_sent_as_the_parts_of_one_body() {
    let cluster = Cluster::new().await;
    for _cold_then_warm in 0..2 {
        let response = cluster.range("bytes=0-9,500-1499,-5").await;

        assert_eq!((response.status, response.whole, response.header("content-range")), (206, true, ""));
        assert_eq!(response.length(), Some(response.body.len()));
        let parts = parts(&response);
        assert_eq!(parts.len(), 3);
        for (part, (range, content_range)) in parts.iter().zip([
            (0..10, "bytes 0-9/100000"),
            (500..1500, "bytes 500-1499/100000"),
            (99_995..100_000, "bytes 99995-99999/100000"),
        ]) {
            assert!(part.1 == bytes(range), "{}", part.0);
            let head = part.0.to_ascii_lowercase();
            assert!(head.contains(&format!("content-range: {content_range}\r\n")), "{head}");
            assert!(head.contains("content-type: application/octet-stream\r\n"), "{head}");
        }
    }
    assert_eq!(cluster.origin.requests(OBJECT), 1);
}

/// Splits a multipart/byteranges body into heads and bytes, as RFC 2046 section 5.1.1 defines it.
fn parts(response: &Response) -> Vec<(String, Vec<u8>)> {
    let content_type = response.header("content-type");
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").expect("a boundary");
    let delimiter = format!("\r\n--{boundary}").into_bytes();
    let mut rest = [b"\r\n", &response.body[..]].concat();
    let mut pieces = Vec::new();
    while let Some(at) = find(&rest, &delimiter) {
        pieces.push(rest[..at].to_vec());
        rest.drain(..at + delimiter.len());
    }
    assert_eq!(rest, b"--\r\n", "the last delimiter closes the body");
    // Bytes before the first delimiter belong to no part.
    let parts = pieces.into_iter().skip(1).map(|piece| {
        let end = find(&piece, b"\r\n\r\n").expect("a head");
        (String::from_utf8(piece[2..end + 2].to_vec()).expect("text"), piece[end + 4..].to_vec())
    });
    parts.collect()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[tokio::test(flavor = "multi_thread")]
async fn if_range_applies_to_the_very_same_object_only() {
    let cluster = Cluster::new().await;
    let whole = viewer(cluster.edge.addr()).get(OBJECT).await;
    let (etag, modified) = (whole.header("etag"), whole.header("last-modified"));
    for (condition, status) in [
        (etag, 206),
        (modified, 206),
        (&format!("W/{etag}"), 200),
        ("\"another\"", 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 200),
        ("neither", 200),
    ] {
        let ranged = viewer(cluster.edge.addr()).header("range", "bytes=10-19").header("if-range", condition);
        let expected = if status == 206 { 10..20 } else { 0..SIZE };
        ranged.get(OBJECT).await.is(status, &bytes(expected));
    }
    assert_eq!(cluster.origin.requests(OBJECT), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_of_a_growing_object_of_unknown_length_is_served_when_its_bytes_arrive() {
    let cluster = Cluster::new().await;
    cluster.origin.fault(Fault::on(OBJECT).chunked().hold_at("rest", 5000)).unwrap();
    let _first = viewer(cluster.edge.addr()).start("GET", OBJECT).await;
    cluster.origin.waiting("rest", 1).await;

    let early = cluster.range("bytes=100-199").await;

    early.is(206, &bytes(100..200));
    assert_eq!(early.header("content-range"), "bytes 100-199/*");
    cluster.origin.release("rest");
    let late = cluster.range("bytes=50000-50009").await;
    late.is(206, &bytes(50_000..50_010));
    assert_eq!(cluster.origin.requests(OBJECT), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_may_follow_a_growing_object_from_any_byte() {
    let cluster = Cluster::new().await;
    cluster.origin.fault(Fault::on(OBJECT).chunked().hold_at("rest", 5000)).unwrap();
    let range = format!("bytes=1000-{EVER}");
    let following = viewer(cluster.edge.addr()).header("range", &range);

    let mut first = following.start("GET", OBJECT).await;
    assert!(first.begins(4000).await, "existing bytes arrive immediately");
    cluster.origin.waiting("rest", 1).await;
    cluster.origin.release("rest");
    let response = first.rest().await;

    response.is(206, &bytes(1000..SIZE));
    assert_eq!(response.header("content-range"), format!("bytes 1000-{EVER}/*"));
    let behind = cluster.range(&format!("bytes=100000-{EVER}")).await;
    assert_eq!((behind.status, behind.header("content-range")), (416, "bytes */100000"));
    assert_eq!(cluster.origin.requests(OBJECT), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn following_from_beyond_the_end_is_a_416_once_the_length_is_known() {
    let cluster = Cluster::new().await;
    cluster.origin.fault(Fault::on(OBJECT).chunked().hold_at("rest", 5000)).unwrap();
    let following = viewer(cluster.edge.addr()).header("range", &format!("bytes=200000-{EVER}"));
    let mut early = following.start("GET", OBJECT).await;
    cluster.origin.waiting("rest", 1).await;
    cluster.origin.release("rest");

    let response = early.rest().await;

    response.is(416, b"");
    assert_eq!(response.header("content-range"), "bytes */100000");
}
