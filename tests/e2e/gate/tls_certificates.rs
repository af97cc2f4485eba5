//! Several certificates on one listener, chosen by server name, and replaced while viewers play.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use tidegate_origin_stub::synthetic_bytes;
use tidegate_proxy::config::tls::Certificate;
use tidegate_tests::{Issued, Running, ViewerTls, authority, edge, origin, until, viewer};
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

const SMALL: &str = "/bytes/5000";
const FAILURES: &str = "result=\"failure\"";
const SUCCESSES: &str = "result=\"success\"";

#[tokio::test(flavor = "multi_thread")]
async fn the_server_name_selects_the_certificate() {
    let (origin, authority) = (origin().run().await, authority());
    let [one, two, wild] =
        ["one.example", "two.example", "*.wild.example"].map(|name| authority.issue(&[name]));
    let configured = authority.issue(&["other.example"]);
    for is_strict in [false, true] {
        let edge = edge().origin(&origin).with(|config| {
            let mut listen = one.listen();
            listen.strict_sni = is_strict;
            listen.certificates = [&two, &wild].map(listed).to_vec();
            // The configured hosts take the place of the certificate's own names.
            let hosts = vec!["Configured.Example".to_owned()];
            listen.certificates.push(Certificate { hosts, ..listed(&configured) });
            config.listen.tls = Some(listen);
        });
        let edge = edge.run().await;
        let tls = authority.viewer_tls("one.example");
        for (name, shown) in [
            ("one.example", Some(&one)),
            ("two.example", Some(&two)),
            ("a.wild.example", Some(&wild)),
            ("configured.example", Some(&configured)),
            ("a.b.wild.example", None),
            ("wild.example", None),
            ("other.example", None),
        ] {
            let shown = shown.or_else(|| (!is_strict).then_some(&one));
            let presented = presented(&edge, &tls.clone().named(name).accepting_any().0).await;
            assert_eq!(presented, shown.map(der), "{name}, strict: {is_strict}");
        }
        let response = viewer(edge.tls_addr()).tls(&tls.named("a.wild.example")).get(SMALL).await;
        response.is(200, &synthetic_bytes(SMALL, 0..5000));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_change_under_a_hundred_viewers_without_a_failed_request() {
    let (origin, authority) = (origin().run().await, authority());
    let served = authority.issue(&["live.example"]);
    let edge = edge().origin(&origin).with(|config| config.listen.tls = Some(served.listen())).run().await;
    let tls = authority.viewer_tls("live.example");
    let (is_over, requests) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut playing = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (is_over, requests) = (Arc::clone(&is_over), Arc::clone(&requests));
        let (address, tls) = (edge.tls_addr(), tls.clone().http2());
        playing.spawn(async move {
            let kept = Http2::open(address, &tls).await;
            for round in 0.. {
                kept.plays().await;
                if round % 5 == 4 {
                    Http2::open(address, &tls).await.plays().await;
                }
                requests.fetch_add(1, Ordering::Relaxed);
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        });
    }
    for number in 0..50 {
        let (is_over, requests) = (Arc::clone(&is_over), Arc::clone(&requests));
        let viewer = viewer(edge.tls_addr()).tls(&tls);
        playing.spawn(async move {
            let mut kept = viewer.start("GET", SMALL).await;
            while !is_over.load(Ordering::Relaxed) {
                kept.rest().await.is(200, &synthetic_bytes(SMALL, 0..5000));
                kept.send(format!("GET {SMALL} HTTP/1.1\r\nhost: live.example\r\n\r\n").as_bytes()).await;
                if number % 5 == 0 {
                    viewer.get(SMALL).await.is(200, &synthetic_bytes(SMALL, 0..5000));
                }
                requests.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            kept.rest().await.is(200, &synthetic_bytes(SMALL, 0..5000));
        });
    }
    for _ in 0..3 {
        let before = requests.load(Ordering::Relaxed);
        let next = authority.issue(&["live.example"]);
        replace(&next.key, &served.key);
        replace(&next.certificate, &served.certificate);
        until("the new certificate is presented", async || presented(&edge, &tls).await == Some(der(&next)))
            .await;
        until("viewers play on", async || requests.load(Ordering::Relaxed) > before + 100).await;
    }
    is_over.store(true, Ordering::Relaxed);
    while let Some(played) = playing.join_next().await {
        played.unwrap();
    }
    assert!(edge.count("tidegate_tls_reloads_total", SUCCESSES).await >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_pair_leaves_the_previous_one_in_use_and_is_counted() {
    let (origin, authority) = (origin().run().await, authority());
    let [served, stays] = ["live.example", "stays.example"].map(|name| authority.issue(&[name]));
    let edge = edge().origin(&origin).with(|config| {
        let mut listen = served.listen();
        listen.certificates = vec![listed(&stays)];
        config.listen.tls = Some(listen);
    });
    let edge = edge.run().await;
    let tls = authority.viewer_tls("live.example");
    let first = der(&served);
    until("its expiry is known", async || {
        edge.metric("tidegate_tls_certificate_expiry_seconds", &served.certificate).await > 1.7e9
    })
    .await;

    // The key of another certificate, then no file at all, then rubbish.
    let other = authority.issue(&["live.example"]);
    for (number, spoil) in [0, 1, 2].into_iter().zip([Some(other.key.as_str()), None, Some("")]) {
        match spoil {
            Some("") => std::fs::write(&served.key, "rubbish\n").unwrap(),
            Some(file) => replace(file, &served.key),
            None => std::fs::remove_file(&served.key).unwrap(),
        }
        until("the failure is counted", async || {
            edge.count("tidegate_tls_reloads_total", FAILURES).await > number
        })
        .await;
        assert_eq!(presented(&edge, &tls).await, Some(first.clone()));
    }
    assert_eq!(edge.count("tidegate_tls_reloads_total", FAILURES).await, 3, "each change is reported once");

    // The pair that belongs to the key ends it, and another certificate changes meanwhile.
    replace(&other.certificate, &served.certificate);
    let again = authority.issue(&["live.example"]);
    replace(&again.key, &served.key);
    replace(&again.certificate, &served.certificate);
    until("the new pair is used", async || presented(&edge, &tls).await == Some(der(&again))).await;
    let stays_tls = tls.named("stays.example");
    assert_eq!(presented(&edge, &stays_tls).await, Some(der(&stays)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_symbolic_link_of_a_folder_above_is_followed() {
    let (origin, authority) = (origin().run().await, authority());
    let folder = tempfile::tempdir().unwrap();
    let place = |version: &str, issued: &Issued| {
        let into = folder.path().join(version);
        std::fs::create_dir(&into).unwrap();
        std::fs::copy(&issued.certificate, into.join("tls.crt")).unwrap();
        std::fs::copy(&issued.key, into.join("tls.key")).unwrap();
    };
    let (old, new) = (authority.issue(&["live.example"]), authority.issue(&["live.example"]));
    place("..v1", &old);
    place("..v2", &new);
    let link = |version: &str| {
        let next = folder.path().join("..next");
        std::os::unix::fs::symlink(version, &next).unwrap();
        std::fs::rename(&next, folder.path().join("..data")).unwrap();
    };
    link("..v1");
    let file = |name: &str| {
        let file = folder.path().join(name);
        std::os::unix::fs::symlink(Path::new("..data").join(name), &file).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (certificate, key) = (file("tls.crt"), file("tls.key"));
    let edge = edge().origin(&origin).with(|config| {
        config.listen.tls = Some(Issued { certificate, key }.listen());
    });
    let edge = edge.run().await;
    let tls = authority.viewer_tls("live.example");
    assert_eq!(presented(&edge, &tls).await, Some(der(&old)));
    link("..v2");
    until("the new version is used", async || presented(&edge, &tls).await == Some(der(&new))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_authorities_for_clients_change_without_a_restart() {
    let (origin, authority) = (origin().run().await, authority());
    let clients = tidegate_tests::authority();
    let (served, shown) = (authority.issue(&["live.example"]), clients.issue(&["edge-1.example"]));
    let edge = edge().origin(&origin).with(|config| {
        config.listen.tls = Some(served.listen_with_client_ca(&authority));
    });
    let edge = edge.run().await;
    let tls = authority.viewer_tls_with("live.example", &shown);
    assert_eq!(viewer(edge.tls_addr()).tls(&tls).get(SMALL).await.status, 0, "not by this authority");
    replace(&clients.file(), &authority.file());
    until("the new authority is trusted", async || {
        viewer(edge.tls_addr()).tls(&tls).get(SMALL).await.status == 200
    })
    .await;
}

/// A viewer's connection over HTTP/2.
struct Http2 {
    requests: h2::client::SendRequest<Bytes>,
    _connection: AbortOnDropHandle<()>,
}

impl Http2 {
    async fn open(address: std::net::SocketAddr, tls: &ViewerTls) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let stream = tls.handshake(stream).await.unwrap();
        let (requests, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(async move { connection.await.unwrap_or_default() });
        Self { requests, _connection: AbortOnDropHandle::new(connection) }
    }

    /// Requests the object, and reads all of it.
    async fn plays(&self) {
        let mut requests = self.requests.clone().ready().await.unwrap();
        let request = http::Request::get(format!("https://live.example{SMALL}")).body(()).unwrap();
        let response = requests.send_request(request, true).unwrap().0.await.unwrap();
        assert_eq!(response.status(), 200);
        let (mut body, mut received) = (response.into_body(), Vec::new());
        while let Some(chunk) = body.data().await {
            let chunk = chunk.unwrap();
            body.flow_control().release_capacity(chunk.len()).unwrap();
            received.extend(chunk);
        }
        assert_eq!(received, synthetic_bytes(SMALL, 0..5000));
    }
}

fn listed(issued: &Issued) -> Certificate {
    Certificate { certificate: issued.certificate.clone(), key: issued.key.clone(), ..Certificate::default() }
}

/// The certificate that a viewer is shown; `None` if the handshake fails.
async fn presented(edge: &Running, tls: &ViewerTls) -> Option<Vec<u8>> {
    let stream = TcpStream::connect(edge.tls_addr()).await.unwrap();
    let stream = tls.handshake(stream).await.ok()?;
    let chain = stream.get_ref().1.peer_certificates()?;
    Some(chain.first()?.to_vec())
}

fn der(issued: &Issued) -> Vec<u8> {
    issued.first_der()
}

/// Replaces a file as a careful program does: by renaming a copy.
fn replace(from: &str, to: &str) {
    let next = format!("{to}.next");
    std::fs::copy(from, &next).unwrap();
    std::fs::rename(&next, to).unwrap();
}
