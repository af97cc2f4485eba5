//! Playlists that are not by the book and that players play: viewers receive the bytes as they came, and a
//! live one goes on.

use std::sync::Arc;
use std::time::Duration;

use tidegate_tests::{PATIENCE, Running, until, viewer};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::corpus::{Odd, corpus};
use super::feed::{Feed, M3U8};

/// Runs one check for each playlist, some of them simultaneously; the failed ones are reported together.
async fn for_each<F>(playlists: Vec<(usize, Odd)>, check: impl Fn(usize, Odd) -> F)
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let (mut checks, places) = (JoinSet::new(), Arc::new(Semaphore::new(32)));
    for (index, odd) in playlists {
        let (check, places) = (check(index, odd), Arc::clone(&places));
        checks.spawn(async move {
            let _place = places.acquire().await.expect("a place");
            check.await.map_err(|why| format!("{}: {why}", odd.name()))
        });
    }
    let failed: Vec<String> = checks.join_all().await.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

/// Fetches a playlist through both tiers; `Err` unless it is this one.
async fn fetch(edge: std::net::SocketAddr, path: &str, expected: &[u8]) -> Result<(), String> {
    let response = viewer(edge).get(path).await;
    if response.status == 200 && response.whole && response.body == expected {
        return Ok(());
    }
    Err(format!("{} {:?}", response.status, response.text().chars().take(300).collect::<String>()))
}

/// Fetches a playlist until it is this one.
async fn reaches(edge: std::net::SocketAddr, path: String, expected: Vec<u8>) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match fetch(edge, &path, &expected).await {
            Err(_) if Instant::now() < deadline => sleep(Duration::from_millis(50)).await,
            reached => return reached,
        }
    }
}

fn numbered(wanted: impl Fn(Odd) -> bool) -> Vec<(usize, Odd)> {
    corpus().into_iter().enumerate().filter(|(_, odd)| wanted(*odd)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_odd_playlist_that_has_ended_leaves_as_it_came() {
    let feed = Feed::run().await;
    let (edge, _shield) = feed.tiers().await;
    for (index, odd) in numbered(|_| true) {
        feed.set(&format!("/{index}/x.m3u8"), M3U8, &odd.bytes(1, true));
    }
    let addr = edge.addr();
    for_each(numbered(|_| true), |index, odd| async move {
        let (path, bytes) = (format!("/{index}/x.m3u8"), odd.bytes(1, true));
        fetch(addr, &path, &bytes).await?;
        fetch(addr, &path, &bytes).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_odd_live_playlist_leaves_as_it_came_and_goes_on() {
    let feed = Arc::new(Feed::run().await);
    let (edge, _shield) = feed.tiers().await;
    let live = || numbered(|odd| !odd.is_multivariant());
    let set = |version| {
        for (index, odd) in live() {
            feed.set(&format!("/{index}/x.m3u8"), M3U8, &odd.bytes(version, false));
        }
    };
    let addr = edge.addr();
    set(1);
    for_each(live(), |index, odd| async move {
        fetch(addr, &format!("/{index}/x.m3u8"), &odd.bytes(1, false)).await
    })
    .await;
    set(2);
    for_each(live(), |index, odd| reaches(addr, format!("/{index}/x.m3u8"), odd.bytes(2, false))).await;
}

/// The lifetime that a tier reports, in seconds.
async fn ttl(tier: &Running, path: &str) -> u64 {
    let response = viewer(tier.addr()).get(path).await;
    assert_eq!(response.status, 200, "{path}");
    let status = response.header("cache-status");
    let ttl =
        status.rsplit("ttl=").next().and_then(|rest| rest.split(';').next()).and_then(|ttl| ttl.parse().ok());
    ttl.expect("a lifetime")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_whose_versions_cannot_be_compared_lives_two_seconds_at_most() {
    let feed = Feed::run().await;
    let (edge, _shield) = feed.tiers().await;
    let long = format!("{M3U8}Cache-Control: max-age=600\r\n");
    let unnumbered = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXT-X-MEDIA-SEQUENCE:-5\n#EXTINF:9,\na.ts\n";
    let growing = "#EXTM3U\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n";
    for (path, body) in [
        ("/channels.m3u", "#EXTM3U\n#EXTINF:-1,One\nhttp://a.example/1.m3u8\n"),
        ("/music.m3u", "#EXTM3U\n#EXTINF:213,Artist - Title\nsong.mp3\n"),
        ("/empty.m3u8", "#EXTM3U\n"),
        ("/unnumbered.m3u8", unnumbered),
        ("/growing.m3u8", growing),
    ] {
        feed.set(path, &long, body.as_bytes());
        assert!(ttl(&edge, path).await <= 2, "{path}");
        assert_eq!(feed.requests(path), 1, "{path}");
        let next = format!("{body}#EXTINF:2,\nnext.ts\n");
        feed.set(path, &long, next.as_bytes());
        let addr = edge.addr();
        until(path, async || fetch(addr, path, next.as_bytes()).await.is_ok()).await;
    }
    feed.set("/vod.m3u8", M3U8, format!("{growing}#EXT-X-ENDLIST\n").as_bytes());
    assert!(ttl(&edge, "/vod.m3u8").await > 3_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_playlist_is_a_failure() {
    let feed = Feed::run().await;
    let (edge, _shield) = feed.tiers().await;
    for (path, body) in [
        ("/html.m3u8", &b"<html><body>503 Service Unavailable</body></html>"[..]),
        ("/binary.m3u8", b"\x00\x00\x00\x18ftypmp42"),
        ("/empty.m3u8", b""),
        ("/headless.m3u8", b"#EXTINF:4,\na.ts\n"),
    ] {
        feed.set(path, M3U8, body);
        assert_eq!(viewer(edge.addr()).get(path).await.status, 502, "{path}");
    }
}
