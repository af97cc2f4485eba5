//! Objects that an encoder pushes.

use tokio::io::AsyncWriteExt as _;

use crate::harness::{End, Reply, ask, config, drain, origin, origin_with};

const PATH: &str = "/ingest/ch1/index.m3u8";

#[tokio::test]
async fn a_pushed_playlist_is_read_back_and_deleted() {
    let origin = origin().await;
    let chunks = "8\r\n#EXTM3U\n\r\n0\r\n\r\n";
    let put = ask(origin.addr, "PUT", PATH, "Transfer-Encoding: chunked\r\n", chunks).await;
    assert_eq!(put.status, 201);
    let got = origin.get(PATH).await;
    assert_eq!((got.status, got.text()), (200, "#EXTM3U\n".to_owned()));
    assert_eq!(got.header("content-type"), Some("application/vnd.apple.mpegurl"));
    assert_eq!(got.header("cache-control"), Some("no-cache"));
    assert!(got.header("etag").is_some());
    assert_eq!(origin.ask("DELETE", PATH, "").await.status, 204);
    assert_eq!(origin.get(PATH).await.status, 404);
    assert_eq!(origin.control.counted().paths[PATH].methods["PUT"], 1);
}

#[tokio::test]
async fn an_upload_is_visible_only_when_it_is_complete() {
    let origin = origin().await;
    ask(origin.addr, "PUT", PATH, "Content-Length: 3\r\n", "old").await;
    let mut upload = origin.connect().await;
    let head = format!("PUT {PATH} HTTP/1.1\r\nHost: o\r\nConnection: close\r\nContent-Length: 6\r\n\r\nnew");
    upload.write_all(head.as_bytes()).await.unwrap();
    origin.control.arrived(PATH, 2).await;
    assert_eq!(origin.get(PATH).await.text(), "old");
    upload.write_all(b"est").await.unwrap();
    let (bytes, end) = drain(&mut upload).await;
    assert_eq!((Reply::parse(&bytes, end).status, end), (204, End::Closed));
    assert_eq!(origin.get(PATH).await.text(), "newest");
}

#[tokio::test]
async fn an_encoder_may_leave_without_reading_its_response() {
    let origin = origin().await;
    for (number, request) in [
        "PUT /ingest/a.ts HTTP/1.1\r\nHost: o\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "DELETE /ingest/a.ts HTTP/1.1\r\nHost: o\r\nConnection: close\r\n\r\n",
    ]
    .iter()
    .enumerate()
    {
        let mut encoder = origin.connect().await;
        encoder.write_all(request.as_bytes()).await.unwrap();
        drop(encoder);
        origin.control.answered("/ingest/a.ts", number as u64 + 1).await;
    }
    let statuses: Vec<_> = origin.control.seen("/ingest/a.ts").iter().map(|seen| seen.status).collect();
    assert_eq!(statuses, [Some(201), Some(204)]);
}

#[tokio::test]
async fn an_upload_that_is_too_large_is_refused() {
    let mut config = config();
    config.ingest.object_bytes_max = 4;
    let origin = origin_with(config).await;
    let reply = ask(origin.addr, "PUT", PATH, "Content-Length: 5\r\n", "12345").await;
    assert_eq!(reply.status, 413);
    assert!(reply.text().contains("at most 4 bytes"));
    assert_eq!(origin.get(PATH).await.status, 404);
}
