//! Playlists that are read while their encoder writes them.

use tidegate_tests::{Running, until, viewer};

use super::feed::{Feed, M3U8};
use crate::cluster::playlist;

const PATH: &str = "/live/index.m3u8";

async fn text(edge: &Running) -> String {
    let response = viewer(edge.addr()).get(PATH).await;
    assert_eq!(response.status, 200, "{}", response.text());
    response.text()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_viewer_receives_a_playlist_whose_last_line_is_cut() {
    let feed = Feed::run().await;
    let (edge, _shield) = feed.tiers().await;
    let [before, next] = [10, 11].map(|first| playlist(2, first..first + 5, ""));
    feed.set(PATH, M3U8, before.as_bytes());
    until("the playlist is followed", async || {
        assert_eq!(text(&edge).await, before);
        edge.count("tidegate_followed_playlists", "").await == 1
    })
    .await;
    // The encoder is writing: what is there grows by a byte at each look.
    for cut in (2..8).rev() {
        let looks = feed.requests(PATH);
        feed.set(PATH, M3U8, &next.as_bytes()[..next.len() - cut]);
        until("the origin was asked", async || {
            assert_eq!(text(&edge).await, before);
            feed.requests(PATH) > looks
        })
        .await;
    }
    feed.set(PATH, M3U8, next.as_bytes());
    until("the whole version is there", async || {
        let seen = text(&edge).await;
        assert!(seen == before || seen == next, "{seen}");
        seen == next
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_version_that_is_cut_is_waited_for() {
    let feed = Feed::run().await;
    let (edge, _shield) = feed.tiers().await;
    let whole = playlist(2, 10..15, "");
    feed.set(PATH, M3U8, &whole.as_bytes()[..whole.len() - 4]);
    let reading = tokio::spawn(async move { text(&edge).await });
    until("the origin was asked", async || feed.requests(PATH) > 0).await;
    feed.set(PATH, M3U8, whole.as_bytes());
    assert_eq!(reading.await.unwrap(), whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_that_never_ends_its_last_line_is_played() {
    let feed = Feed::run().await;
    let (edge, _shield) = feed.tiers().await;
    let mut looks = Vec::new();
    for first in 10..14 {
        let version = playlist(1, first..first + 5, "").trim_end().to_owned();
        let before = feed.requests(PATH);
        feed.set(PATH, M3U8, version.as_bytes());
        until("the version is there", async || text(&edge).await == version).await;
        looks.push(feed.requests(PATH) - before);
    }
    assert!(looks[0] >= 2, "the first version was looked at twice: {looks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_stream_stays_while_its_playlist_is_empty() {
    let feed = Feed::run().await;
    let (edge, _shield) = feed.tiers().await;
    let [before, next] = [10, 11].map(|first| playlist(2, first..first + 5, ""));
    feed.set(PATH, M3U8, before.as_bytes());
    assert_eq!(text(&edge).await, before);
    let nuls = [&next.as_bytes()[..80], &[0; 60]].concat();
    for torn in [&b""[..], b"#EXTM3U\n", &nuls, b"#EXTM3U\n#EXT-X-VERSION:3\n"] {
        let looks = feed.requests(PATH);
        feed.set(PATH, M3U8, torn);
        until("the origin was asked", async || {
            assert_eq!(text(&edge).await, before);
            feed.requests(PATH) > looks
        })
        .await;
    }
    feed.set(PATH, M3U8, next.as_bytes());
    until("the next version is there", async || text(&edge).await == next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_multivariant_playlist_that_may_be_cut_is_not_kept_for_long() {
    let feed = Feed::run().await;
    let (edge, _shield) = feed.tiers().await;
    let whole =
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\nhigh.m3u8\n";
    feed.set(PATH, M3U8, &whole.as_bytes()[..whole.len() - 4]);
    text(&edge).await;
    feed.set(PATH, M3U8, whole.as_bytes());
    until("the whole playlist is there", async || text(&edge).await == whole).await;
}
