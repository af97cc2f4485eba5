//! Streams in time: what advances, what is frozen, what restarts.

use std::time::Duration;

use tidegate_origin_stub::Fault;

use crate::harness::{Origin, origin};

const PLAYLIST: &str = "/live/ch1/ts/144p/index.m3u8";
const TWO_SECONDS: Duration = Duration::from_secs(2);

/// First and last listed segment.
async fn window(origin: &Origin) -> (u64, u64) {
    let text = origin.get(PLAYLIST).await.text();
    let mut numbers =
        text.lines().filter_map(|line| line.strip_suffix(".ts")).map(|number| number.parse().unwrap());
    let first = numbers.next().unwrap();
    (first, numbers.next_back().unwrap_or(first))
}

async fn segment(origin: &Origin, number: u64) -> (u16, Vec<u8>) {
    let reply = origin.get(&format!("/live/ch1/ts/144p/{number}.ts")).await;
    (reply.status, reply.body)
}

#[tokio::test]
async fn a_live_window_slides_and_old_segments_stay_for_a_while() {
    let origin = origin().await;
    let (first, last) = window(&origin).await;
    assert_eq!(last - first, 5);
    assert_eq!(segment(&origin, last + 1).await.0, 404);
    origin.control.advance(TWO_SECONDS);
    assert_eq!(window(&origin).await, (first + 1, last + 1));
    assert_eq!(segment(&origin, last + 1).await.0, 200);
    assert_eq!(segment(&origin, first - 11).await.0, 200);
    assert_eq!(segment(&origin, first - 12).await.0, 404);
}

#[tokio::test]
async fn two_origins_agree_byte_for_byte() {
    let (primary, backup) = tokio::join!(origin(), origin());
    // Both clocks are stopped, a little apart: advance the backup's to the same segment.
    while window(&backup).await.1 < window(&primary).await.1 {
        backup.control.advance(TWO_SECONDS);
    }
    let last = window(&primary).await.1;
    for file in ["index.m3u8".to_owned(), format!("{last}.ts")] {
        let path = format!("/live/ch1/ts/144p/{file}");
        let (one, other) = tokio::join!(primary.get(&path), backup.get(&path));
        assert_eq!((one.status, one.header("etag")), (200, other.header("etag")));
        assert_eq!(one.header("last-modified"), other.header("last-modified"));
        assert_eq!(one.body, other.body, "{path}");
    }
}

#[tokio::test]
async fn a_frozen_encoder_makes_nothing_new_until_it_is_cleared() {
    let origin = origin().await;
    let before = window(&origin).await;
    origin.control.fault(Fault::on("/live/ch1/*").frozen()).unwrap();
    origin.control.advance(TWO_SECONDS * 10);
    assert_eq!(window(&origin).await, before);
    assert_eq!(segment(&origin, before.1 + 1).await.0, 404);
    assert_eq!(segment(&origin, before.0).await.0, 200);
    origin.control.clear();
    assert_eq!(window(&origin).await, (before.0 + 10, before.1 + 10));
}

#[tokio::test]
async fn a_restarted_encoder_uses_old_names_for_other_media() {
    let origin = origin().await;
    let id = origin.control.fault(Fault::on("/live/*").sequence_reset()).unwrap();
    assert_eq!(window(&origin).await, (0, 0));
    origin.control.advance(TWO_SECONDS);
    assert_eq!(window(&origin).await, (0, 1));
    let init = "/live/ch1/cmaf/144p/init.mp4";
    let (first, first_init) = (segment(&origin, 1).await, origin.get(init).await.body);
    origin.control.remove(id);
    origin.control.fault(Fault::on("/live/*").sequence_reset()).unwrap();
    origin.control.advance(TWO_SECONDS);
    assert_eq!(window(&origin).await, (0, 1));
    let (second, second_init) = (segment(&origin, 1).await, origin.get(init).await.body);
    assert_eq!((first.0, second.0), (200, 200));
    assert_ne!(first.1, second.1);
    assert_ne!(first_init, second_init);
}

#[tokio::test]
async fn a_garbage_playlist_is_not_one() {
    let origin = origin().await;
    origin.control.fault(Fault::on("*").garbage()).unwrap();
    let reply = origin.get(PLAYLIST).await;
    assert_eq!(reply.header("content-type"), Some("application/vnd.apple.mpegurl"));
    assert!(!reply.body.starts_with(b"#EXTM3U"));
    let segment = origin.get("/vod/ch1/ts/144p/0.ts").await;
    assert_eq!(segment.body[0], 0x47);
}

#[tokio::test]
async fn a_skewed_clock_shows_in_the_date_and_in_the_playlist() {
    let origin = origin().await;
    let honest = origin.get(PLAYLIST).await;
    origin.control.fault(Fault::on("*").clock_skew_ms(-3_600_000)).unwrap();
    let skewed = origin.get(PLAYLIST).await;
    assert_ne!(honest.header("date"), skewed.header("date"));
    assert_ne!(honest.text(), skewed.text());
    assert_eq!(honest.text().lines().nth(3), skewed.text().lines().nth(3), "the media sequence stays");
}

#[tokio::test]
async fn an_event_grows_and_a_vod_is_complete() {
    let origin = origin().await;
    let event = "/event/ch1/cmaf/audio/index.m3u8";
    let count = |text: String| text.matches("#EXTINF").count();
    assert_eq!(count(origin.get(event).await.text()), 6);
    origin.control.advance(TWO_SECONDS * 3);
    let text = origin.get(event).await.text();
    assert!(text.contains("#EXT-X-PLAYLIST-TYPE:EVENT"));
    assert_eq!(count(text), 9);
    let vod = origin.get("/vod/ch1/cmaf/audio/index.m3u8").await;
    assert!(vod.text().ends_with("#EXT-X-ENDLIST\n"));
    assert_eq!(vod.header("cache-control"), Some("max-age=3600"));
    assert_eq!(count(vod.text()), 20);
}
