//! TLS on the operators' listener: what operators must present, and files that change.

use std::net::SocketAddr;

use tidegate_proxy::config::tls::Operators;
use tidegate_tests::{
    Authority, Issued, Origin, Running, ViewerTls, authority, edge, origin, tidegate, until, viewer,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const NAME: &str = "node.example";
const REQUEST: &[u8] = b"GET /v1/status HTTP/1.1\r\nhost: node.example\r\nconnection: close\r\n\r\n";

/// An edge whose operators' listener is open to other machines, and has TLS.
async fn edge_for(origin: &Origin, served: &Issued, authority: Option<&Authority>) -> Running {
    edge()
        .origin(origin)
        .with(|config| {
            let address = if authority.is_some() { [0, 0, 0, 0] } else { [127, 0, 0, 1] };
            config.listen.operators = SocketAddr::from((address, 0));
            config.listen.operators_tls = Some(Operators {
                certificate: served.certificate.clone(),
                key: served.key.clone(),
                client_ca: authority.map(Authority::file),
            });
        })
        .run()
        .await
}

fn operators_of(edge: &Running) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], edge.admin().port()))
}

/// The text of a response, or nothing if the connection fails.
async fn request(to: SocketAddr, tls: &ViewerTls) -> String {
    let mut text = Vec::new();
    let stream = TcpStream::connect(to).await.unwrap();
    if let Ok(mut stream) = tls.handshake(stream).await {
        // A refusal of TLS 1.3 arrives with the first read.
        let _refused = stream.write_all(REQUEST).await;
        let _refused = stream.read_to_end(&mut text).await;
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_operators_with_a_certificate_reach_a_listener_that_requires_one() {
    let (own, foreign) = (authority(), authority());
    let (served, operator) = (own.issue(&[NAME]), own.issue(&["operator"]));
    let stranger = foreign.issue(&["operator"]);
    let origin = origin().run().await;
    let edge = edge_for(&origin, &served, Some(&own)).await;
    let operators = operators_of(&edge);

    let known = request(operators, &own.viewer_tls_with(NAME, &operator)).await;
    assert!(known.starts_with("HTTP/1.1 200 OK\r\n"), "{known}");
    assert_eq!(request(operators, &own.viewer_tls(NAME)).await, "");
    assert_eq!(request(operators, &own.viewer_tls_with(NAME, &stranger)).await, "");
    let expired = own.issue_expired(&["operator"]);
    assert_eq!(request(operators, &own.viewer_tls_with(NAME, &expired)).await, "");
    // HTTP/1.1 is all that the listener speaks.
    assert_eq!(request(operators, &own.viewer_tls_with(NAME, &operator).http2()).await, "");

    let mut plain = TcpStream::connect(operators).await.unwrap();
    plain.write_all(REQUEST).await.unwrap();
    let mut text = Vec::new();
    let _reset = plain.read_to_end(&mut text).await;
    assert!(!String::from_utf8_lossy(&text).contains("HTTP/1.1"), "{text:?}");
    viewer(edge.addr())
        .get("/bytes/10")
        .await
        .is(200, &tidegate_origin_stub::synthetic_bytes("/bytes/10", 0..10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_handshake_delays_no_other_operator() {
    let own = authority();
    let (served, operator) = (own.issue(&[NAME]), own.issue(&["operator"]));
    let edge = edge_for(&origin().run().await, &served, Some(&own)).await;
    let mut silent = Vec::new();
    for _ in 0..10 {
        silent.push(TcpStream::connect(operators_of(&edge)).await.unwrap());
    }
    let known = request(operators_of(&edge), &own.viewer_tls_with(NAME, &operator)).await;
    assert!(known.starts_with("HTTP/1.1 200 OK\r\n"), "{known}");
    assert_eq!(silent.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_of_the_operators_listener_changes_with_its_files() {
    let (before, after) = (authority(), authority());
    let served = before.issue(&[NAME]);
    let edge = edge_for(&origin().run().await, &served, None).await;
    let operators = operators_of(&edge);
    assert!(request(operators, &before.viewer_tls(NAME)).await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(request(operators, &after.viewer_tls(NAME)).await, "");

    let renewed = after.issue(&[NAME]);
    std::fs::copy(&renewed.key, &served.key).unwrap();
    std::fs::copy(&renewed.certificate, &served.certificate).unwrap();
    until("the new certificate is served", async || {
        request(operators, &after.viewer_tls(NAME)).await.starts_with("HTTP/1.1 200 OK\r\n")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_operators_that_cannot_be_used_is_found_before_the_start() {
    let own = authority();
    let served = own.issue(&[NAME]);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("edge.toml");
    let pair = format!("certificate = {:?}\nkey = {:?}\n", served.certificate, served.key);
    let with_ca = |file: &str| format!("{pair}client_ca = {file:?}\n");
    for (address, table, fault) in [
        ("0.0.0.0:0", with_ca(&own.file()), ""),
        ("127.0.0.1:0", pair.clone(), ""),
        ("0.0.0.0:0", pair.clone(), "listen.operators: 0.0.0.0:0 is not a loopback address"),
        ("127.0.0.1:0", with_ca("missing.pem"), "listen.operators_tls.client_ca: "),
        ("127.0.0.1:0", pair.replace(&served.key, "missing.key"), "listen.operators_tls.key: "),
        ("127.0.0.1:0", format!("{pair}hosts = []\n"), "hosts"),
    ] {
        let text = format!("[listen]\noperators = \"{address}\"\n[listen.operators_tls]\n{table}");
        std::fs::write(&config, text).unwrap();
        let finished = tidegate(&["check", "--config", config.to_str().unwrap()]).await;
        let expected = if fault.is_empty() { Some(0) } else { Some(78) };
        assert_eq!(finished.code, expected, "{table} {}", finished.stderr);
        assert!(finished.stderr.contains(fault), "{}", finished.stderr);
    }
}
