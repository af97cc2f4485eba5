//! Playlists that neither their name nor their type tells: their first bytes do.

use tidegate_tests::{until, viewer};

use super::feed::Feed;
use crate::cluster::playlist;

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_is_known_by_its_first_bytes_and_a_live_one_goes_on() {
    let feed = Feed::run().await;
    let (edge, _shield) = feed.tiers().await;
    for (path, fields) in [
        ("/text/index", "Content-Type: text/plain\r\n"),
        ("/octets/index", "Content-Type: application/octet-stream\r\n"),
        ("/none/index", ""),
        ("/none/index.php", ""),
        ("/short/index", "Content-Type: vnd.apple.mpegURL\r\n"),
        ("/html/index", "Content-Type: text/html; charset=utf-8\r\n"),
        ("/identity/index.m3u8", "Content-Encoding: identity\r\n"),
        ("/identity/index", "Content-Encoding: identity\r\nContent-Type: text/plain\r\n"),
    ] {
        let fields = format!("{fields}Cache-Control: max-age=60\r\n");
        let [mut now, next] = [10, 11].map(|first| playlist(2, first..first + 5, ""));
        if path.starts_with("/none") {
            now = format!("\u{feff}{now}");
        }
        feed.set_chunked(path, &fields, now.as_bytes());
        let first = viewer(edge.addr()).get(path).await;
        assert_eq!((first.status, first.text()), (200, now), "{path}");
        feed.set(path, &fields, next.as_bytes());
        until(path, async || viewer(edge.addr()).get(path).await.text() == next).await;
    }
}

/// Radio stations name their lists like their streams.
#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_whose_name_is_that_of_a_segment_is_known_by_its_type() {
    let feed = Feed::run().await;
    let (edge, _shield) = feed.tiers().await;
    let fields = "Content-Type: application/vnd.apple.mpegurl\r\nCache-Control: max-age=3600\r\n";
    for path in ["/stream.mp3", "/123.ts", "/video.mp4", "/init.mp4"] {
        let [now, next] = [10, 11].map(|first| playlist(1, first..first + 5, ""));
        feed.set(path, fields, now.as_bytes());
        viewer(edge.addr()).get(path).await.is(200, now.as_bytes());
        feed.set(path, fields, next.as_bytes());
        until(path, async || viewer(edge.addr()).get(path).await.text() == next).await;
    }
    // A server that labels all of a folder alike.
    feed.set("/labelled.ts", fields, &[0x47; 9_000]);
    for _viewer in 0..3 {
        viewer(edge.addr()).get("/labelled.ts").await.is(200, &[0x47; 9_000]);
    }
    assert_eq!(feed.requests("/labelled.ts"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_resources_are_not_changed_by_the_look_at_their_first_bytes() {
    let feed = Feed::run().await;
    let (edge, _shield) = feed.tiers().await;
    let fields = "Content-Type: text/plain\r\nCache-Control: max-age=60\r\n";
    let long = vec![b'#'; 300_000];
    for (path, body) in [
        ("/key", &b"0123456789abcdef"[..]),
        ("/short", b"#EXT"),
        ("/blank", b"\n"),
        ("/nothing", b""),
        ("/nearly", b"#EXTM3 is not it"),
        ("/long", &long),
    ] {
        for chunked in [false, true] {
            let path = format!("{path}/{chunked}");
            if chunked {
                feed.set_chunked(&path, fields, body);
            } else {
                feed.set(&path, fields, body);
            }
            for _cold_then_warm in 0..2 {
                viewer(edge.addr()).get(&path).await.is(200, body);
            }
            assert_eq!(feed.requests(&path), 1, "{path}");
        }
    }
}
