//! A secret proves to a shield that a request is from an edge.

use tidegate_origin_stub::synthetic_bytes;
use tidegate_proxy::config::Version;
use tidegate_tests::{Response, edge, origin, shield, tidegate, viewer};

const PATH: &str = "/bytes/5000";
const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test(flavor = "multi_thread")]
async fn a_shield_serves_only_edges_with_its_secret_and_the_origin_never_sees_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tiers.secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let file = Some(file.to_str().unwrap().to_owned());
    for http in [Version::Http1, Version::Http2] {
        let origin = origin().run().await;
        let shield =
            shield().origin(&origin).with(|config| config.listen.secret.clone_from(&file)).run().await;
        let knowing = edge().shield(&shield).with(|config| {
            config.upstream.secret.clone_from(&file);
            config.upstream.http = http;
        });
        let (knowing, ignorant) = (knowing.run().await, edge().named("edge-2").shield(&shield).run().await);
        // A hit at the shield takes its fast path.
        for target in [PATH, "/live/one/ts/144p/index.m3u8"] {
            let denied = viewer(ignorant.addr()).get(target).await;
            assert_eq!(denied.status, 403, "{}", denied.text());
            assert_eq!(viewer(knowing.addr()).get(target).await.status, 200, "{target}");
        }
        viewer(knowing.addr()).get(PATH).await.is(200, &synthetic_bytes(PATH, 0..5000));
        denied(&viewer(shield.addr()).get(PATH).await);
        denied(&viewer(shield.addr()).header("tidegate-secret", "another").get(PATH).await);
        let own = viewer(shield.addr()).header("tidegate-secret", SECRET);
        for _ in 0..2 {
            own.get(PATH).await.is(200, &synthetic_bytes(PATH, 0..5000));
        }
        // A viewer that knows the secret is no edge.
        let guess = viewer(ignorant.addr()).header("tidegate-secret", SECRET);
        assert_eq!(guess.get("/bytes/6000").await.status, 403);
        for seen in origin.seen(PATH) {
            assert!(!format!("{seen:?}").contains("secret"), "{seen:?}");
        }
        assert!(shield.count("tidegate_denied_requests_total", "reason=\"secret_denied\"").await >= 5);
    }
}

#[track_caller]
fn denied(response: &Response) {
    assert_eq!(response.status, 403);
    assert!(response.text().ends_with("(secret_denied)\n"), "{}", response.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_cannot_be_used_is_found_before_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let [edge, shield, secret] =
        ["edge.toml", "shield.toml", "tiers.secret"].map(|name| folder.path().join(name));
    let check = async |file: &std::path::Path, table: &str| {
        std::fs::write(file, format!("[{table}]\nsecret = {secret:?}\n")).unwrap();
        let finished = tidegate(&["check", "--config", file.to_str().unwrap()]).await;
        (finished.code, finished.stderr)
    };
    for (text, fault) in [(None, "No such file"), (Some("short"), "at least 16"), (Some(SECRET), "")] {
        if let Some(text) = text {
            std::fs::write(&secret, text).unwrap();
        }
        for (file, table) in [(&edge, "upstream"), (&edge, "listen"), (&shield, "listen")] {
            let (code, error) = check(file, table).await;
            let expected = if fault.is_empty() { Some(0) } else { Some(78) };
            assert_eq!(code, expected, "{error}");
            assert!(
                error.contains(fault) && (fault.is_empty() || error.contains(&format!("{table}.secret")))
            );
        }
    }
    assert_eq!(check(&shield, "upstream").await.0, Some(78), "origins get no secret");
}
