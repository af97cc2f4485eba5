//! The behaviour without faults.

use std::collections::HashSet;

use futures_util::future::join_all;
use tidegate_origin_stub::synthetic_bytes;

use crate::harness::{End, origin};

const SEGMENT: &str = "/vod/ch1/ts/144p/7.ts";

#[tokio::test]
async fn a_segment_has_the_headers_that_caches_use() {
    let origin = origin().await;
    let reply = origin.get(SEGMENT).await;
    assert_eq!((reply.status, reply.end), (200, End::Closed));
    assert_eq!(reply.header("content-type"), Some("video/mp2t"));
    assert_eq!(reply.header("cache-control"), Some("max-age=3600"));
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.header("content-length"), Some(reply.body.len().to_string().as_str()));
    assert!(reply.header("etag").is_some_and(|etag| etag.starts_with('"')));
    assert!(reply.header("last-modified").is_some());
    assert!(reply.body.len() > 40_000);
}

#[tokio::test]
async fn a_head_has_the_headers_of_a_get_and_no_body() {
    let origin = origin().await;
    let get = origin.get(SEGMENT).await;
    let head = origin.ask("HEAD", SEGMENT, "Range: bytes=0-9\r\n").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in ["content-length", "etag", "last-modified", "content-type"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
}

#[tokio::test]
async fn a_range_is_cut_from_the_validated_object() {
    let origin = origin().await;
    let whole = origin.get(SEGMENT).await;
    let etag = whole.header("etag").unwrap();
    let part = origin.ask("GET", SEGMENT, &format!("Range: bytes=100-299\r\nIf-Range: {etag}\r\n")).await;
    assert_eq!((part.status, part.header("content-length")), (206, Some("200")));
    assert_eq!(part.header("content-range"), Some(format!("bytes 100-299/{}", whole.body.len()).as_str()));
    assert_eq!(part.body, whole.body[100..300]);
    let other = origin.ask("GET", SEGMENT, "Range: bytes=100-299\r\nIf-Range: \"x\"\r\n").await;
    assert_eq!((other.status, other.body.len()), (200, whole.body.len()));
    let beyond = origin.ask("GET", SEGMENT, "Range: bytes=9999999-\r\n").await;
    assert_eq!(beyond.status, 416);
}

#[tokio::test]
async fn an_unchanged_object_is_not_sent_again() {
    let origin = origin().await;
    let whole = origin.get(SEGMENT).await;
    let etag = whole.header("etag").unwrap();
    let date = whole.header("last-modified").unwrap();
    for condition in [format!("If-None-Match: {etag}\r\n"), format!("If-Modified-Since: {date}\r\n")] {
        let reply = origin.ask("GET", SEGMENT, &condition).await;
        assert_eq!((reply.status, reply.body.len(), reply.header("etag")), (304, 0, Some(etag)));
    }
}

#[tokio::test]
async fn errors_give_their_reason() {
    let origin = origin().await;
    for (method, path, status, why) in [
        ("GET", "/nothing", 404, "there are /live/"),
        ("GET", "/live/ch1/ts/1080p/index.m3u8", 404, "no such rendition"),
        ("GET", "/live/UPPER/ts/index.m3u8", 404, "a-z"),
        ("GET", "/live/ch1/ts/240p/1.ts", 404, "has expired"),
        ("GET", "/live/ch1/ts/240p/99999999999.ts", 404, "does not exist yet"),
        ("GET", "/bytes/many", 400, "/bytes/{size}"),
        ("GET", "/bytes/67108865", 400, "too many"),
        ("GET", "/bytes/5?bps=0", 400, "cannot be"),
        ("POST", SEGMENT, 405, "GET, HEAD"),
        ("PATCH", "/ingest/a", 405, "PUT"),
        ("GET", "/ingest/a", 404, "nothing complete"),
        ("PUT", "/ingest/a/", 400, "/ingest/{folders}"),
    ] {
        let reply = origin.ask(method, path, "").await;
        assert_eq!(reply.status, status, "{method} {path}");
        assert!(reply.text().contains(why), "{method} {path}: {}", reply.text());
    }
}

#[tokio::test]
async fn synthetic_bytes_match_the_function() {
    let origin = origin().await;
    let path = "/bytes/1000000/a";
    assert_eq!(origin.get(path).await.body, synthetic_bytes(path, 0..1_000_000));
    let part = origin.ask("GET", &format!("{path}?x=1"), "Range: bytes=500000-600000\r\n").await;
    assert_eq!(part.status, 206);
    assert_eq!(part.body, synthetic_bytes(path, 500_000..600_001));
    assert_eq!(origin.get("/bytes/0").await.header("content-length"), Some("0"));
}

#[tokio::test]
async fn private_and_cookie_responses_are_all_different() {
    let origin = origin().await;
    for query in ["private=1", "cookie=1"] {
        let path = format!("/bytes/1000?{query}");
        let replies = join_all((0..50).map(|_| origin.get(&path))).await;
        let bodies: HashSet<_> = replies.iter().map(|reply| reply.body.clone()).collect();
        assert_eq!(bodies.len(), 50, "{query}");
        let cookies: HashSet<_> = replies.iter().filter_map(|reply| reply.header("set-cookie")).collect();
        assert_eq!(cookies.len(), if query == "cookie=1" { 50 } else { 0 });
    }
}

#[tokio::test]
async fn a_chunked_response_has_no_length() {
    let origin = origin().await;
    let reply = origin.get("/bytes/10?chunked=1").await;
    assert_eq!((reply.header("content-length"), reply.header("transfer-encoding")), (None, Some("chunked")));
    let bytes = synthetic_bytes("/bytes/10", 0..10);
    assert_eq!(reply.body, [b"A\r\n".as_slice(), &bytes, b"\r\n0\r\n\r\n"].concat());
}

#[tokio::test]
async fn an_echo_sends_the_request_back() {
    let origin = origin().await;
    let reply = crate::harness::ask(origin.addr, "POST", "/echo", "Content-Length: 5\r\n", "hello").await;
    assert_eq!((reply.status, reply.header("x-method")), (200, Some("POST")));
    assert!(reply.text().contains("hello"));
}

#[tokio::test]
async fn a_preflight_is_answered() {
    let origin = origin().await;
    let reply = origin.ask("OPTIONS", SEGMENT, "Origin: http://page\r\n").await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (204, Some("*")));
}

#[tokio::test]
async fn a_thousand_simultaneous_requests_are_answered() {
    let origin = origin().await;
    let replies = join_all((0..1000).map(|_| origin.get("/bytes/10000"))).await;
    assert!(replies.iter().all(|reply| reply.status == 200 && reply.body.len() == 10_000));
    assert_eq!(origin.control.requests("/bytes/10000"), 1000);
}

#[tokio::test]
async fn requests_are_counted_and_recorded() {
    let origin = origin().await;
    origin.ask("GET", &format!("{SEGMENT}?a=b"), "Range: bytes=0-1\r\nVia: 1.1 shield\r\n").await;
    origin.get("/vod/ch1/ts/index.m3u8").await;
    let counted = origin.control.counted();
    assert_eq!((counted.total, counted.segments, counted.playlists, counted.with_range), (2, 1, 1, 1));
    assert_eq!(counted.paths[SEGMENT].statuses[&206], 1);
    let seen = &origin.control.seen(SEGMENT)[0];
    assert_eq!(
        (seen.query.as_deref(), seen.header("via"), seen.status),
        (Some("a=b"), "1.1 shield", Some(206))
    );
    origin.control.forget();
    assert_eq!((origin.control.total(), origin.control.requests("*.ts")), (0, 0));
}
