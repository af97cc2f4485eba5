//! Only viewers with a valid token watch, and the origin sees neither their tokens nor their number.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::TempDir;
use tidegate_access::token::{Claims, Key, sign};
use tidegate_origin_stub::Fault;
use tidegate_proxy::config::NodeName;
use tidegate_proxy::site::config::token::Carrier;
use tidegate_tests::{Origin, Response, Running, edge, origin, shield, until, viewer};

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";
pub(super) const PLAYLIST: &str = "/vod/film/ts/240p/index.m3u8";

/// An edge that needs tokens in front of a shield and an origin.
pub(super) struct Gated {
    pub(super) origin: Origin,
    pub(super) edge: Running,
    _shield: Running,
    pub(super) files: TempDir,
}

impl Gated {
    pub(super) async fn new() -> Self {
        Self::with(|_, _| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut tidegate_edge::Config, &Path)) -> Self {
        let files = tempfile::tempdir().unwrap();
        std::fs::create_dir(files.path().join("keys")).unwrap();
        std::fs::write(files.path().join("keys/a.key"), SECRET).unwrap();
        std::fs::write(files.path().join("revoked.txt"), "").unwrap();
        let origin = origin().run().await;
        let shield = shield().origin(&origin).run().await;
        let edge = edge().shield(&shield).with(|config| {
            for site in &mut config.site {
                site.token.keys = vec![files.path().join("keys")];
                site.token.revoked = Some(files.path().join("revoked.txt"));
            }
            change(config, files.path());
        });
        let edge = edge.run().await;
        Self { origin, edge, _shield: shield, files }
    }

    pub(super) async fn get(&self, target: &str) -> Response {
        viewer(self.edge.addr()).get(target).await
    }
}

/// A token of one hour for what is below `path`.
pub(crate) fn token(path: &str) -> String {
    signed(&Claims { exp: now() + 3600, path: path.to_owned(), ..Claims::default() }, SECRET, "a")
}

pub(super) fn signed(claims: &Claims, secret: &str, id: &str) -> String {
    sign(claims, &Key::parse(id, secret).unwrap()).unwrap()
}

pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn refused(response: &Response, code: &str) {
    assert_eq!((response.status, response.header("tidegate-refusal")), (403, code));
    assert!(response.text().contains(code), "{}", response.text());
    assert_eq!(response.header("access-control-allow-origin"), "*");
    assert!(response.header("access-control-expose-headers").contains("Tidegate-Refusal"));
    assert_eq!(response.header("cache-control"), "no-store");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_carrier_admits_and_the_origin_sees_no_token() {
    let gated = Gated::new().await;
    let token = token("/vod/film");
    // Twice: by a fill and by a hit.
    for _ in 0..2 {
        let by_path = gated.get(&format!("/~{token}{PLAYLIST}")).await;
        let by_query = gated.get(&format!("{PLAYLIST}?token={token}&a=1")).await;
        let cookie = format!("x=1; token={token}");
        let by_cookie = viewer(gated.edge.addr()).header("cookie", &cookie).get(PLAYLIST).await;
        for response in [&by_path, &by_query, &by_cookie] {
            assert_eq!(response.status, 200, "{}", response.text());
        }
        by_path.is(200, &by_cookie.body);
        assert_eq!(by_query.text().replace(&format!("?token={token}"), ""), by_path.text());
    }
    for seen in gated.origin.seen(PLAYLIST) {
        let text = format!("{seen:?}");
        assert!(!text.contains(&token) && !text.contains("token"), "{text}");
    }
    // The query without the token is another resource than none.
    assert_eq!(gated.origin.requests(PLAYLIST), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_valid_token_is_refused_with_a_code() {
    let gated = Gated::new().await;
    let good = token("/vod/film");
    assert_eq!(gated.get(&format!("/~{good}{PLAYLIST}")).await.status, 200);
    let claims = |path: &str| Claims { exp: now() + 60, path: path.to_owned(), ..Claims::default() };
    let own = |claims: &Claims| signed(claims, SECRET, "a");
    let expired = own(&Claims { exp: now() - 1, ..claims("/vod/film") });
    let early = own(&Claims { nbf: Some(now() + 60), ..claims("/vod/film") });
    let elsewhere = own(&Claims { ip: Some("192.0.2.1".to_owned()), ..claims("/vod/film") });
    let abroad = own(&Claims { cc: vec!["DE".to_owned()], ..claims("/vod/film") });
    let none = "eyJhbGciOiJub25lIn0.eyJleHAiOjk5MDAwMDAwMDB9.";
    let rows = [
        (String::new(), "token-missing"),
        (format!("/~{}", &good[..good.len() - 2]), "token-malformed"),
        (format!("/~{expired}"), "token-expired"),
        (format!("/~{early}"), "token-not-yet-valid"),
        (format!("/~{}", own(&claims("/vod/fil"))), "token-path"),
        (format!("/~{}", own(&claims("/vod/film1"))), "token-path"),
        (format!("/~{elsewhere}"), "token-address"),
        (format!("/~{abroad}"), "token-country"),
        (format!("/~{}", signed(&claims("/"), OTHER, "a")), "token-signature"),
        (format!("/~{}", signed(&claims("/"), SECRET, "b")), "token-unknown-key"),
        (format!("/~{none}"), "token-algorithm"),
        ("/~".to_owned(), "token-malformed"),
    ];
    for (prefix, code) in &rows {
        refused(&gated.get(&format!("{prefix}{PLAYLIST}")).await, code);
    }
    // A path is compared as the cache names it, and an ambiguous one is refused before.
    for path in ["/vod/film/../secret/a.ts", "/vod/film/%2e%2e/secret/a.ts", "/vod/film%2f..%2fsecret/a.ts"] {
        assert_eq!(gated.get(&format!("/~{good}{path}")).await.status, 400, "{path}");
    }
    for path in ["/vod/film%2Fa.ts", "/vod//film/a.ts", "/VOD/film/a.ts"] {
        refused(&gated.get(&format!("/~{good}{path}")).await, "token-path");
    }
    // The place of a token does not matter for its validity: in the path of the origin it is none.
    refused(&gated.get(&format!("/vod/~{good}/a.ts")).await, "token-missing");
    let count = async |reason: &str| {
        gated.edge.count("tidegate_token_refusals_total", &format!("reason=\"{reason}\"")).await
    };
    until("all are counted", async || count("path").await == 5).await;
    assert_eq!((count("expired").await, count("missing").await, count("malformed").await), (1, 2, 2));
    assert_eq!(gated.origin.requests(PLAYLIST), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_needs_no_token() {
    let gated = Gated::new().await;
    let preflight = viewer(gated.edge.addr())
        .header("origin", "https://player.example")
        .header("access-control-request-method", "GET")
        .ask("OPTIONS", PLAYLIST)
        .await;
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (204, "*"));
    refused(&viewer(gated.edge.addr()).ask("GET", PLAYLIST).await, "token-missing");
    assert_eq!(viewer(gated.edge.addr()).ask("HEAD", PLAYLIST).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_that_is_off_admits_no_viewer_and_its_parameter_stays_out_of_the_key() {
    let gated = Gated::with(|config, _| config.site[0].token.carriers = vec![Carrier::Cookie]).await;
    let token = token("/");
    refused(&gated.get(&format!("/~{token}{PLAYLIST}")).await, "token-missing");
    refused(&gated.get(&format!("{PLAYLIST}?token={token}")).await, "token-missing");
    let cookie = format!("token={token}");
    let admitted = viewer(gated.edge.addr()).header("cookie", &cookie);
    assert_eq!(admitted.get(&format!("{PLAYLIST}?token=x")).await.status, 200);
    assert_eq!(gated.origin.requests(PLAYLIST), 1);
    assert_eq!(gated.origin.seen(PLAYLIST)[0].query.as_deref().unwrap_or_default(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_may_do_without_but_refuses_invalid_tokens() {
    let gated = Gated::with(|config, _| config.site[0].token.required = false).await;
    assert_eq!(gated.get(PLAYLIST).await.status, 200);
    refused(&gated.get(&format!("{PLAYLIST}?token=x")).await, "token-malformed");
    assert!(gated.get(PLAYLIST).await.header("cache-status").contains("hit"));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_read_again_when_they_change() {
    let gated = Gated::new().await;
    let revocable = |id: &str, secret: &str, key: &str| {
        let claims =
            Claims { exp: now() + 3600, path: "/".to_owned(), id: Some(id.to_owned()), ..Claims::default() };
        format!("/~{}{PLAYLIST}", signed(&claims, secret, key))
    };
    let (first, second) = (revocable("class-3-ann", SECRET, "a"), revocable("class-4-bob", SECRET, "a"));
    assert_eq!((gated.get(&first).await.status, gated.get(&second).await.status), (200, 200));
    std::fs::write(gated.files.path().join("revoked.txt"), "class-3-*\n").unwrap();
    until("the first is revoked", async || gated.get(&first).await.status == 403).await;
    refused(&gated.get(&first).await, "token-revoked");
    assert_eq!(gated.get(&second).await.status, 200);

    // A second key, and then without the first: a rotation.
    let rotated = revocable("class-4-bob", OTHER, "b");
    refused(&gated.get(&rotated).await, "token-unknown-key");
    std::fs::write(gated.files.path().join("keys/b.key"), OTHER).unwrap();
    until("the new key is known", async || gated.get(&rotated).await.status == 200).await;
    assert_eq!(gated.get(&second).await.status, 200);
    std::fs::remove_file(gated.files.path().join("keys/a.key")).unwrap();
    until("the old key is gone", async || gated.get(&second).await.status == 403).await;
    assert_eq!(gated.get(&rotated).await.status, 200);

    // A broken file leaves the rules as they are.
    std::fs::write(gated.files.path().join("keys/b.key"), "short").unwrap();
    std::fs::write(gated.files.path().join("revoked.txt"), "class-4-bob\n").unwrap();
    assert_eq!(gated.get(&rotated).await.status, 200);
    std::fs::write(gated.files.path().join("keys/b.key"), OTHER).unwrap();
    until("the mended files count", async || gated.get(&rotated).await.status == 403).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_loses_the_cookie_and_what_repeats_the_token() {
    let gated = Gated::new().await;
    let token = token("/");
    let target = "/bytes/10?private=1";
    let response = viewer(gated.edge.addr())
        .header("cookie", &format!("a=1; token={token}; b=2"))
        .header("referer", &format!("http://e.example/~{token}/index.m3u8"))
        .header("cmcd-request", &format!("nor=\"1.ts%3Ftoken%3D{token}\""))
        .get(target)
        .await;
    assert_eq!(response.status, 200);
    let seen = gated.origin.seen("/bytes/10");
    assert!(seen.iter().any(|seen| seen.header("cookie") == "a=1; b=2"), "{seen:?}");
    assert!(seen.iter().all(|seen| !format!("{seen:?}").contains(&token)), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_is_found_by_the_path_after_the_token() {
    let gated = Gated::with(|config, _| {
        let mut open = config.site[0].clone();
        open.name = NodeName::literal("open");
        open.paths = vec!["/bytes/".to_owned()];
        open.token.keys.clear();
        config.site[0].paths = vec!["/vod/".to_owned()];
        config.site.push(open);
    })
    .await;
    let token = token("/vod/");
    assert_eq!(gated.get(&format!("/~{token}{PLAYLIST}")).await.status, 200);
    refused(&gated.get(PLAYLIST).await, "token-missing");
    assert_eq!(gated.get("/bytes/10").await.status, 200);
    assert_eq!(gated.get("/~user/x").await.status, 421);
}

/// The log says why, and has no token.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_the_reason_and_no_token() {
    let gated = Gated::with(|config, files| {
        config.log.access = files.join("access.json").display().to_string();
        config.site[0].token.parameter = "pass".to_owned();
    })
    .await;
    let (good, other) = (token("/vod/"), token("/live/"));
    gated.get(&format!("/~{good}{PLAYLIST}")).await;
    gated.get(&format!("/~{good}{PLAYLIST}")).await;
    gated.get(&format!("{PLAYLIST}?pass={other}")).await;
    let referrer = format!("http://e.example/~{good}/a?pass={good}");
    viewer(gated.edge.addr()).header("referer", &referrer).get(PLAYLIST).await;
    let log = || std::fs::read_to_string(gated.files.path().join("access.json")).unwrap_or_default();
    until("all lines are written", async || log().lines().count() == 4).await;
    let log = log();
    assert!(!log.contains(&good) && !log.contains(&other), "{log}");
    assert!(log.contains("\"path\":\"/~REDACTED/vod/film/ts/240p/index.m3u8\""), "{log}");
    assert!(
        log.contains("pass=REDACTED") && log.contains("http://e.example/~REDACTED/a?pass=REDACTED"),
        "{log}"
    );
    assert!(
        log.contains("\"reason\":\"token-path\"") && log.contains("\"reason\":\"token-missing\""),
        "{log}"
    );
}

/// The edge shares one object between all tokens.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_tokens_make_one_origin_request_per_object() {
    let gated = Gated::new().await;
    let segment = "/vod/film/ts/240p/0.ts";
    gated.origin.fault(Fault::on("*").hold("all")).unwrap();
    let requests = (0..1000_u64).map(|number| {
        let claims = Claims {
            exp: now() + 3600,
            path: "/vod/".to_owned(),
            id: Some(format!("viewer-{number}")),
            ..Claims::default()
        };
        let token = signed(&claims, SECRET, "a");
        let object = if number % 2 == 0 { PLAYLIST } else { segment };
        let target = match number % 3 {
            0 => format!("/~{token}{object}"),
            _ => format!("{object}?token={token}"),
        };
        let edge = gated.edge.addr();
        tokio::spawn(async move { viewer(edge).get(&target).await.status })
    });
    let requests: Vec<_> = requests.collect();
    until("all wait for two fills", async || gated.edge.joined().await == 1000).await;
    gated.origin.release("all");
    gated.origin.clear();
    for request in requests {
        assert_eq!(request.await.unwrap(), 200);
    }
    assert_eq!((gated.origin.requests(PLAYLIST), gated.origin.requests(segment)), (1, 1));
    let count = async |name: &str| gated.edge.count(name, "").await;
    let sent = count("tidegate_origin_requests_total").await;
    assert_eq!((sent, count("tidegate_origin_requests_needed_total").await), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_a_crowd_shares_reaches_its_limit_on_both_paths() {
    let gated = Gated::with(|config, _| {
        for site in &mut config.site {
            (site.token.requests_per_second, site.token.requests_burst) = (1, 10);
        }
    });
    let gated = gated.await;
    let began = tokio::time::Instant::now();
    let (shared, own) = (token("/vod/"), token("/vod/film"));
    let mut served = 0;
    // Hits of a playlist and misses of others, by every carrier.
    for number in 0..60 {
        let response = match number % 3 {
            0 => gated.get(&format!("/~{shared}{PLAYLIST}")).await,
            1 => gated.get(&format!("{PLAYLIST}?n={number}&token={shared}")).await,
            _ => {
                let cookie = format!("token={shared}");
                viewer(gated.edge.addr()).header("cookie", &cookie).get(PLAYLIST).await
            }
        };
        if response.status == 200 {
            served += 1;
            continue;
        }
        assert_eq!(response.status, 429, "{}", response.text());
        assert!(response.text().ends_with("(requests_per_token)\n"), "{}", response.text());
        assert!(response.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1));
    }
    let earned = began.elapsed().as_secs() + 1;
    assert!((10..=10 + earned).contains(&served), "{served} in {earned} s");
    let limited = "limit=\"requests_per_token\"";
    assert_eq!(gated.edge.count("tidegate_limited_requests_total", limited).await, 60 - served);
    // Another token is not affected, and a token that is refused uses nothing.
    assert_eq!(gated.get(&format!("/~{own}{PLAYLIST}")).await.status, 200);
    for _ in 0..20 {
        refused(&gated.get(&format!("/~{own}/vod/other/a.m3u8")).await, "token-path");
    }
    assert_eq!(gated.get(&format!("/~{own}{PLAYLIST}")).await.status, 200);
}
