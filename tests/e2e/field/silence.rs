//! Connections on which nothing happens are closed, and make room for others.

use std::net::SocketAddr;

use tidegate_origin_stub::synthetic_bytes;
use tidegate_proxy::config::units::Period;
use tidegate_tests::{Origin, PATIENCE, Running, authority, edge, origin, until, viewer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PATH: &str = "/bytes/1000";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A SETTINGS frame without settings (RFC 9113 section 6.5).
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const CONNECTIONS_MAX: usize = 4;

/// An edge with few connections and short timeouts.
async fn narrow(change: impl FnOnce(&mut tidegate_edge::Config)) -> (Origin, Running) {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).with(|config| {
        config.listen.connections_max = CONNECTIONS_MAX;
        config.viewers.head_timeout = Period::millis(200);
        config.viewers.idle_timeout = Period::millis(400);
        change(config);
    });
    let edge = edge.run().await;
    (origin, edge)
}

/// Opens all the connections that the edge allows, sends `bytes` on each, and waits for their ends. Returns
/// what arrived on one of them.
async fn occupy(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        open.push(stream);
    }
    let mut last = Vec::new();
    for mut stream in open {
        last.clear();
        let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut last)).await;
        // A reset is an end as well.
        assert!(end.is_ok(), "{} stays open", bytes.escape_ascii());
    }
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_end_and_free_their_places() {
    let (_origin, edge) = narrow(|_| {}).await;
    let with_settings = [PREFACE, SETTINGS].concat();
    for bytes in [
        &b""[..],
        b"P",
        b"PR",
        b"PRI",
        b"PRI * HTTP/2.0",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r",
        PREFACE,
        &with_settings[..30],
        &with_settings,
        b"GET /",
    ] {
        occupy(edge.addr(), bytes).await;
        viewer(edge.addr()).get(PATH).await.is(200, &synthetic_bytes(PATH, 0..1000));
    }
    until("no place is taken", async || edge.metric("tidegate_connections", "").await == 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_preface_is_answered_as_an_unfinished_request() {
    let (_origin, edge) = narrow(|_| {}).await;
    for (bytes, status) in [
        (&b"PR"[..], "HTTP/1.1 408 "),
        (b"PRI * HTTP/2.0\r\n", "HTTP/1.1 408 "),
        (b"PRI * HTTP/2.0\r\n\r\nXX", "HTTP/1.1 400 "),
        (b"PRI * HTTP/1.1\r\nhost: live.example\r\n\r\n", "HTTP/1.1 400 "),
        (b"PRINT / HTTP/1.1\r\nhost: live.example\r\n\r\n", "HTTP/1.1 405 "),
    ] {
        let answer = occupy(edge.addr(), bytes).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with(status), "{}: {answer}", bytes.escape_ascii());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preface_may_arrive_in_pieces() {
    let (_origin, edge) = narrow(|config| config.viewers.head_timeout = Period::secs(10)).await;
    for cut in [1, 2, 3, 14, 24] {
        let whole = [PREFACE, SETTINGS].concat();
        let mut stream = TcpStream::connect(edge.addr()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(&whole[..cut]).await.unwrap();
        until("the edge serves it", async || edge.count("tidegate_connections", "").await == 1).await;
        stream.write_all(&whole[cut..]).await.unwrap();
        let mut frame = [0; 9];
        let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut frame)).await;
        read.expect("a frame in time").expect("a frame");
        assert_eq!(frame[3], 4, "cut after {cut} bytes: the server's SETTINGS");
        drop(stream);
        until("its place is free", async || edge.metric("tidegate_connections", "").await == 0.0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_ends_connections_with_tls() {
    let authority = authority();
    let shown = authority.issue(&["localhost"]);
    let (_origin, edge) = narrow(|config| {
        config.listen.tls = Some(shown.listen());
        // A handshake takes its time on a busy machine.
        config.viewers.head_timeout = Period::secs(2);
    })
    .await;
    let tls = authority.viewer_tls("localhost");
    // The handshake never begins, or never ends.
    for bytes in [&b""[..], b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        occupy(edge.tls_addr(), bytes).await;
    }
    // The handshake has chosen HTTP/2 or HTTP/1.1, and nothing follows, or not enough.
    for http2 in [true, false] {
        for bytes in [&b""[..], &PREFACE[..3], PREFACE] {
            let mut open = Vec::new();
            for _ in 0..CONNECTIONS_MAX {
                let tls = if http2 { tls.clone().http2() } else { tls.clone() };
                let stream = TcpStream::connect(edge.tls_addr()).await.unwrap();
                let mut stream = tls.handshake(stream).await.unwrap();
                stream.write_all(bytes).await.unwrap();
                stream.flush().await.unwrap();
                open.push(stream);
            }
            for mut stream in open {
                let mut rest = Vec::new();
                let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
                let _end = end.unwrap_or_else(|_| panic!("{http2} {} stays open", bytes.escape_ascii()));
            }
        }
    }
    viewer(edge.tls_addr()).tls(&tls).get(PATH).await.is(200, &synthetic_bytes(PATH, 0..1000));
}
