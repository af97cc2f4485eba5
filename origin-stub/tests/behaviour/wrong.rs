//! Responses that are wrong on command, judged by the bytes on the network.

use std::time::Duration;

use futures_util::future::join_all;
use tidegate_origin_stub::{Fault, synthetic_bytes, synthetic_variant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{End, Origin, PATIENCE, drain, origin};

const PATH: &str = "/bytes/1048576";
const SIZE: u64 = 1 << 20;

async fn origin_that(fault: Fault) -> Origin {
    let origin = origin().await;
    origin.control.fault(fault).unwrap();
    origin
}

#[tokio::test]
async fn a_cut_body_has_exactly_its_bytes_and_a_reset() {
    for bytes in [0, 1, 300_000, 1_000_000] {
        let origin = origin_that(Fault::on(PATH).cut_at(bytes).times(1)).await;
        let reply = origin.get(PATH).await;
        assert_eq!((reply.status, reply.end), (200, End::Reset), "{bytes}");
        assert_eq!(reply.header("content-length"), Some("1048576"));
        assert_eq!(reply.body, synthetic_bytes(PATH, 0..bytes), "{bytes}");
        assert_eq!(origin.get(PATH).await.body.len() as u64, SIZE);
    }
}

#[tokio::test]
async fn two_hundred_readers_are_cut_at_the_same_byte() {
    let origin = origin_that(Fault::on(PATH).cut_at(300_000)).await;
    let replies = join_all((0..200).map(|_| origin.get(PATH))).await;
    assert!(replies.iter().all(|reply| reply.end == End::Reset && reply.body.len() == 300_000));
    assert_eq!(origin.control.connections().reset, 200);
}

#[tokio::test]
async fn a_slow_reader_gets_all_bytes_before_the_reset() {
    let path = "/bytes/33554432";
    let origin = origin_that(Fault::on(path).cut_at(20 << 20)).await;
    let mut stream = origin.connect().await;
    ask(&mut stream, path).await;
    // Much more than socket buffers take is under way; the reset must not overtake it.
    let mut first = [0; 1];
    stream.read_exact(&mut first).await.unwrap();
    origin.control.arrived(path, 1).await;
    let (bytes, end) = drain(&mut stream).await;
    assert_eq!(end, End::Reset);
    let whole = [first.as_slice(), &bytes].concat();
    assert!(whole.ends_with(&synthetic_bytes(path, (20 << 20) - 1000..20 << 20)));
}

#[tokio::test]
async fn a_part_is_cut_at_its_own_bytes() {
    let origin = origin_that(Fault::on(PATH).cut_at(10)).await;
    let reply = origin.ask("GET", PATH, "Range: bytes=1000-\r\n").await;
    assert_eq!((reply.status, reply.end), (206, End::Reset));
    assert_eq!(reply.body, synthetic_bytes(PATH, 1000..1010));
}

#[tokio::test]
async fn a_closed_body_ends_early_without_a_reset() {
    let origin = origin_that(Fault::on(PATH).close_at(5000)).await;
    let reply = origin.get(PATH).await;
    assert_eq!((reply.end, reply.header("content-length")), (End::Closed, Some("1048576")));
    assert_eq!(reply.body, synthetic_bytes(PATH, 0..5000));
}

#[tokio::test]
async fn a_wrong_length_is_announced_and_the_body_is_unchanged() {
    for length in [10, 2_000_000] {
        let origin = origin_that(Fault::on(PATH).wrong_length(length)).await;
        let reply = origin.get(PATH).await;
        assert_eq!(reply.header("content-length"), Some(length.to_string().as_str()));
        assert_eq!((reply.end, reply.body.len() as u64), (End::Closed, SIZE));
    }
}

#[tokio::test]
async fn a_truncated_chunked_body_has_no_last_chunk() {
    let origin = origin_that(Fault::on(PATH).truncated_chunked(100)).await;
    let reply = origin.get(PATH).await;
    assert_eq!((reply.header("transfer-encoding"), reply.header("content-length")), (Some("chunked"), None));
    let expected = [b"64\r\n".as_slice(), &synthetic_bytes(PATH, 0..100), b"\r\n"].concat();
    assert_eq!((reply.body, reply.end), (expected, End::Closed));
}

#[tokio::test]
async fn a_status_comes_with_its_retry_after() {
    let origin = origin_that(Fault::on("/live/*").status(503).retry_after(7).times(2)).await;
    let path = "/live/ch1/ts/index.m3u8";
    for expected in [503, 503, 200] {
        let reply = origin.get(path).await;
        assert_eq!(reply.status, expected);
        assert_eq!(reply.header("retry-after"), (expected == 503).then_some("7"));
    }
    assert_eq!(origin.control.counted().paths[path].statuses[&503], 2);
}

#[tokio::test]
async fn headers_are_set_and_removed() {
    let fault = Fault::on("*").header("Cache-Control", "no-store").without_header("ETag");
    let reply = origin_that(fault).await.get(PATH).await;
    assert_eq!((reply.header("cache-control"), reply.header("etag")), (Some("no-store"), None));
}

#[tokio::test]
async fn a_variant_is_a_different_object_at_the_same_path() {
    let origin = origin().await;
    let first = origin.get(PATH).await;
    origin.control.fault(Fault::on(PATH).variant(1)).unwrap();
    let second = origin.get(PATH).await;
    assert_ne!(first.header("etag"), second.header("etag"));
    assert_eq!(second.body, synthetic_variant(PATH, 1, 0..SIZE));
}

#[tokio::test]
async fn early_hints_come_before_the_response() {
    let origin = origin_that(Fault::on("*").early_hints()).await;
    let hints = origin.get("/bytes/5").await;
    assert_eq!(hints.status, 103);
    assert!(hints.body.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn a_blocked_head_is_sent_when_it_is_released() {
    let origin = origin_that(Fault::on(PATH).hold("gate").times(2)).await;
    let (one, two, ()) = tokio::join!(origin.get(PATH), origin.get(PATH), async {
        origin.control.waiting("gate", 2).await;
        assert_eq!(origin.control.release("gate"), 2);
    });
    assert_eq!((one.status, two.status), (200, 200));
    assert_eq!(origin.get(PATH).await.status, 200);
}

#[tokio::test]
async fn a_blocked_body_sends_the_bytes_before_the_hold() {
    for fault in
        [Fault::on(PATH).hold_at("gate", 100_000), Fault::on(PATH).hold_at("gate", 100_000).cut_at(150_000)]
    {
        let end = if fault.cut_at.is_some() { 150_000 } else { SIZE };
        let origin = origin_that(fault).await;
        let mut stream = origin.connect().await;
        ask(&mut stream, PATH).await;
        let head = read_head(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(read(&mut stream, 100_000).await, synthetic_bytes(PATH, 0..100_000));
        origin.control.waiting("gate", 1).await;
        assert_eq!(origin.control.release("gate"), 1);
        let (rest, _) = drain(&mut stream).await;
        assert_eq!(rest, synthetic_bytes(PATH, 100_000..end));
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_no_longer_blocked_at_a_hold() {
    let origin = origin_that(Fault::on(PATH).hold("gate")).await;
    let mut stream = origin.connect().await;
    ask(&mut stream, PATH).await;
    origin.control.waiting("gate", 1).await;
    drop(stream);
    // The end of the connection drops the request, which is then no longer counted as blocked.
    let gone = async {
        while origin.control.connections().open > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
    assert_eq!(origin.control.release("gate"), 0);
}

#[tokio::test]
async fn slow_bytes_keep_their_rate() {
    let origin = origin_that(Fault::on("*").bytes_per_second(100_000)).await;
    let mut stream = origin.connect().await;
    let start = tokio::time::Instant::now();
    ask(&mut stream, "/bytes/50000").await;
    read_head(&mut stream).await;
    assert_eq!(read(&mut stream, 50_000).await, synthetic_bytes("/bytes/50000", 0..50_000));
    assert!(start.elapsed() >= Duration::from_millis(400), "{:?}", start.elapsed());
}

#[tokio::test]
async fn latency_comes_before_the_head() {
    let origin = origin_that(Fault::on("*").latency(Duration::from_millis(150))).await;
    let start = tokio::time::Instant::now();
    assert_eq!(origin.get("/bytes/5").await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(150), "{:?}", start.elapsed());
}

async fn ask(stream: &mut TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: origin\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    timeout(PATIENCE, stream.read_exact(&mut bytes)).await.unwrap().unwrap();
    bytes
}
