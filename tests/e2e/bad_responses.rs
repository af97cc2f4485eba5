//! Invalid responses of origins: viewers get a clear error or another origin's response, and no part of an
//! invalid response is stored.

use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_tests::{edge, origin, shield, viewer, viewers};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const PLAYLIST: &str = "/vod/film/ts/240p/index.m3u8";
const SEGMENT: &str = "/vod/film/ts/240p/0.ts";

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_playlist_is_requested_from_the_next_origin() {
    let (primary, backup) = (origin().run().await, origin().run().await);
    primary.fault(Fault::on("*.m3u8").garbage()).unwrap();
    let shield = shield().origin(&primary).origin(&backup).run().await;
    let edge = edge().shield(&shield).run().await;

    let playlist = viewer(edge.addr()).get(PLAYLIST).await;

    assert!(playlist.status == 200 && playlist.text().starts_with("#EXTM3U"), "{}", playlist.text());
    assert_eq!((primary.requests(PLAYLIST), backup.requests(PLAYLIST)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_invalid_at_every_origin_is_a_502_for_one_failure_lifetime() {
    let origin = origin().run().await;
    origin.fault(Fault::on("*.m3u8").garbage()).unwrap();
    let long = tidegate_proxy::config::units::Period::secs(60);
    let shield = shield().origin(&origin).with(|config| config.cache.failure_lifetime = long).run().await;
    let edge = edge().shield(&shield).with(|config| config.cache.failure_lifetime = long).run().await;
    for response in viewers(50, &[&edge]).get(PLAYLIST).await {
        assert_eq!(response.status, 502);
        assert!(response.header("proxy-status").contains("received-status=502"));
    }
    let at_shield = viewer(shield.addr()).get(PLAYLIST).await;
    assert!(at_shield.header("proxy-status").starts_with("shield-1; error=http_protocol_error; next-hop="));
    assert_eq!(origin.requests(PLAYLIST), 1);
    for tier in [&shield, &edge] {
        assert_eq!(tier.count("tidegate_fills_total", "stored").await, 0);
    }
    assert_eq!(viewer(edge.addr()).get(SEGMENT).await.status, 200, "other objects are unaffected");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_labelled_as_a_playlist_is_served_unchanged() {
    let origin = origin().run().await;
    let label = "application/vnd.apple.mpegurl";
    origin.fault(Fault::on("*").header("content-type", label)).unwrap();
    let edge = edge().origin(&origin).run().await;
    for path in ["/bytes/5000/0.ts", "/bytes/5000/0.m4s", "/bytes/5000/thumbnail"] {
        for _cold_then_warm in 0..2 {
            let response = viewer(edge.addr()).header("accept-encoding", "gzip").get(path).await;
            response.is(200, &synthetic_bytes(path, 0..5000));
            assert_eq!((response.header("content-type"), response.header("content-encoding")), (label, ""));
        }
        assert_eq!(origin.requests(path), 1, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_of_ten_megabytes_is_a_502_and_is_never_stored() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    let line = "#EXTINF:2.000,\n0.ts\n";
    let mut playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n".to_owned();
    playlist.push_str(&line.repeat((10 << 20) / line.len()));
    let path = "/ingest/large/index.m3u8";
    assert_eq!(viewer(origin.addr()).body(playlist.as_bytes()).ask("PUT", path).await.status, 201);

    let (large, others) = tokio::join!(async { viewers(10, &[&edge]).get(path).await }, async {
        viewers(10, &[&edge]).get(SEGMENT).await
    });

    assert!(large.iter().all(|response| response.status == 502));
    assert!(others.iter().all(|response| response.status == 200 && response.whole));
    for tier in [&shield, &edge] {
        assert_eq!(tier.count("tidegate_fills_total", "stored").await, 1, "the segment alone");
        let cached = tier.status().await["cache"]["body_bytes"].as_u64().unwrap();
        assert!(cached < 1 << 20, "{cached} bytes are cached");
    }
}

/// A server that sends these bytes in response to the first request of each connection, then closes it
/// silently.
struct Raw {
    url: String,
    _task: JoinSet<()>,
}

impl Raw {
    async fn run(response: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut head = vec![];
                while !head.ends_with(b"\r\n\r\n") {
                    match socket.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_left) => break,
                    }
                }
                let _left = socket.write_all(response.as_bytes()).await;
            }
        });
        Self { url, _task: task }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_of_ambiguous_length_is_a_502_and_is_never_stored() {
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nabcde",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n folded: 1\r\nContent-Length: 1\r\n\r\na",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ] {
        let raw = Raw::run(response).await;
        let shield = shield().origin_at(&raw.url).run().await;
        let refused = viewer(shield.addr()).get("/a.ts").await;
        assert_eq!(refused.status, 502, "{response}");
        let why = refused.header("proxy-status");
        assert!(why.contains("error=http_protocol_error"), "{response}: {why}");
        assert_eq!(shield.count("tidegate_fills_total", "stored").await, 0, "{response}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_closes_connections_silently_is_still_used() {
    let raw =
        Raw::run("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: max-age=60\r\n\r\nabcde").await;
    let shield = shield().origin_at(&raw.url).run().await;
    for number in 0..50 {
        let response = viewer(shield.addr()).get(&format!("/{number}.ts")).await;
        assert_eq!((response.status, response.text().as_str()), (200, "abcde"), "{number}");
    }
    assert_eq!(shield.count("tidegate_fills_total", "stored").await, 50);
}
