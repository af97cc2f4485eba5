//! Origins that answer with what cannot be: viewers get a clear error, or another origin's answer, and nothing of it is
//! kept.

use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_tests::{edge, origin, shield, viewer, viewers};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const PLAYLIST: &str = "/vod/film/ts/240p/index.m3u8";
const SEGMENT: &str = "/vod/film/ts/240p/0.ts";

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_that_is_none_is_asked_for_at_the_next_origin() {
    let (primary, backup) = (origin().run().await, origin().run().await);
    primary.fault(Fault::on("*.m3u8").garbage()).unwrap();
    let shield = shield().origin(&primary).origin(&backup).run().await;
    let edge = edge().shield(&shield).run().await;

    let playlist = viewer(edge.addr()).get(PLAYLIST).await;

    assert!(playlist.status == 200 && playlist.text().starts_with("#EXTM3U"), "{}", playlist.text());
    assert_eq!((primary.requests(PLAYLIST), backup.requests(PLAYLIST)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_that_is_none_anywhere_is_a_502_for_one_failure_lifetime() {
    let origin = origin().run().await;
    origin.fault(Fault::on("*.m3u8").garbage()).unwrap();
    let long = tidegate_proxy::config::units::Period::secs(60);
    let shield = shield().origin(&origin).with(|config| config.cache.failure_lifetime = long).run().await;
    let edge = edge().shield(&shield).with(|config| config.cache.failure_lifetime = long).run().await;
    for answer in viewers(50, &[&edge]).get(PLAYLIST).await {
        assert_eq!(answer.status, 502);
        assert!(answer.header("proxy-status").contains("received-status=502"));
    }
    let at_shield = viewer(shield.addr()).get(PLAYLIST).await;
    assert!(at_shield.header("proxy-status").starts_with("shield-1; error=http_protocol_error; next-hop="));
    assert_eq!(origin.requests(PLAYLIST), 1);
    for tier in [&shield, &edge] {
        assert_eq!(tier.count("tidegate_fills_total", "stored").await, 0);
    }
    assert_eq!(viewer(edge.addr()).get(SEGMENT).await.status, 200, "others are unharmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_is_labelled_as_a_playlist_is_served_as_it_is() {
    let origin = origin().run().await;
    let label = "application/vnd.apple.mpegurl";
    origin.fault(Fault::on("*").header("content-type", label)).unwrap();
    let edge = edge().origin(&origin).run().await;
    for path in ["/bytes/5000/0.ts", "/bytes/5000/0.m4s", "/bytes/5000/thumbnail"] {
        for _cold_then_warm in 0..2 {
            let answer = viewer(edge.addr()).header("accept-encoding", "gzip").get(path).await;
            answer.is(200, &synthetic_bytes(path, 0..5000));
            assert_eq!((answer.header("content-type"), answer.header("content-encoding")), (label, ""));
        }
        assert_eq!(origin.requests(path), 1, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_of_ten_megabytes_is_a_502_and_never_kept() {
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

    assert!(large.iter().all(|answer| answer.status == 502));
    assert!(others.iter().all(|answer| answer.status == 200 && answer.whole));
    for tier in [&shield, &edge] {
        assert_eq!(tier.count("tidegate_fills_total", "stored").await, 1, "the segment alone");
        let held = tier.status().await["cache"]["body_bytes"].as_u64().unwrap();
        assert!(held < 1 << 20, "{held} bytes are held");
    }
}

/// A server that answers each connection's first request with these bytes, and closes it without a word.
struct Raw {
    url: String,
    _task: JoinSet<()>,
}

impl Raw {
    async fn run(answer: &'static str) -> Self {
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
                let _left = socket.write_all(answer.as_bytes()).await;
            }
        });
        Self { url, _task: task }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_whose_end_is_in_doubt_is_a_502_and_never_kept() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nabcde",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n folded: 1\r\nContent-Length: 1\r\n\r\na",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ] {
        let raw = Raw::run(answer).await;
        let shield = shield().origin_at(&raw.url).run().await;
        let told = viewer(shield.addr()).get("/a.ts").await;
        assert_eq!(told.status, 502, "{answer}");
        let why = told.header("proxy-status");
        assert!(why.contains("error=http_protocol_error"), "{answer}: {why}");
        assert_eq!(shield.count("tidegate_fills_total", "stored").await, 0, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_closes_its_connections_without_a_word_answers_all_the_same() {
    let raw =
        Raw::run("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: max-age=60\r\n\r\nabcde").await;
    let shield = shield().origin_at(&raw.url).run().await;
    for number in 0..50 {
        let answer = viewer(shield.addr()).get(&format!("/{number}.ts")).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "abcde"), "{number}");
    }
    assert_eq!(shield.count("tidegate_fills_total", "stored").await, 50);
}
