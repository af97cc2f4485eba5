//! Sessions are resumed: by several edges and after a restart, if they have the keys of tickets from files.

use rustls::HandshakeKind;
use tempfile::TempDir;
use tidegate_proxy::config::tls::MinVersion;
use tidegate_tests::{Issued, Origin, Running, ViewerTls, authority, edge, origin, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_resumed_over_edges_and_restarts_with_the_same_key_file() {
    for is_tls12 in [false, true] {
        for len in [48, 80] {
            let (origin, authority, folder) =
                (origin().run().await, authority(), tempfile::tempdir().unwrap());
            let served = authority.issue(&["live.example"]);
            let key = key_file(&folder, "tickets.key", len, 7);
            let tls = || {
                let tls = authority.viewer_tls("live.example");
                if is_tls12 { tls.tls12() } else { tls }
            };
            let run = async || edge_with(&origin, &served, &[&key]).await;
            let edges = [run().await, run().await];
            let viewers: Vec<_> = (0..20).map(|_| tls()).collect();
            for viewer in &viewers {
                assert_eq!(handshake(&edges[0], viewer).await, HandshakeKind::Full);
            }
            let mut resumed = 0;
            for round in 0..5 {
                for viewer in &viewers {
                    let kind = handshake(&edges[(round + 1) % 2], viewer).await;
                    resumed += usize::from(kind == HandshakeKind::Resumed);
                }
            }
            drop(edges);
            let restarted = run().await;
            for viewer in &viewers {
                let kind = handshake(&restarted, viewer).await;
                resumed += usize::from(kind == HandshakeKind::Resumed);
            }
            assert_eq!(resumed, 120, "of 120, TLS 1.2: {is_tls12}, {len} bytes");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_file_each_edge_has_its_own_keys() {
    let (origin, authority) = (origin().run().await, authority());
    let served = authority.issue(&["live.example"]);
    let edges = [edge_with(&origin, &served, &[]).await, edge_with(&origin, &served, &[]).await];
    let tls = authority.viewer_tls("live.example");
    assert_eq!(handshake(&edges[0], &tls).await, HandshakeKind::Full);
    assert_eq!(handshake(&edges[0], &tls).await, HandshakeKind::Resumed);
    assert_eq!(handshake(&edges[1], &tls).await, HandshakeKind::Full);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_without_a_lost_session() {
    let (origin, authority, folder) = (origin().run().await, authority(), tempfile::tempdir().unwrap());
    let served = authority.issue(&["live.example"]);
    let (new, old) = (key_file(&folder, "new.key", 80, 1), key_file(&folder, "old.key", 80, 0));
    let edge = edge_with(&origin, &served, &[&new, &old]).await;
    let tls = authority.viewer_tls("live.example");
    assert_eq!(handshake(&edge, &tls).await, HandshakeKind::Full);
    let rotated = edge.count("tidegate_tls_reloads_total", "result=\"success\"").await;
    key_file(&folder, "old.key", 80, 1);
    key_file(&folder, "new.key", 80, 2);
    until("the keys are read again", async || {
        edge.count("tidegate_tls_reloads_total", "result=\"success\"").await > rotated
    })
    .await;
    for _ in 0..3 {
        assert_eq!(handshake(&edge, &tls).await, HandshakeKind::Resumed);
    }
    // A file of another length leaves the keys in use.
    key_file(&folder, "new.key", 47, 3);
    until("the failure is counted", async || {
        edge.count("tidegate_tls_reloads_total", "result=\"failure\"").await > 0
    })
    .await;
    assert_eq!(handshake(&edge, &tls).await, HandshakeKind::Resumed);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_version_is_selectable() {
    let (origin, authority) = (origin().run().await, authority());
    let served = authority.issue(&["live.example"]);
    for (min_version, is_accepted) in [(MinVersion::Tls12, true), (MinVersion::Tls13, false)] {
        let edge = edge().origin(&origin).with(|config| {
            let mut listen = served.listen();
            listen.min_version = min_version;
            config.listen.tls = Some(listen);
        });
        let edge = edge.run().await;
        let tls = authority.viewer_tls("live.example");
        let stream = TcpStream::connect(edge.tls_addr()).await.unwrap();
        assert_eq!(tls.clone().tls12().handshake(stream).await.is_ok(), is_accepted, "{min_version:?}");
        assert_eq!(handshake(&edge, &tls).await, HandshakeKind::Full);
    }
}

async fn edge_with(origin: &Origin, served: &Issued, ticket_keys: &[&String]) -> Running {
    let edge = edge().origin(origin).with(|config| {
        let mut listen = served.listen();
        listen.ticket_keys = ticket_keys.iter().map(|file| (*file).clone()).collect();
        config.listen.tls = Some(listen);
    });
    edge.run().await
}

/// One request on a new connection, which ends with `close_notify`: the tickets of TLS 1.3 have arrived.
async fn handshake(edge: &Running, tls: &ViewerTls) -> HandshakeKind {
    let stream = TcpStream::connect(edge.tls_addr()).await.unwrap();
    let mut stream = tls.handshake(stream).await.unwrap();
    let request = b"GET /bytes/100 HTTP/1.1\r\nhost: live.example\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.unwrap();
    assert!(response.starts_with(b"HTTP/1.1 200 "));
    stream.get_ref().1.handshake_kind().unwrap()
}

/// A file of `len` bytes; others follow from another `seed`.
fn key_file(folder: &TempDir, name: &str, len: usize, seed: u8) -> String {
    let file = folder.path().join(name);
    let bytes = (0..len).map(|at| u8::try_from(at).unwrap().wrapping_mul(31).wrapping_add(seed));
    std::fs::write(&file, bytes.collect::<Vec<_>>()).unwrap();
    file.to_str().unwrap().to_owned()
}
