//! Who may operate a tier, and what viewers see of it.

use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_proxy::config::access::Expose;
use tidegate_tests::{Response, edge, origin, shield, tidegate, viewer};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test(flavor = "multi_thread")]
async fn operators_elsewhere_need_a_token_or_the_start_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [config, token] = ["edge.toml", "token"].map(|name| folder.path().join(name));
    let check = async |listen: &str| {
        let text = format!("[listen]\nviewers = \"127.0.0.1:0\"\n{listen}");
        std::fs::write(&config, text).unwrap();
        let finished = tidegate(&["check", "--config", config.to_str().unwrap()]).await;
        (finished.code, finished.stderr)
    };
    let token_line = format!("operators_token = {:?}\n", token.to_str().unwrap());
    let elsewhere = "operators = \"0.0.0.0:0\"\n";

    let (code, error) = check(elsewhere).await;
    assert_eq!(code, Some(78));
    let expected = "listen.operators: 0.0.0.0:0 is not a loopback address: set operators_token";
    assert!(error.contains(expected), "{error}");
    let (code, error) = check(&format!("{elsewhere}{token_line}")).await;
    assert!(code == Some(78) && error.contains("listen.operators_token: "), "{error}");
    std::fs::write(&token, "secret").unwrap();
    let (code, error) = check(&format!("{elsewhere}{token_line}")).await;
    assert!(code == Some(78) && error.contains("at least 16"), "{error}");
    std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
    assert_eq!(check(&format!("{elsewhere}{token_line}")).await.0, Some(0));
    assert_eq!(check("operators = \"127.0.0.9:0\"\n").await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_tier_is_not_opened_without_a_token() {
    let mut config = tidegate_edge::Config::default();
    config.listen.viewers = "127.0.0.1:0".parse().unwrap();
    config.listen.operators = "0.0.0.0:0".parse().unwrap();
    let error = tidegate_edge::Edge::load(config).await.unwrap_err().to_string();
    assert!(error.starts_with("listen.operators: 0.0.0.0:0 is not a loopback address"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_guards_all_but_the_health_of_a_tier() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let origin = origin().run().await;
    let shield = shield().origin(&origin).with(|config| {
        config.listen.operators = "0.0.0.0:0".parse().unwrap();
        config.listen.operators_token = Some(file.to_str().unwrap().to_owned());
    });
    let shield = shield.run().await;
    let operators = std::net::SocketAddr::from(([127, 0, 0, 1], shield.admin().port()));
    for path in ["/metrics", "/v1/status", "/v1/upstreams", "/nothing"] {
        let refused = viewer(operators).get(path).await;
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, "Bearer"), "{path}");
        for wrong in ["Bearer wrong", &format!("Basic {TOKEN}"), &format!("Bearer {TOKEN}0"), "Bearer"] {
            let refused = viewer(operators).header("authorization", wrong).get(path).await;
            assert_eq!(refused.status, 401, "{path} {wrong}");
        }
    }
    let operator = viewer(operators).header("authorization", &format!("Bearer {TOKEN}"));
    for path in ["/metrics", "/v1/status", "/v1/upstreams"] {
        assert_eq!(operator.get(path).await.status, 200, "{path}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(viewer(operators).get(path).await.status, 200, "{path}");
    }
}

/// The fields by which a tier shows itself.
const MARKS: [&str; 5] = ["via", "cache-status", "x-cache", "proxy-status", "server-timing"];

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_can_be_silent_about_itself() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).with(|config| config.viewers.expose = Expose::None).run().await;
    let silent = |response: &Response| {
        let shown: Vec<_> = MARKS.iter().filter(|name| response.headers.contains_key(**name)).collect();
        assert!(shown.is_empty(), "{shown:?} {:?}", response.headers);
    };
    let path = "/bytes/1000";
    // A miss, a hit on the fast path, a range of it, a response for one viewer alone.
    for viewer in [viewer(edge.addr()), viewer(edge.addr()), viewer(edge.addr()).header("authorization", "x")]
    {
        let response = viewer.get(path).await;
        response.is(200, &synthetic_bytes(path, 0..1000));
        silent(&response);
    }
    let range = viewer(edge.addr()).header("range", "bytes=0-9").get(path).await;
    range.is(206, &synthetic_bytes(path, 0..10));
    silent(&range);
    assert_eq!(range.header("content-range"), "bytes 0-9/1000");
    assert_eq!(edge.count("tidegate_fast_path_hits_total", "").await, 2);
    let playlist = viewer(edge.addr()).header("accept-encoding", "gzip").get("/live/ch1/ts/index.m3u8").await;
    assert_eq!(playlist.status, 200);
    silent(&playlist);

    origin.fault(Fault::on("/bytes/2000").close_at(0)).unwrap();
    for (response, text) in [
        (viewer(edge.addr()).ask("DELETE", path).await, "405 Method Not Allowed\n"),
        (viewer(edge.addr()).get("/bytes/../x").await, "400 Bad Request\n"),
        (viewer(edge.addr()).get("/bytes/2000").await, "502 Bad Gateway\n"),
    ] {
        assert_eq!(response.text(), text);
        silent(&response);
    }
    let unread = viewer(edge.addr()).raw(b"HELLO\r\n\r\n").await;
    let unread = String::from_utf8(unread).unwrap().to_ascii_lowercase();
    assert!(unread.ends_with("\r\n\r\n400 bad request\n"), "{unread}");
    assert!(MARKS.iter().all(|name| !unread.contains(&format!("\r\n{name}:"))), "{unread}");
}
