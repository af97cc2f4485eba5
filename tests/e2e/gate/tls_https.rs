//! HTTPS for viewers: the redirect to it, `Strict-Transport-Security`, a stapled OCSP response, and the
//! certificate for development.

use tidegate_origin_stub::synthetic_bytes;
use tidegate_proxy::config::units::Period;
use tidegate_tests::{Running, ViewerTls, authority, edge, origin, tidegate, viewer};

const SMALL: &str = "/bytes/5000";
const HSTS: &str = "strict-transport-security";

#[tokio::test(flavor = "multi_thread")]
async fn only_responses_over_tls_have_strict_transport_security() {
    let (edge, tls, _kept) = https(|listen| listen.hsts = Some(Period::secs(31_536_000))).await;
    let secure = viewer(edge.tls_addr()).tls(&tls);
    // A miss takes the slow path, a hit the fast path.
    for (target, status) in [(SMALL, 200), (SMALL, 200), ("/none", 404)] {
        let response = secure.get(target).await;
        assert_eq!(response.status, status, "{target}");
        assert_eq!(response.headers.get_all(HSTS).iter().count(), 1, "{target} {:?}", response.headers);
        assert_eq!(response.header(HSTS), "max-age=31536000");
        let plain = viewer(edge.addr()).get(target).await;
        assert_eq!((plain.status, plain.header(HSTS)), (status, ""), "{target}");
    }
    let (edge, tls, _kept) = https(|_| {}).await;
    for _ in 0..2 {
        assert_eq!(viewer(edge.tls_addr()).tls(&tls).get(SMALL).await.header(HSTS), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_requests_are_redirected_to_the_same_target() {
    let (origin, authority) = (origin().run().await, authority());
    let served = authority.issue(&["live.example"]);
    let edge = edge().origin(&origin).with(|config| {
        config.listen.tls = Some(served.listen());
        config.listen.https_redirect = true;
    });
    let edge = edge.run().await;
    let tls = authority.viewer_tls("live.example");
    viewer(edge.tls_addr()).tls(&tls).get(SMALL).await.is(200, &synthetic_bytes(SMALL, 0..5000));
    for target in [SMALL, "/live/a%20b.m3u8?x=1&x=2&"] {
        for method in ["GET", "HEAD"] {
            let response = viewer(edge.addr()).ask(method, target).await;
            assert_eq!(response.status, 301, "{method} {target}");
            assert_eq!(response.header("location"), format!("https://live.example{target}"));
        }
    }
    let other = viewer(edge.addr()).body(b"1234").ask("POST", SMALL).await;
    assert_eq!((other.status, other.header("location")), (403, ""));
    // Tiers probe each other without TLS, too.
    assert_eq!(viewer(edge.addr()).ask("OPTIONS", "*").await.status, 204);
    assert_eq!(origin.counted().total, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ocsp_response_is_stapled() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ocsp.der");
    // An OCSPResponse with the status `tryLater` (RFC 6960 section 4.2.1), which no authority signs.
    let staple = [0x30, 3, 0x0a, 1, 3];
    std::fs::write(&file, staple).unwrap();
    let named = file.to_str().unwrap().to_owned();
    let (edge, tls, _kept) = https(|listen| listen.ocsp_staple = Some(named)).await;
    let (tls, stapled) = tls.accepting_any();
    viewer(edge.tls_addr()).tls(&tls).get(SMALL).await.is(200, &synthetic_bytes(SMALL, 0..5000));
    assert_eq!(*stapled.lock().unwrap(), staple);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_for_development_works() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let made = tidegate(&["cert", "dev", "--out", out]).await;
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let again = tidegate(&["cert", "dev", "--out", out]).await;
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("--force replaces it"), "{}", again.stderr);
    let file = folder.path().join("edge.toml");
    std::fs::write(&file, &made.stdout).unwrap();
    let checked = tidegate(&["check", "--config", file.to_str().unwrap()]).await;
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
}

async fn https(
    change: impl FnOnce(&mut tidegate_proxy::config::tls::Listen),
) -> (Running, ViewerTls, impl Sized) {
    let (origin, authority) = (origin().run().await, authority());
    let mut listen = authority.issue(&["live.example"]).listen();
    change(&mut listen);
    let edge = edge().origin(&origin).with(|config| config.listen.tls = Some(listen)).run().await;
    let tls = authority.viewer_tls("live.example");
    (edge, tls, (origin, authority))
}
