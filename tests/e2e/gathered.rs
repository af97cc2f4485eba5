//! What HTTP/2 writes under TLS is gathered: it leaves in full records, and waits for a viewer who does not read.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hyper::client::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tidegate_origin_stub::synthetic_bytes;
use tidegate_tests::{until, viewer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::tls::{https, over_http2};

const MIB: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_who_does_not_read_holds_up_nobody_and_gets_all_in_full_records() {
    const LARGE: &str = "/bytes/16777216";
    let (_origin, _authority, edge, tls) = https().await;
    let read_on = Arc::new(Notify::new());
    let (road, sent) = recording(edge.tls_addr(), Arc::clone(&read_on)).await;
    let stream = tls.clone().http2().shake(TcpStream::connect(road).await.unwrap()).await.unwrap();
    let (requests, connection) = Builder::new(TokioExecutor::new())
        .initial_stream_window_size(32 << 20)
        .initial_connection_window_size(32 << 20)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    let _speaking = tokio::spawn(connection);
    let slow = tokio::spawn(over_http2(requests, LARGE.to_owned()));
    until("the road is full", async || sent.lock().unwrap().len() > 100_000).await;
    for _ in 0..3 {
        viewer(edge.tls_addr()).tls(&tls).get(LARGE).await.is(200, &synthetic_bytes(LARGE, 0..16 * MIB));
    }
    assert!(!slow.is_finished());
    read_on.notify_one();
    assert!(slow.await.unwrap().1 == synthetic_bytes(LARGE, 0..16 * MIB));

    // A frame has 16 KiB and a head of nine bytes: by itself it would make two records.
    let frames = 16 * MIB / (16 * 1024);
    let records = records(&sent.lock().unwrap());
    assert!(records < frames + frames / 2, "{records} records for {frames} frames");
}

/// A way to `target` on which what comes from there is kept; after 100,000 bytes no more is taken until `read_on`.
async fn recording(target: SocketAddr, read_on: Arc<Notify>) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (road, sent) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let kept = Arc::clone(&sent);
    tokio::spawn(async move {
        let (mut viewer, _) = listener.accept().await.unwrap();
        let mut edge = TcpStream::connect(target).await.unwrap();
        let ((mut asked, mut told), (mut answers, mut asks)) = (viewer.split(), edge.split());
        let down = async {
            let (mut bytes, mut waits) = (vec![0; 64 * 1024], true);
            while let Ok(read @ 1..) = answers.read(&mut bytes).await {
                kept.lock().unwrap().extend_from_slice(&bytes[..read]);
                told.write_all(&bytes[..read]).await.unwrap();
                if waits && kept.lock().unwrap().len() > 100_000 {
                    read_on.notified().await;
                    waits = false;
                }
            }
        };
        tokio::join!(down, tokio::io::copy(&mut asked, &mut asks))
    });
    (road, sent)
}

/// How many records of data are in what a server sends (RFC 8446 section 5.1).
fn records(mut sent: &[u8]) -> u64 {
    let mut count = 0;
    while let [kind, _, _, high, low, rest @ ..] = sent {
        count += u64::from(*kind == 23);
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        sent = rest.get(len..).unwrap_or_default();
    }
    count
}
