//! Who may watch: by address, by country, and by the page that embeds the player.

use std::path::Path;

use serde_json::Value;
use tidegate_access::Country;
use tidegate_origin_stub::synthetic_bytes;
use tidegate_proxy::config::access::ProxyProtocol;
use tidegate_tests::mmdb::countries;
use tidegate_tests::{Response, Running, edge, origin, until, viewer};

const PATH: &str = "/bytes/1000";

/// An edge that believes the addresses that a test names.
async fn edge_with(
    origin: &tidegate_tests::Origin,
    change: impl FnOnce(&mut tidegate_edge::Config),
) -> Running {
    let edge = edge().origin(origin).with(|config| {
        config.listen.proxy_protocol = ProxyProtocol::On;
        config.listen.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        change(config);
    });
    edge.run().await
}

async fn from(edge: &Running, address: &str) -> Response {
    viewer(edge.addr()).proxied_for(address).get(PATH).await
}

/// Asserts a refusal with this code, which players on other web sites can read.
#[track_caller]
fn assert_denied(response: &Response, code: &str) {
    assert_eq!(response.status, 403, "{}", response.text());
    let text = response.text();
    assert!(text.starts_with("403 Forbidden: ") && text.ends_with(&format!(" ({code})\n")), "{text}");
    assert_eq!(response.header("access-control-allow-origin"), "*");
    assert_eq!(response.header("cache-control"), "no-store");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_is_open_to_the_networks_that_it_allows() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let origin = origin().run().await;
    let edge = edge_with(&origin, |config| {
        config.site[0].access.allow = vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        config.site[0].access.deny = vec!["192.0.2.66".parse().unwrap()];
        config.log.access = file.to_str().unwrap().to_owned();
    });
    let edge = edge.await;
    // A miss, and hits on the fast path.
    for address in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
        from(&edge, address).await.is(200, &synthetic_bytes(PATH, 0..1000));
    }
    // The object is in the cache, and still not for all.
    for address in ["192.0.2.66", "198.51.100.1", "2001:db9::1"] {
        assert_denied(&from(&edge, address).await, "address_denied");
    }
    assert_eq!(origin.requests(PATH), 1);
    assert_eq!(edge.count("tidegate_denied_requests_total", "reason=\"address_denied\"").await, 3);
    edge.drain();
    edge.ended().await;
    assert_eq!(reasons(&file), ["address_denied"; 3]);
}

/// The reasons of the refusals in a log.
fn reasons(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let reason = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["tidegate"]["reason"].as_str().map(str::to_owned)
    };
    text.lines().filter_map(reason).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_closes_connections_that_it_does_not_allow() {
    let origin = origin().run().await;
    let edge = edge_with(&origin, |config| config.listen.deny = vec!["198.51.100.0/24".parse().unwrap()]);
    let edge = edge.await;
    from(&edge, "192.0.2.1").await.is(200, &synthetic_bytes(PATH, 0..1000));
    assert_eq!(from(&edge, "198.51.100.1").await.status, 0);
    assert_eq!(edge.count("tidegate_refused_connections_total", "reason=\"address_denied\"").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_are_not_listed_cannot_embed_a_site() {
    let origin = origin().run().await;
    let edge = edge_with(&origin, |config| {
        config.site[0].access.referers = vec!["www.example".to_owned(), "none".to_owned()];
        config.site[0].access.origins = vec!["*.example".to_owned(), "none".to_owned()];
    });
    let edge = edge.await;
    let with = async |fields: &[(&str, &str)]| {
        let viewer = viewer(edge.addr()).proxied_for("192.0.2.1");
        fields.iter().fold(viewer, |viewer, (name, value)| viewer.header(name, value)).get(PATH).await
    };
    // The first is a miss, the others are hits.
    for fields in [
        &[][..],
        &[("referer", "https://www.example/watch"), ("origin", "https://www.example")],
        &[("origin", "https://player.example")],
    ] {
        with(fields).await.is(200, &synthetic_bytes(PATH, 0..1000));
    }
    assert_denied(&with(&[("referer", "https://evil.test/")]).await, "referer_denied");
    assert_denied(&with(&[("origin", "https://evil.test")]).await, "origin_denied");
    assert_denied(&with(&[("origin", "null")]).await, "origin_denied");
    // A browser shows the status of the request, not that of its preflight.
    let preflight = viewer(edge.addr()).proxied_for("192.0.2.1").header("origin", "https://evil.test");
    assert_eq!(preflight.ask("OPTIONS", PATH).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_is_open_to_the_countries_that_it_allows_and_the_file_may_change() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("countries.mmdb");
    std::fs::write(&file, countries(&[([192, 0, 2, 0], 24, "DE"), ([198, 51, 100, 0], 24, "AT")])).unwrap();
    let origin = origin().run().await;
    let edge = edge_with(&origin, |config| {
        config.site[0].access.allow_countries = vec![Country::new("DE").unwrap()];
        config.geoip.database = Some(file.to_str().unwrap().to_owned());
    });
    let edge = edge.await;
    from(&edge, "192.0.2.1").await.is(200, &synthetic_bytes(PATH, 0..1000));
    for address in ["198.51.100.1", "203.0.113.1", "2001:db8::1"] {
        assert_denied(&from(&edge, address).await, "country_denied");
    }
    // A broken file changes nothing.
    std::fs::write(&file, b"broken").unwrap();
    from(&edge, "192.0.2.1").await.is(200, &synthetic_bytes(PATH, 0..1000));
    let moved = folder.path().join("new.mmdb");
    std::fs::write(&moved, countries(&[([203, 0, 113, 0], 24, "DE"), ([192, 0, 2, 0], 25, "CH")])).unwrap();
    std::fs::rename(moved, &file).unwrap();
    until("the new file counts", async || from(&edge, "203.0.113.1").await.status == 200).await;
    assert_denied(&from(&edge, "192.0.2.1").await, "country_denied");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_by_country_need_their_database() {
    let site = "[[site]]\norigins = [\"http://127.0.0.1:1\"]\n[site.access]\nallow_countries = [\"DE\"]\n";
    let config = |geoip: &str| {
        let text = format!("shields = []\n{geoip}{site}");
        tidegate_edge::Config::parse("edge.toml", &text).map(drop).map_err(|problem| problem.to_string())
    };
    let problem = config("").unwrap_err();
    assert!(problem.contains("geoip.database: rules by country need a database"), "{problem}");
    assert_eq!(config("[geoip]\ndatabase = \"countries.mmdb\"\n"), Ok(()));
    let bad = "shields = []\n[[site]]\norigins = [\"http://127.0.0.1:1\"]\n[site.access]\nallow = [\"x\"]\n";
    let problem = tidegate_edge::Config::parse("edge.toml", bad).unwrap_err().to_string();
    assert!(problem.contains("\"x\" is not a network"), "{problem}");
}
