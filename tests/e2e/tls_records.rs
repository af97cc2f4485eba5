//! HTTP/2 under TLS writes full records, and waits for a viewer that does not read.

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
async fn a_viewer_that_does_not_read_delays_no_other_viewer_and_gets_full_records() {
    const LARGE: &str = "/bytes/16777216";
    let (_origin, _authority, edge, tls) = https().await;
    let read_on = Arc::new(Notify::new());
    let (road, sent) = recording(edge.tls_addr(), Arc::clone(&read_on)).await;
    let stream = tls.clone().http2().handshake(TcpStream::connect(road).await.unwrap()).await.unwrap();
    let (requests, connection) = Builder::new(TokioExecutor::new())
        .initial_stream_window_size(32 << 20)
        .initial_connection_window_size(32 << 20)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    let _speaking = tokio::spawn(connection);
    let slow = tokio::spawn(over_http2(requests, LARGE.to_owned()));
    until("the connection's buffers are full", async || sent.lock().unwrap().len() > 100_000).await;
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

/// A relay to `target` that records what the target sends; after 100,000 bytes it stops reading until
/// `read_on`.
async fn recording(target: SocketAddr, read_on: Arc<Notify>) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (road, sent) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let recorded = Arc::clone(&sent);
    tokio::spawn(async move {
        let (mut viewer, _) = listener.accept().await.unwrap();
        let mut edge = TcpStream::connect(target).await.unwrap();
        let ((mut from_viewer, mut to_viewer), (mut from_edge, mut to_edge)) = (viewer.split(), edge.split());
        let down = async {
            let (mut bytes, mut waits) = (vec![0; 64 * 1024], true);
            while let Ok(read @ 1..) = from_edge.read(&mut bytes).await {
                recorded.lock().unwrap().extend_from_slice(&bytes[..read]);
                to_viewer.write_all(&bytes[..read]).await.unwrap();
                if waits && recorded.lock().unwrap().len() > 100_000 {
                    read_on.notified().await;
                    waits = false;
                }
            }
        };
        tokio::join!(down, tokio::io::copy(&mut from_viewer, &mut to_edge))
    });
    (road, sent)
}

/// The number of application data records in what a server sends (RFC 8446 section 5.1).
fn records(mut sent: &[u8]) -> u64 {
    let mut count = 0;
    while let [kind, _, _, high, low, rest @ ..] = sent {
        count += u64::from(*kind == 23);
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        sent = rest.get(len..).unwrap_or_default();
    }
    count
}
