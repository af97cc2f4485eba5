//! How many are watching: the counts of two edges, with and without CMCD.

use std::net::SocketAddr;

use serde_json::Value;
use tidegate_proxy::config::audience::Webhook;
use tidegate_proxy::config::units::Period;
use tidegate_tests::{Origin, Running, edge, origin, shield, until, viewer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const PLAYLIST: &str = "/vod/film/ts/240p/index.m3u8";
const FOLDER: &str = "/vod/film/ts/240p";

/// An edge that receives the reports of players at `/cmcd`.
async fn receiving_reports(origin: &Origin) -> Running {
    let edge = edge().origin(origin);
    edge.with(|config| config.audience.reports_path = Some("/cmcd".to_owned())).run().await
}

/// How a player makes itself known.
#[derive(Clone, Copy)]
enum Known {
    /// By a session in the query.
    Session,
    /// By an address, and the player that all have.
    Address,
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_on_two_edges_are_counted_while_they_come_and_go() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let window = |config: &mut tidegate_edge::Config| config.audience.window = Period::secs(6);
    let edges = [
        edge().shield(&shield).named("edge-1").with(window).run().await,
        edge().shield(&shield).named("edge-2").with(window).run().await,
    ];
    for audience in [0..500, 0..300, 100..450] {
        let actual = audience.end - audience.start;
        until("the count is that of the players", async || {
            play(&edges, audience.clone(), Known::Session).await;
            near(viewers(&edges).await, actual, 2)
        })
        .await;
    }
    assert_eq!(origin.requests(PLAYLIST), 1, "no session is part of the key");
    assert!(origin.seen(PLAYLIST).iter().all(|seen| seen.query.is_none()), "no origin gets a session");
    let mut peak = 0;
    for edge in &edges {
        let page = page(edge).await;
        assert!(!page.to_string().contains("127.0.0.1") && !page.to_string().contains("player-"), "{page}");
        let stream = &page["streams"][0];
        assert_eq!((stream["path"].as_str(), stream["site"].as_str()), (Some(FOLDER), Some("default")));
        assert_eq!(stream["renditions"][0]["path"], PLAYLIST);
        assert!(stream["viewer_minutes"].as_f64().unwrap() > 0.0, "{stream}");
        assert!(stream["players"]["bitrate_bits_per_second"].as_f64().unwrap() > 2_999_999.0, "{stream}");
        peak += stream["peak"].as_u64().unwrap();
        assert!(edge.count("tidegate_cmcd_reports_total", "result=\"read\"").await >= 500);
    }
    assert!(near(peak, 500, 2), "{peak}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_cmcd_equal_players_behind_one_address_count_as_one() {
    let origin = origin().run().await;
    let trust = |config: &mut tidegate_edge::Config| {
        config.listen.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    };
    let edges = [
        edge().origin(&origin).named("edge-1").with(trust).run().await,
        edge().origin(&origin).named("edge-2").with(trust).run().await,
    ];
    // One player in ten shares its address and edge with another one: the error is a tenth.
    play(&edges, 0..500, Known::Address).await;
    until("all addresses are counted", async || viewers(&edges).await >= 450).await;
    assert_eq!(viewers(&edges).await, 450, "500 players, 450 addresses");
    for edge in &edges {
        assert!(!page(edge).await.to_string().contains("10.0."), "no address is shown");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_name_the_largest_streams_only() {
    let origin = origin().run().await;
    let edge = edge().origin(&origin).with(|config| config.audience.streams_max = 2).run().await;
    for (number, channel) in ["ch1", "ch2", "ch3"].into_iter().enumerate() {
        for player in 0..=number {
            let playlist = format!("/live/{channel}/ts/240p/index.m3u8?CMCD=sid%3D%22{number}-{player}%22");
            viewer(edge.addr()).get(&playlist).await;
        }
    }
    until("all are counted", async || edge.count("tidegate_viewers", "").await == 6).await;
    assert_eq!(page(&edge).await["streams"].as_array().unwrap().len(), 3);
    let metrics = viewer(edge.admin()).get("/metrics").await.text();
    let named = metrics.lines().filter(|line| line.starts_with("tidegate_stream_viewers{")).count();
    assert_eq!(named, 2, "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_passes_upstream_on_a_miss() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    viewer(edge.addr()).header("traceparent", TRACE).get("/bytes/10").await;
    assert_eq!(origin.seen("/bytes/10")[0].header("traceparent"), TRACE);
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_that_players_post_count_for_the_stream_of_their_session() {
    let origin = origin().run().await;
    let edge = receiving_reports(&origin).await;
    viewer(edge.addr()).get(&format!("{PLAYLIST}?CMCD=sid%3D%22a%22")).await;
    until("the session is known", async || page(&edge).await["streams"][0]["viewers"] == 1).await;
    let reports = "e=ps,sid=\"a\",sta=r,bsd=(1500)\ne=t,sid=\"a\",bl=(4000),br=\"x\"\ne=zz,sid=\"unknown\"\n";
    let posting = viewer(edge.addr()).header("content-type", "application/cmcd").body(reports.as_bytes());
    let response = posting.ask("POST", "/cmcd").await;
    assert_eq!((response.status, response.header("access-control-allow-origin")), (204, "*"));
    let stream = page(&edge).await["streams"][0].clone();
    assert_eq!(stream["players"]["rebuffer_seconds"], 1.5, "{stream}");
    assert_eq!(stream["players"]["buffer_seconds"], 4.0, "{stream}");
    assert_eq!(stream["viewers"], 1, "a post is no viewer: {stream}");
    for (event, count) in [("ps", 1), ("t", 1), ("other", 1), ("e", 0)] {
        assert_eq!(edge.count("tidegate_cmcd_events_total", &format!("event=\"{event}\"")).await, count);
    }
    assert_eq!(edge.count("tidegate_cmcd_reports_total", "result=\"malformed\"").await, 1);
    assert_eq!(edge.count("tidegate_cmcd_rebuffer_seconds_count", "").await, 1);
    assert_eq!(origin.requests("/cmcd"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_posts_to_the_path_of_reports_are_received_within_a_limit() {
    let origin = origin().run().await;
    let edge = receiving_reports(&origin).await;
    let post = async |path: &str, body: &[u8]| viewer(edge.addr()).body(body).ask("POST", path).await.status;
    assert_eq!(post("/cmcd", b"").await, 204);
    assert_eq!(post("/cmcd?a=b", b"e=t").await, 204);
    assert_eq!(post("/cmcd", &vec![b'a'; 64 * 1024]).await, 204, "unreadable reports are no error");
    assert_eq!(post("/cmcd", &vec![b'a'; 64 * 1024 + 1]).await, 413);
    assert_eq!(post("/cmcd2", b"e=t").await, 405);
    let preflight = viewer(edge.addr())
        .header("origin", "https://player.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type");
    let response = preflight.ask("OPTIONS", "/cmcd").await;
    assert_eq!((response.status, response.header("access-control-allow-methods")), (204, "POST, OPTIONS"));
    assert_eq!(response.header("access-control-allow-headers"), "content-type");
    let response = preflight.ask("OPTIONS", "/cmcd2").await;
    assert!(!response.header("access-control-allow-methods").contains("POST"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_receives_the_start_thresholds_and_the_end_of_a_stream() {
    let (hook, mut received, _serving) = webhook().await;
    let token = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(token.path(), "a-token-of-a-webhook").expect("the file");
    let origin = origin().run().await;
    let edge = edge()
        .origin(&origin)
        .named("edge-1")
        .with(|config| {
            config.audience.window = Period::secs(1);
            config.audience.webhook = Some(Webhook {
                url: format!("http://{hook}/streams"),
                ca: None,
                token: Some(token.path().display().to_string()),
                thresholds: vec![3],
            });
        })
        .run()
        .await;
    for player in 0..3 {
        viewer(edge.addr()).get(&format!("{PLAYLIST}?CMCD=sid%3D%22{player}%22")).await;
    }
    let mut events = Vec::new();
    while events.last().is_none_or(|event| event != "stream-end") {
        let (authorization, notice) = received.recv().await.expect("a notice");
        assert_eq!(authorization, "Bearer a-token-of-a-webhook");
        assert_eq!((notice["stream"].as_str(), notice["node"].as_str()), (Some(FOLDER), Some("edge-1")));
        events.push(notice["event"].as_str().expect("an event").to_owned());
    }
    let count = events.len() as u64;
    // The players may leave in one step or in two.
    events.retain(|event| event != "viewers-below");
    assert_eq!(events, ["stream-start", "viewers-above", "stream-end"]);
    until("all are counted", async || {
        edge.count("tidegate_webhook_notices_total", "result=\"success\"").await == count
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_say_what_is_estimated_of_the_connection_where_that_is_wanted() {
    let origin = origin().run().await;
    let off = edge().origin(&origin).run().await;
    let on = edge().origin(&origin).with(|config| config.audience.cmsd = true).run().await;
    let trust = |config: &mut tidegate_edge::Config| {
        config.audience.cmsd = true;
        config.listen.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    };
    let behind_a_proxy = edge().origin(&origin).with(trust).run().await;
    // The first is a miss, the second a hit on the fast path.
    for fate in ["fwd=uri-miss", "hit"] {
        let response = viewer(on.addr()).get("/bytes/100000").await;
        assert!(response.header("cache-status").contains(fate), "{}", response.header("cache-status"));
        let member = response.header("cmsd-dynamic");
        assert!(member.starts_with('"') && member.contains(";rtt="), "{member}");
    }
    for edge in [&off, &behind_a_proxy] {
        assert_eq!(viewer(edge.addr()).get("/bytes/100000").await.header("cmsd-dynamic"), "");
    }
}

/// A server that responds to the first request with an error, and passes on the others: `Authorization` and
/// body.
async fn webhook() -> (SocketAddr, mpsc::Receiver<(String, Value)>, JoinSet<()>) {
    let (sender, received) = mpsc::channel(16);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut status = "503 Service Unavailable";
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut text = Vec::new();
            let (head, notice) = loop {
                assert!(stream.read_buf(&mut text).await.expect("a request") > 0, "{text:?}");
                let text = std::str::from_utf8(&text).expect("text");
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                if let Ok(notice) = serde_json::from_str::<Value>(body) {
                    break (head, notice);
                }
            };
            let response = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(response.as_bytes()).await.expect("a response");
            if std::mem::replace(&mut status, "204 No Content").starts_with("204") {
                let authorization = head.lines().find_map(|line| line.strip_prefix("authorization: "));
                let authorization = authorization.unwrap_or_default().to_owned();
                sender.send((authorization, notice)).await.expect("the test receives");
            }
        }
    });
    (address, received, serving)
}

/// Each player requests the playlist from its edge.
async fn play(edges: &[Running; 2], players: std::ops::Range<u64>, known: Known) {
    let mut playing = JoinSet::new();
    for player in players {
        let edge = if player % 2 == 0 { &edges[0] } else { &edges[1] };
        let viewer = viewer(edge.addr());
        let (viewer, target) = match known {
            Known::Session => {
                let cmcd = format!("br%3D3000%2Csid%3D%22player-{player}%22");
                (viewer, format!("{PLAYLIST}?CMCD={cmcd}"))
            }
            Known::Address => {
                // The last of each ten has the address of the player two before it, at the same edge.
                let address = if player % 10 == 9 { player - 2 } else { player };
                let address = format!("10.0.{}.{}", address / 200, address % 200);
                let named = viewer.header("x-forwarded-for", &address).header("user-agent", "tv/1");
                (named, PLAYLIST.to_owned())
            }
        };
        playing.spawn(async move { assert_eq!(viewer.get(&target).await.status, 200) });
    }
    while let Some(played) = playing.join_next().await {
        played.expect("the player plays");
    }
}

/// The viewers of all edges.
async fn viewers(edges: &[Running; 2]) -> u64 {
    let mut sum = 0;
    for edge in edges {
        sum += page(edge).await["viewers"].as_u64().expect("a number");
    }
    sum
}

async fn page(edge: &Running) -> Value {
    serde_json::from_slice(&viewer(edge.admin()).get("/v1/streams").await.body).expect("JSON")
}

/// Whether a count is within these percent of the actual number.
fn near(count: u64, actual: u64, percent: u64) -> bool {
    count.abs_diff(actual) * 100 < actual * percent
}
