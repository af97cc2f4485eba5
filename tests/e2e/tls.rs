//! TLS between tiers and to origins: an upstream must prove its identity before it receives a request, and a
//! client must prove its own where that is required. Viewers over HTTPS get the same responses as all others.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::HandshakeKind;
use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_proxy::config::Version;
use tidegate_proxy::config::units::Period;
use tidegate_tests::{
    Authority, Issued, Origin, Running, Terminator, Tier, ViewerTls, authority, edge, origin, shield,
    tidegate, until, viewer,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const MIB: u64 = 1 << 20;
const COLD: &str = "/bytes/1048576";
const SMALL: &str = "/bytes/5000";
const HERE: &[&str] = &["127.0.0.1"];

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_and_its_shield_authenticate_each_other() {
    let (origin, authority) = (origin().run().await, authority());
    let shield = shield_for_members(&origin, &authority, HERE).await;
    let member = authority.issue(&["edge-1.example"]);
    for version in [Version::Http1, Version::Http2] {
        let edge = edge_asking(&shield, &authority, Some(&member), |upstream| upstream.http = version).await;
        for number in 0..20 {
            let path = format!("/bytes/100000/{number}");
            viewer(edge.addr()).get(&path).await.is(200, &synthetic_bytes(&path, 0..100_000));
        }
        let playlist = viewer(edge.addr()).get("/live/ch1/ts/index.m3u8").await;
        assert_eq!(playlist.header("via"), via(version), "{:?}", playlist.headers);
        assert!(playlist.text().starts_with("#EXTM3U\n"), "{}", playlist.text());
        // Connections to upstreams are reused, whichever protocol they use.
        let connections = shield.metric("tidegate_connections", "").await;
        assert!(connections <= 4.0, "{connections} connections for sequential requests");
    }
    assert_eq!(origin.requests("/bytes/100000/7"), 1, "the second edge was served by the shield");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_trusted_certificate_is_refused_and_the_shield_keeps_serving() {
    let (origin, authority) = (origin().run().await, authority());
    let shield = shield_for_members(&origin, &authority, HERE).await;
    let strangers = tidegate_tests::authority();
    let stranger = strangers.issue(HERE);
    for version in [Version::Http1, Version::Http2] {
        for shown in [None, Some(&stranger)] {
            let edge = edge_asking(&shield, &authority, shown, |upstream| upstream.http = version).await;
            let response = viewer(edge.addr()).get(SMALL).await;
            assert_eq!(response.status, 502, "{version:?} {shown:?}");
            assert_error(&response, "tls_alert_received");
            assert_eq!(edge.status().await["sites"][0]["upstreams"][0]["up"], false);
        }
    }
    // A client that does not speak TLS, or sends nothing, is refused as well.
    let refused = viewer(shield.tls_addr()).raw(b"GET / HTTP/1.1\r\nhost: live.example\r\n\r\n").await;
    assert!(!refused.starts_with(b"HTTP"), "{}", refused.escape_ascii());
    drop(TcpStream::connect(shield.tls_addr()).await.unwrap());
    assert_eq!(origin.counted().total, 0);
    assert_eq!(shield.count("tidegate_requests_total", "").await, 0);
    until("each is counted", async || shield.count("tidegate_tls_handshake_failures_total", "").await >= 6)
        .await;

    let member = authority.issue(HERE);
    let edge = edge_asking(&shield, &authority, Some(&member), |_| {}).await;
    viewer(edge.addr()).get(SMALL).await.is(200, &synthetic_bytes(SMALL, 0..5000));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_configured_authority_is_trusted() {
    let (origin, authority) = (origin().run().await, authority());
    let relay = Terminator::run(origin.addr(), &authority.issue(HERE)).await;
    let others = tidegate_tests::authority();
    // Without a configured authority the system's are trusted, and they do not know the test's.
    for (ca, trusted) in [(Some(authority.file()), true), (Some(others.file()), false), (None, false)] {
        let shield = shield().origin_at(&relay.url()).with(|config| config.upstream.tls.ca = ca).run().await;
        let response = viewer(shield.addr()).get(SMALL).await;
        if trusted {
            response.is(200, &synthetic_bytes(SMALL, 0..5000));
        } else {
            assert_eq!(response.status, 502);
            assert_error(&response, "tls_certificate_error");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_must_have_the_requested_name() {
    let (origin, authority) = (origin().run().await, authority());
    let relay = Terminator::run(origin.addr(), &authority.issue(&["origin.example"])).await;
    for (name, right) in [(None, false), (Some("origin.example"), true), (Some("other.example"), false)] {
        let shield = shield().origin_at(&relay.url()).with(|config| {
            config.upstream.tls.ca = Some(authority.file());
            config.upstream.tls.server_name = name.map(str::to_owned);
        });
        let shield = shield.run().await;
        let response = viewer(shield.addr()).get(SMALL).await;
        assert_eq!(response.status, if right { 200 } else { 502 }, "{name:?}");
        if !right {
            assert_error(&response, "tls_certificate_error");
        }
    }
    assert_eq!(origin.counted().total, 1);
    until("the relay has counted both", async || relay.handshakes().2 == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_with_an_expired_certificate_is_skipped() {
    let (origin, authority) = (origin().run().await, authority());
    let expired = Terminator::run(origin.addr(), &authority.issue_expired(HERE)).await;
    let valid = Terminator::run(origin.addr(), &authority.issue(HERE)).await;
    let shield = shield().origin_at(&expired.url()).origin_at(&valid.url());
    let shield = shield.with(|config| config.upstream.tls.ca = Some(authority.file())).run().await;

    viewer(shield.addr()).get(SMALL).await.is(200, &synthetic_bytes(SMALL, 0..5000));
    viewer(shield.addr()).get(COLD).await.is(200, &synthetic_bytes(COLD, 0..MIB));

    assert_eq!(shield.count("tidegate_failovers_total", "connect").await, 1, "it is tried last from then on");
    let upstreams = &shield.status().await["sites"][0]["upstreams"];
    assert_eq!((&upstreams[0]["up"], &upstreams[1]["up"]), (&false.into(), &true.into()));
    assert_eq!(origin.counted().total, 2);
    until("the relay has counted the failure", async || expired.handshakes() == (0, 0, 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_connection_resumes_the_session_of_the_first() {
    let (origin, authority) = (origin().run().await, authority());
    let relay = Terminator::run(origin.addr(), &authority.issue(HERE)).await;
    let shield = shield().origin_at(&relay.url()).with(|config| {
        config.upstream.tls.ca = Some(authority.file());
        let member = authority.issue(HERE);
        (config.upstream.tls.certificate, config.upstream.tls.key) =
            (Some(member.certificate), Some(member.key));
    });
    let shield = shield.run().await;
    viewer(shield.addr()).get(SMALL).await.is(200, &synthetic_bytes(SMALL, 0..5000));
    assert_eq!(relay.handshakes(), (1, 0, 0));

    origin.fault(Fault::on("*").hold("both")).unwrap();
    let mut first = viewer(shield.addr()).start("GET", "/bytes/1000").await;
    let mut second = viewer(shield.addr()).start("GET", "/bytes/2000").await;
    origin.waiting("both", 2).await;
    origin.clear();

    assert!(first.rest().await.whole && second.rest().await.whole);
    let (full, resumed, refused) = relay.handshakes();
    assert_eq!((full, refused), (1, 0));
    // One of the two may use the first connection, if that is free again by then.
    assert!((1..=2).contains(&resumed), "{resumed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_files_stop_the_start_and_are_named() {
    let authority = authority();
    let (one, other) = (authority.issue(HERE), authority.issue(HERE));
    let (ca, key) = (authority.file(), one.key.clone());
    let (certificate, empty) = (one.certificate.clone(), format!("{ca}.empty"));
    std::fs::write(&empty, "nothing\n").unwrap();
    let pair = |certificate: &str, key: &str| format!("certificate = \"{certificate}\"\nkey = \"{key}\"\n");
    let files = [
        (
            "[upstream.tls]\nca = \"/nonexistent.pem\"\n".to_owned(),
            "2:1",
            "upstream.tls.ca: /nonexistent.pem: No such file",
        ),
        (format!("[upstream.tls]\nca = \"{key}\"\n"), "2:1", "it may contain certificates only"),
        (format!("[upstream.tls]\nca = \"{empty}\"\n"), "2:1", "no certificate found"),
        (
            format!("[upstream.tls]\ncertificate = \"{certificate}\"\n"),
            "2:1",
            "upstream.tls.certificate: set key as well",
        ),
        (format!("[upstream.tls]\n{}", pair(&certificate, &other.key)), "3:1", "not the key of"),
        (format!("[upstream.tls]\n{}", pair(&certificate, &certificate)), "3:1", "no private key found"),
        (
            "[upstream.tls]\nserver_name = \"\"\n".to_owned(),
            "2:1",
            "upstream.tls.server_name: \"\" is neither",
        ),
        ("[upstream.tls]\nverify = false\n".to_owned(), "2:1", "unknown field `verify`"),
    ];
    are_refused(&ca, files).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_files_of_a_listener_stop_the_start_and_are_named() {
    let authority = authority();
    let (one, other) = (authority.issue(HERE), authority.issue(HERE));
    let (ca, key) = (authority.file(), one.key.clone());
    let (certificate, empty) = (one.certificate.clone(), format!("{ca}.empty"));
    std::fs::write(&empty, "nothing\n").unwrap();
    let listen = |rest: &str| format!("[listen.tls]\naddress = \"127.0.0.1:0\"\n{rest}");
    let pair = |certificate: &str, key: &str| format!("certificate = \"{certificate}\"\nkey = \"{key}\"\n");
    let files = [
        (
            listen(&pair("/nonexistent.pem", &key)),
            "3:1",
            "listen.tls.certificate: /nonexistent.pem: No such file",
        ),
        (listen(&pair(&certificate, &empty)), "4:1", "listen.tls.key: "),
        (
            listen(&format!("{}client_ca = \"{empty}\"\n", pair(&certificate, &key))),
            "5:1",
            "listen.tls.client_ca: ",
        ),
        (
            listen(&format!("certificate = \"{certificate}\"\n")),
            "3:1",
            "listen.tls.certificate: set key as well",
        ),
        (listen(""), "1:1", "listen.tls.certificate: there is no certificate"),
        (
            listen(&format!("[[listen.tls.certificates]]\n{}", pair(&certificate, &other.key))),
            "5:1",
            "listen.tls.certificates.key: ",
        ),
        (
            listen(&format!("{}ticket_keys = [\"{empty}\"]\n", pair(&certificate, &key))),
            "5:1",
            "a ticket key has 48 or 80 random bytes, and this file has 8",
        ),
        (
            listen(&format!("{}ocsp_staple = \"{empty}\"\n", pair(&certificate, &key))),
            "5:1",
            "listen.tls.ocsp_staple: ",
        ),
        (
            "[listen]\nhttps_redirect = true\n".to_owned(),
            "2:1",
            "listen.https_redirect: it needs [listen.tls]",
        ),
    ];
    are_refused(&ca, files).await;
}

/// Asserts that these files are refused by `check` and at the start, with the place and the error.
async fn are_refused<const N: usize>(ca: &str, files: [(String, &str, &str); N]) {
    for (text, place, error) in files {
        let file = format!("{ca}.edge.toml");
        std::fs::write(&file, &text).unwrap();
        for arguments in [["check", "--config", &file], ["edge", "--config", &file]] {
            let ended = tidegate(&arguments).await;
            assert_eq!(ended.code, Some(78), "{text}{}", ended.stderr);
            assert!(
                ended.stderr.starts_with(&format!("tidegate: {file}:{place}: ")),
                "{text}{}",
                ended.stderr
            );
            assert!(ended.stderr.contains(error), "{text}{}", ended.stderr);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_over_https_get_the_same_responses() {
    let (origin, _authority, edge, tls) = https().await;
    let viewer = viewer(edge.tls_addr()).tls(&tls);
    for fate in ["MISS", "HIT"] {
        let response = viewer.get(SMALL).await;
        response.is(200, &synthetic_bytes(SMALL, 0..5000));
        assert_eq!(response.header("x-cache"), fate);
        assert_eq!(response.header("via"), "1.1 edge-1");
    }
    let part = viewer.clone().header("range", "bytes=100-199").get(SMALL).await;
    part.is(206, &synthetic_bytes(SMALL, 100..200));
    assert_eq!(part.header("content-range"), "bytes 100-199/5000");
    assert_eq!(viewer.ask("HEAD", SMALL).await.length(), Some(5000));
    assert_eq!(viewer.get("/none").await.status, 404);
    tidegate_tests::viewer(edge.addr()).get(SMALL).await.is(200, &synthetic_bytes(SMALL, 0..5000));
    assert_eq!(origin.requests(SMALL), 1);

    let mut persistent = viewer.start("GET", SMALL).await;
    for _ in 0..3 {
        persistent.rest().await.is(200, &synthetic_bytes(SMALL, 0..5000));
        persistent.send(format!("GET {SMALL} HTTP/1.1\r\nhost: live.example\r\n\r\n").as_bytes()).await;
    }
    // The next request is sent before the previous response.
    let two = format!("GET {SMALL} HTTP/1.1\r\nhost: live.example\r\n\r\n").repeat(2);
    persistent.send(two.as_bytes()).await;
    for _ in 0..3 {
        persistent.rest().await.is(200, &synthetic_bytes(SMALL, 0..5000));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_returning_viewer_resumes_its_session() {
    let (_origin, _authority, edge, tls) = https().await;
    for expected in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
        let stream = TcpStream::connect(edge.tls_addr()).await.unwrap();
        let mut stream = tls.handshake(stream).await.unwrap();
        let request = format!("GET {SMALL} HTTP/1.1\r\nhost: live.example\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await.unwrap();
        assert!(response.starts_with(b"HTTP/1.1 200 "));
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_negotiated_in_the_handshake() {
    let (_origin, _authority, edge, tls) = https().await;
    let stream = TcpStream::connect(edge.tls_addr()).await.unwrap();
    let stream = tls.http2().handshake(stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (requests, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let over = tokio::spawn(connection);
    let mut fetching = tokio::task::JoinSet::new();
    for number in 0..20 {
        fetching.spawn(over_http2(requests.clone(), format!("/bytes/100000/{number}")));
    }
    for (path, body) in fetching.join_all().await {
        assert!(body == synthetic_bytes(&path, 0..100_000), "{path}");
    }

    edge.drain();
    // The edge sends GOAWAY, so the connection closes cleanly.
    over.await.unwrap().unwrap();
    edge.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_reach_a_slow_viewer_and_delay_no_other_viewer() {
    const LARGE: &str = "/bytes/16777216";
    let (origin, _authority, edge, tls) = https().await;
    let mut slow = viewer(edge.tls_addr()).tls(&tls).small_buffer().start("GET", LARGE).await;
    assert!(slow.begins(1).await);
    for _ in 0..3 {
        viewer(edge.tls_addr()).tls(&tls).get(LARGE).await.is(200, &synthetic_bytes(LARGE, 0..16 * MIB));
    }
    slow.rest().await.is(200, &synthetic_bytes(LARGE, 0..16 * MIB));
    assert_eq!(origin.requests(LARGE), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_body_does_not_end_with_a_close_notify() {
    let (origin, _authority, edge, tls) = https_with(|config| config.upstream.attempts_max = 1).await;
    origin.fault(Fault::on(COLD).cut_at(300_000)).unwrap();
    let mut open = viewer(edge.tls_addr()).tls(&tls).start("GET", COLD).await;
    assert!(open.begins(1000).await);
    assert!(!open.rest().await.whole);
    assert!(!open.closes_cleanly().await, "TLS reports the truncation");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_finishes_open_bodies_and_closes_idle_connections() {
    let (origin, _authority, edge, tls) = https().await;
    origin.fault(Fault::on(COLD).hold_at("rest", 1000)).unwrap();
    let mut open = viewer(edge.tls_addr()).tls(&tls).start("GET", COLD).await;
    assert!(open.begins(1000).await);
    let mut idle = viewer(edge.tls_addr()).tls(&tls).start("GET", SMALL).await;
    idle.rest().await.is(200, &synthetic_bytes(SMALL, 0..5000));
    let mut silent = TcpStream::connect(edge.tls_addr()).await.unwrap();

    edge.drain();

    assert!(idle.closes_cleanly().await);
    assert_eq!(silent.read(&mut [0]).await.unwrap_or_default(), 0);
    until("no connection is accepted", async || TcpStream::connect(edge.tls_addr()).await.is_err()).await;
    origin.release("rest");
    open.rest().await.is(200, &synthetic_bytes(COLD, 0..MIB));
    assert!(open.closes_cleanly().await, "the connection closes after its response");
    edge.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_has_a_timeout() {
    let (origin, authority) = (origin().run().await, authority());
    let edge = edge().origin(&origin).with(|config| {
        config.listen.tls = Some(authority.issue(HERE).listen());
        config.viewers.head_timeout = Period::millis(200);
        config.viewers.idle_timeout = Period::secs(600);
    });
    let edge = edge.run().await;
    for begun in [&b""[..], b"\x16\x03\x01"] {
        let mut stream = TcpStream::connect(edge.tls_addr()).await.unwrap();
        stream.write_all(begun).await.unwrap();
        let end = tokio::time::timeout(tidegate_tests::PATIENCE, stream.read(&mut [0])).await;
        assert_eq!(end.expect("an end in time").unwrap_or_default(), 0);
    }
    viewer(edge.tls_addr())
        .tls(&authority.viewer_tls("127.0.0.1"))
        .get(SMALL)
        .await
        .is(200, &synthetic_bytes(SMALL, 0..5000));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_with_and_without_tls_share_their_limit() {
    let (origin, authority) = (origin().run().await, authority());
    let edge = edge().origin(&origin).with(|config| {
        config.listen.tls = Some(authority.issue(HERE).listen());
        config.listen.connections_max = 1;
    });
    let edge = edge.run().await;
    let tls = authority.viewer_tls("127.0.0.1");
    for _ in 0..2 {
        let mut plain = viewer(edge.addr()).start("GET", SMALL).await;
        plain.rest().await.is(200, &synthetic_bytes(SMALL, 0..5000));
        let waiting = viewer(edge.tls_addr()).tls(&tls);
        let mut waiting = tokio::spawn(async move { waiting.get(SMALL).await });
        // It waits in the system's backlog, not in the tier.
        let early = tokio::time::timeout(std::time::Duration::from_millis(200), &mut waiting).await;
        assert!(early.is_err(), "both listeners share one limit");
        drop(plain);
        waiting.await.unwrap().is(200, &synthetic_bytes(SMALL, 0..5000));
    }
}

/// A shield whose TLS listener requires a client certificate by `authority`.
async fn shield_for_members(origin: &Origin, authority: &Authority, names: &[&str]) -> Running {
    let shown = authority.issue(names);
    shield()
        .origin(origin)
        .with(|config| config.listen.tls = Some(shown.listen_with_client_ca(authority)))
        .run()
        .await
}

/// An edge that reaches `shield` over TLS.
async fn edge_asking(
    shield: &Tier,
    authority: &Authority,
    shown: Option<&Issued>,
    change: impl FnOnce(&mut tidegate_proxy::config::Upstream),
) -> Running {
    let edge = edge().shield_at(&format!("https://{}", shield.tls_addr())).with(|config| {
        config.upstream.tls.ca = Some(authority.file());
        config.upstream.tls.certificate = shown.map(|shown| shown.certificate.clone());
        config.upstream.tls.key = shown.map(|shown| shown.key.clone());
        change(&mut config.upstream);
    });
    edge.run().await
}

/// An origin, an edge in front of it with an HTTPS listener, and the viewers' TLS configuration.
pub(crate) async fn https() -> (Origin, Authority, Running, ViewerTls) {
    https_with(|_| {}).await
}

async fn https_with(
    change: impl FnOnce(&mut tidegate_edge::Config),
) -> (Origin, Authority, Running, ViewerTls) {
    let (origin, authority) = (origin().run().await, authority());
    let shown = authority.issue(&["live.example"]);
    let edge = edge().origin(&origin).with(change).with(|config| config.listen.tls = Some(shown.listen()));
    let edge = edge.run().await;
    let tls = authority.viewer_tls("live.example");
    (origin, authority, edge, tls)
}

pub(crate) async fn over_http2(mut requests: SendRequest<Empty<Bytes>>, path: String) -> (String, Bytes) {
    let request = Request::get(format!("https://live.example{path}")).body(Empty::new()).unwrap();
    let response = requests.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    (path, response.into_body().collect().await.unwrap().to_bytes())
}

fn via(version: Version) -> &'static str {
    match version {
        Version::Http1 => "1.1 shield-1, 1.1 edge-1",
        Version::Http2 => "1.1 shield-1, 2.0 edge-1",
    }
}

#[track_caller]
fn assert_error(response: &tidegate_tests::Response, error: &str) {
    let proxy_status = response.header("proxy-status");
    assert!(proxy_status.contains(&format!("error={error}")), "{proxy_status}");
}
