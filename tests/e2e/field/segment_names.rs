//! Segments whose names do not say what they are: their content type does, or the playlist that lists them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidegate_tests::{edge, until, viewer};

use super::feed::{Feed, M3U8};
use super::scripted::{Scripted, reply};

const PATH: &str = "/live/index.m3u8";
const NAMES: [&str; 8] = ["1", "2.jpg", "3.bin", "4.m2ts", "5.php", "6.ts.php", "7.webm", "8.ec-3"];

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_of_any_name_is_requested_once() {
    for content_type in ["video/mp2t", "application/octet-stream", "text/plain", "image/jpeg"] {
        let feed = Feed::run().await;
        let (edge, _shield) = feed.tiers().await;
        let head = "#EXTM3U\n#EXT-X-TARGETDURATION:60\n#EXT-X-MEDIA-SEQUENCE:7\n".to_owned();
        let list = NAMES.iter().fold(head, |list, name| format!("{list}#EXTINF:60,\n{name}\n"));
        feed.set(PATH, M3U8, list.as_bytes());
        for name in NAMES {
            feed.set(&format!("/live/{name}"), &format!("Content-Type: {content_type}\r\n"), &[0x47; 9_000]);
        }
        // The second use of a playlist makes it a stream that is followed.
        for _use in 0..2 {
            viewer(edge.addr()).get(PATH).await.is(200, list.as_bytes());
        }
        for name in NAMES {
            let path = format!("/live/{name}");
            for _viewer in 0..3 {
                viewer(edge.addr()).get(&path).await.is(200, &[0x47; 9_000]);
            }
            assert_eq!(feed.requests(&path), 1, "{name}, {content_type}");
        }
    }
}

/// A type alone, without a playlist that lists the name.
#[tokio::test(flavor = "multi_thread")]
async fn a_resource_with_the_type_of_media_is_a_segment() {
    let feed = Feed::run().await;
    let (edge, _shield) = feed.tiers().await;
    for (name, fields, requests) in [
        ("/typed", "Content-Type: video/mp2t\r\n", 1),
        ("/typed.php", "Content-Type: Audio/Ogg\r\n", 1),
        ("/camera", "Content-Type: video/mp4\r\nCache-Control: no-cache\r\n", 3),
        ("/data", "Content-Type: application/json\r\n", 3),
    ] {
        feed.set(name, fields, b"0123456789");
        for _viewer in 0..3 {
            viewer(edge.addr()).get(name).await.is(200, b"0123456789");
        }
        assert_eq!(feed.requests(name), requests, "{name}");
    }
}

/// An origin that is a cache itself sends ages beyond the lifetimes that HLS implies.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_response_is_as_good_as_its_origin_says() {
    let feed = Feed::run().await;
    let (edge, _shield) = feed.tiers().await;
    let multivariant = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n";
    let vod =
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n";
    for (path, fields, body) in [
        ("/multi.m3u8", "Age: 3000\r\nCache-Control: max-age=86400\r\n", multivariant),
        ("/vod.m3u8", "Age: 5000\r\n", vod),
        ("/segment.ts", "Age: 3000\r\n", "bytes"),
        ("/short.ts", "Age: 3000\r\nCache-Control: max-age=3060\r\n", "bytes"),
    ] {
        feed.set(path, fields, body.as_bytes());
        for _viewer in 0..3 {
            viewer(edge.addr()).get(path).await.is(200, body.as_bytes());
        }
        assert_eq!(feed.requests(path), 1, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_may_change_is_not_kept_in_a_browser_for_a_day() {
    let feed = Feed::run().await;
    let (edge, _shield) = feed.tiers().await;
    let fields = format!("{M3U8}Cache-Control: public, immutable, max-age=31536000\r\n");
    for (path, body) in [
        ("/vod.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:4,\na.ts\n"),
        ("/negative.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:-1\n#EXTINF:4,\na.ts\n"),
        ("/music.m3u", "#EXTM3U\nhttp://radio.example/a\n"),
    ] {
        feed.set(path, &fields, body.as_bytes());
        until(path, async || viewer(edge.addr()).get(path).await.status == 200).await;
        let response = viewer(edge.addr()).get(path).await;
        assert_eq!(response.header("cache-control"), "public, max-age=2", "{path}");
    }
}

/// What is not there may be there the next moment, whatever lifetime the origin gives the refusal.
#[tokio::test(flavor = "multi_thread")]
async fn an_absence_with_a_lifetime_is_short_here_and_in_browsers() {
    let paths = ["/a.m3u8", "/a.ts", "/init.mp4"];
    for status in [204, 403, 404, 410, 501] {
        let is_there = Arc::new(AtomicBool::new(false));
        let there = Arc::clone(&is_there);
        let origin = Scripted::run(move |_| {
            let fields =
                [("Cache-Control", "public, max-age=3600"), ("Expires", "Fri, 01 Jan 2038 00:00:00 GMT")];
            if there.load(Ordering::SeqCst) {
                reply(200, &fields, b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n")
            } else {
                reply(status, &fields, b"")
            }
        })
        .await;
        let edge = edge().origin_at(&origin.url).run().await;
        for path in paths {
            let absent = viewer(edge.addr()).get(path).await;
            assert_eq!(absent.status, status, "{path}");
            assert_eq!(absent.header("cache-control"), "public, max-age=1", "{status} {path}");
            assert_eq!(absent.header("expires"), "", "{status} {path}");
        }
        is_there.store(true, Ordering::SeqCst);
        for path in paths {
            until(path, async || viewer(edge.addr()).get(path).await.status == 200).await;
        }
    }
}
