//! Origins that refuse a stream for some seconds: viewers of a stream that has just played notice nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use tidegate_proxy::config::units::Period;
use tidegate_tests::{edge, shield, until, viewer};

use super::scripted::{M3U8, Scripted, live, reply};

const PLAYLIST: &str = "/live/a.m3u8";

/// An origin of a live stream that sends this status in place of 200.
async fn origin(status: &Arc<AtomicU16>, fields: &'static [(&'static str, &'static str)]) -> Scripted {
    let (status, version) = (Arc::clone(status), Arc::new(AtomicUsize::new(10)));
    Scripted::run(move |asked| match (status.load(Ordering::SeqCst), asked.path().contains(".m3u8")) {
        (200, true) => reply(200, &[M3U8], live(version.fetch_add(1, Ordering::SeqCst) / 4).as_bytes()),
        (200, false) => reply(200, &[], b"segment"),
        (status, _) => reply(status, fields, b"refused"),
    })
    .await
}

fn status(code: u16) -> Arc<AtomicU16> {
    Arc::new(AtomicU16::new(code))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_playlist_is_served_from_the_cache_for_a_while_and_then_the_refusal() {
    for refusal in [401, 403, 404, 410, 429] {
        let status = status(200);
        let origin = origin(&status, &[("Cache-Control", "max-age=60")]).await;
        let brief = Period::secs(3);
        let shield = shield()
            .origin_at(&origin.url)
            .with(|config| config.site[0].lifetimes.stale_if_client_error = brief)
            .run()
            .await;
        let edge = edge()
            .shield(&shield)
            .with(|config| config.site[0].lifetimes.stale_if_client_error = Period::secs(0))
            .run()
            .await;
        assert_eq!(viewer(edge.addr()).get(PLAYLIST).await.status, 200);
        let began = tokio::time::Instant::now();
        status.store(refusal, Ordering::SeqCst);
        let before = origin.requests(PLAYLIST);
        until("the origin has refused", async || {
            let response = viewer(edge.addr()).get(PLAYLIST).await;
            assert!(
                response.status == 200 || began.elapsed() >= brief.get(),
                "{refusal}: {}",
                response.status
            );
            origin.requests(PLAYLIST) > before
        })
        .await;
        until("the refusal is the truth", async || viewer(edge.addr()).get(PLAYLIST).await.status == refusal)
            .await;
        assert!(began.elapsed() >= brief.get(), "{refusal} after {:?}", began.elapsed());

        status.store(200, Ordering::SeqCst);
        until("it plays again", async || viewer(edge.addr()).get(PLAYLIST).await.status == 200).await;
        let at_most = brief.get() + tidegate_tests::PATIENCE;
        assert!(began.elapsed() < at_most);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_a_known_stream_is_a_reason_to_use_the_backup() {
    let (first, second) = (status(200), status(200));
    let (primary, backup) = (origin(&first, &[]).await, origin(&second, &[]).await);
    let shield = shield().origin_at(&primary.url).origin_at(&backup.url).run().await;
    let edge = edge().shield(&shield).run().await;
    viewer(edge.addr()).get(PLAYLIST).await;
    first.store(403, Ordering::SeqCst);
    until("the backup serves the playlist", async || {
        assert_eq!(viewer(edge.addr()).get(PLAYLIST).await.status, 200);
        backup.requests(PLAYLIST) > 0
    })
    .await;
    let announced = viewer(edge.addr()).get(PLAYLIST).await.text();
    let segment = announced.lines().last().unwrap();
    viewer(edge.addr()).get(&format!("/live/{segment}")).await.is(200, b"segment");
}

/// Without the key, no player can decrypt what the backup serves.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_a_key_is_a_reason_to_use_the_backup() {
    for refusal in [401, 403, 404, 410, 429] {
        let origin = |status: u16, name: &'static [u8]| {
            let list = live(10).replace("#EXTINF", "#EXT-X-KEY:METHOD=AES-128,URI=\"k/1.key\"\n#EXTINF");
            Scripted::run(move |asked| match (asked.path().contains(".m3u8"), status) {
                (true, _) => reply(200, &[M3U8], list.as_bytes()),
                (false, 200) => reply(200, &[], name),
                (false, status) => reply(status, &[], b"refused"),
            })
        };
        let (primary, backup) = (origin(refusal, b"").await, origin(200, b"0123456789abcdef").await);
        let shield = shield().origin_at(&primary.url).origin_at(&backup.url).run().await;
        let edge = edge().shield(&shield).run().await;
        let other = viewer(edge.addr()).get("/live/k/1.key").await;
        assert_eq!(other.status, refusal, "no playlist has listed it");
        assert_eq!(viewer(edge.addr()).get(PLAYLIST).await.status, 200);
        until("the refusal has expired", async || {
            viewer(edge.addr()).get("/live/k/1.key").await.body == b"0123456789abcdef"[..]
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_segment_is_requested_again_whatever_lifetime_its_404_has() {
    let is_there = status(404);
    let origin = origin(&is_there, &[("Cache-Control", "max-age=60")]).await;
    let shield = shield().origin_at(&origin.url).run().await;
    let edge = edge().shield(&shield).run().await;
    assert_eq!(viewer(edge.addr()).get("/live/s1.ts").await.status, 404);
    is_there.store(200, Ordering::SeqCst);
    let began = tokio::time::Instant::now();
    until("it is there", async || viewer(edge.addr()).get("/live/s1.ts").await.status == 200).await;
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_asks_for_a_pause_gets_it_and_the_others_serve() {
    let busy = status(429);
    let busy_origin = origin(&busy, &[("Retry-After", "3")]).await;
    let shield = shield()
        .origin_at(&busy_origin.url)
        .with(|config| config.cache.failure_lifetime = Period::millis(10))
        .run()
        .await;
    let began = tokio::time::Instant::now();
    let mut answers = Vec::new();
    while began.elapsed().as_millis() < 1500 {
        answers.push(viewer(shield.addr()).get("/live/s1.ts").await);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(answers.iter().all(|answer| answer.status == 429));
    assert_eq!(busy_origin.requests("/live/s1.ts"), 1, "it asked for 3 s");
    let last = answers.last().unwrap();
    assert!((1..=3).contains(&last.header("retry-after").parse::<u32>().unwrap()), "{:?}", last.headers);
    busy.store(200, Ordering::SeqCst);
    until("the pause is over", async || viewer(shield.addr()).get("/live/s1.ts").await.status == 200).await;
    assert!(began.elapsed().as_secs() < 10);
}

/// An API beside the stream, or one viewer's own limit, does not stop the stream.
#[tokio::test(flavor = "multi_thread")]
async fn a_pause_for_one_resource_stops_no_other() {
    let origin = Scripted::run(|asked| match (asked.path(), asked.header("authorization")) {
        ("/live/api.json", _) | (_, "Bearer busy") => reply(429, &[("Retry-After", "3600")], b"busy"),
        _ => reply(200, &[], asked.path().as_bytes()),
    })
    .await;
    let shield = shield().origin_at(&origin.url).run().await;
    let edge = edge().shield(&shield).run().await;
    assert_eq!(viewer(edge.addr()).get("/live/api.json").await.status, 429);
    let own = viewer(edge.addr()).header("authorization", "Bearer busy").get("/live/s1.ts").await;
    assert_eq!(own.status, 429);
    for path in ["/live/s1.ts", "/live/s2.ts"] {
        viewer(edge.addr()).get(path).await.is(200, path.as_bytes());
    }
}

/// The edge receives the version from its shield for as long as the shield bridges the trouble.
#[tokio::test(flavor = "multi_thread")]
async fn two_tiers_bridge_trouble_no_longer_than_one() {
    let (status, bridged) = (status(200), Period::secs(6));
    let origin = origin(&status, &[]).await;
    let lifetimes = |site: &mut tidegate_proxy::site::Config| site.lifetimes.stale_if_client_error = bridged;
    let shield = shield().origin_at(&origin.url).with(|config| lifetimes(&mut config.site[0])).run().await;
    let edge = edge().shield(&shield).with(|config| lifetimes(&mut config.site[0])).run().await;
    until("both tiers follow it", async || {
        assert_eq!(viewer(edge.addr()).get(PLAYLIST).await.status, 200);
        shield.count("tidegate_followed_playlists", "").await == 1
    })
    .await;
    status.store(403, Ordering::SeqCst);
    let began = tokio::time::Instant::now();
    until("the refusal is the truth", async || viewer(edge.addr()).get(PLAYLIST).await.status == 403).await;
    let lasted = began.elapsed();
    let twice = bridged.get() * 2;
    assert!(lasted + std::time::Duration::from_secs(1) < twice, "{lasted:?}");
}
