//! Certificates that edges order from a real authority, pebble, over loopback.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "helpers of tests assert, too")]

mod pebble;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tidegate_origin_stub::synthetic_bytes;
use tidegate_proxy::config::acme::Challenge;
use tidegate_tests::{ViewerTls, authority, edge, origin, tidegate, until, viewer};
use tokio::net::TcpStream;

use pebble::Pebble;

const HOST: &str = "live.example";
const SMALL: &str = "/bytes/5000";
const ORDERS: &str = "tidegate_acme_orders_total";
const SUCCESSES: &str = "result=\"success\"";
const FAILURES: &str = "result=\"failure\"";
/// Certificates that are valid for longer than any test.
const A_DAY: u64 = 86_400;

#[tokio::test(flavor = "multi_thread")]
async fn the_first_certificate_is_obtained_by_either_challenge() {
    for challenge in [Challenge::Http01, Challenge::TlsAlpn01] {
        let (pebble, origin) = (Pebble::start(A_DAY).await, origin().run().await);
        pebble.knows(HOST);
        let edge = edge().origin(&origin).with(|config| {
            config.listen.tls = Some(pebble.listen(pebble.tls(), &[HOST], challenge));
            config.listen.viewers = pebble.plain();
            // Neither the redirect nor the rules of a site stand in the way.
            config.listen.https_redirect = true;
            for site in &mut config.site {
                site.hosts = vec!["other.example".to_owned()];
            }
        });
        let edge = edge.spawn().await;
        until("a certificate is presented", async || {
            presented(pebble.tls(), HOST).await.is_some_and(|der| is_by_pebble(&der))
        })
        .await;
        until("the order is counted", async || edge.count(ORDERS, SUCCESSES).await == 1).await;
        assert_eq!(edge.count(ORDERS, FAILURES).await, 0);

        let stored = files(&pebble, "certificates");
        let [stored] = stored.as_slice() else { panic!("{stored:?}") };
        let text = std::fs::read_to_string(stored).unwrap();
        assert!(text.starts_with("-----BEGIN CERTIFICATE") && text.contains("PRIVATE KEY"));
        assert_eq!(std::fs::metadata(stored).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(files(&pebble, "challenges").is_empty(), "they are withdrawn");
        let log = edge.log_output();
        assert!(log.contains("certificate obtained by ACME") && !log.contains("PRIVATE KEY"), "{log}");
        assert_eq!(origin.counted().total, 0, "the edge responds to challenges, not the origin");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_before_it_expires_under_open_connections() {
    let (pebble, origin) = (Pebble::start(12).await, origin().run().await);
    pebble.knows(HOST);
    let edge = edge().origin(&origin).with(|config| {
        config.listen.tls = Some(pebble.listen(pebble.tls(), &[HOST], Challenge::TlsAlpn01));
    });
    let edge = edge.run().await;
    until("a certificate is presented", async || presented(pebble.tls(), HOST).await.is_some()).await;
    let first = presented(pebble.tls(), HOST).await;
    let open = viewer(edge.tls_addr()).tls(&anyone(HOST));
    let mut open = open.start("GET", SMALL).await;
    open.rest().await.is(200, &synthetic_bytes(SMALL, 0..5000));

    until("another one is presented", async || {
        let now = presented(pebble.tls(), HOST).await.expect("a certificate");
        is_by_pebble(&now) && Some(now) != first
    })
    .await;
    open.send(format!("GET {SMALL} HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes()).await;
    open.rest().await.is(200, &synthetic_bytes(SMALL, 0..5000));
    assert!(edge.count(ORDERS, SUCCESSES).await >= 2);
    assert_eq!(edge.count(ORDERS, FAILURES).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_with_one_storage_make_one_order() {
    let (pebble, origin) = (Pebble::start(A_DAY).await, origin().run().await);
    pebble.knows(HOST);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let start = |name: &str, plain: SocketAddr, tls: SocketAddr| {
        let edge = edge().origin(&origin).named(name).with(|config| {
            config.listen.tls = Some(pebble.listen(tls, &[HOST], Challenge::Http01));
            config.listen.viewers = plain;
        });
        edge.run()
    };
    // The authority reaches the first one alone, whichever of them orders.
    let (reached, other) =
        tokio::join!(start("reached", pebble.plain(), pebble.tls()), start("other", any, any));
    for edge in [&reached, &other] {
        until("the certificate is presented", async || presented(edge.tls_addr(), HOST).await.is_some())
            .await;
    }
    let [one, two] = [&reached, &other].map(|edge| edge.tls_addr());
    assert_eq!(presented(one, HOST).await, presented(two, HOST).await);
    let counts = [reached.count(ORDERS, "").await, other.count(ORDERS, "").await];
    assert_eq!(counts.iter().sum::<u64>(), 1, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_responds_to_the_challenges_of_another() {
    let pebble = Pebble::start(A_DAY).await;
    let origin = origin().run().await;
    // The authority reaches an edge that orders nothing: no name leads it to that edge's own host.
    let reached = edge().origin(&origin).named("reached").with(|config| {
        config.listen.tls = Some(pebble.listen(pebble.tls(), &["own.example"], Challenge::Http01));
        config.listen.viewers = pebble.plain();
    });
    let reached = reached.run().await;
    until("its own order fails", async || reached.count(ORDERS, FAILURES).await == 1).await;
    let failed = files(&pebble, "pauses");
    assert_eq!(failed.len(), 1, "the next order waits, also after a restart: {failed:?}");

    pebble.knows(HOST);
    let other = edge().origin(&origin).named("other").with(|config| {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        config.listen.tls = Some(pebble.listen(any, &[HOST], Challenge::Http01));
    });
    let other = other.run().await;
    until("the certificate is presented", async || presented(other.tls_addr(), HOST).await.is_some()).await;
    assert_eq!((reached.count(ORDERS, "").await, other.count(ORDERS, SUCCESSES).await), (1, 1));
    // Challenges that no edge has published are for the origin.
    assert_eq!(viewer(reached.addr()).get("/.well-known/acme-challenge/unknown").await.status, 404);
    assert_eq!(origin.requests("/.well-known/acme-challenge/unknown"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_is_down_does_not_hinder_the_start() {
    let (mut pebble, origin) = (Pebble::down().await, origin().run().await);
    let other = authority();
    let served = other.issue(&["files.example"]);
    let edge = edge().origin(&origin).with(|config| {
        let mut listen = pebble.listen(pebble.tls(), &[HOST], Challenge::TlsAlpn01);
        (listen.certificate, listen.key) = (Some(served.certificate.clone()), Some(served.key.clone()));
        config.listen.tls = Some(listen);
    });
    let edge = edge.run().await;
    viewer(edge.addr()).get(SMALL).await.is(200, &synthetic_bytes(SMALL, 0..5000));
    let files = viewer(edge.tls_addr()).tls(&anyone("files.example"));
    files.get(SMALL).await.is(200, &synthetic_bytes(SMALL, 0..5000));
    assert_eq!(presented(pebble.tls(), HOST).await, None, "not the certificate of another name");
    until("the failure is counted", async || edge.count(ORDERS, FAILURES).await == 1).await;

    pebble.knows(HOST);
    pebble.up(A_DAY).await;
    until("a later order succeeds", async || presented(pebble.tls(), HOST).await.is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_found_before_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("edge.toml");
    for (acme, message) in [
        (
            "hosts = [\"*.live.example\"]\nstorage = \"acme\"",
            "4:1: listen.tls.acme.hosts: \"*.live.example\"",
        ),
        ("hosts = [\"live example\"]\nstorage = \"acme\"", "4:1: listen.tls.acme.hosts: \"live example\""),
        ("storage = \"acme\"\nhosts = []", "5:1: listen.tls.acme.hosts: there is no host"),
        ("hosts = [\"live.example\"]", "missing field `storage`"),
    ] {
        let text = format!("[listen.tls]\naddress = \"127.0.0.1:0\"\n[listen.tls.acme]\n{acme}\n");
        std::fs::write(&file, text).unwrap();
        let checked = tidegate(&["check", "--config", file.to_str().unwrap()]).await;
        assert_ne!(checked.code, Some(0), "{acme}");
        assert!(checked.stderr.contains(message), "{acme}: {}", checked.stderr);
    }
}

/// The certificate for a host that an address presents; `None` if the handshake fails.
async fn presented(address: SocketAddr, host: &str) -> Option<Vec<u8>> {
    let stream = TcpStream::connect(address).await.ok()?;
    let stream = anyone(host).handshake(stream).await.ok()?;
    Some(stream.get_ref().1.peer_certificates()?.first()?.to_vec())
}

/// A client that accepts certificates by every authority.
fn anyone(host: &str) -> ViewerTls {
    authority().viewer_tls(host).accepting_any().0
}

fn is_by_pebble(der: &[u8]) -> bool {
    let has = |text: &str| der.windows(text.len()).any(|window| window == text.as_bytes());
    has("Pebble Intermediate CA") && has(HOST)
}

/// The files in one folder of the storage.
fn files(pebble: &Pebble, folder: &str) -> Vec<PathBuf> {
    let all = |folder: PathBuf| std::fs::read_dir(folder).into_iter().flatten();
    let directories = all(pebble.storage().join("shared")).map(|entry| entry.unwrap().path());
    directories.flat_map(|directory| all(directory.join(folder))).map(|entry| entry.unwrap().path()).collect()
}
