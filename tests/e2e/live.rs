//! A live stream through both tiers: changing objects are requested again in time, immutable ones are not.

use std::time::Duration;

use tidegate_origin_stub::Fault;
use tidegate_proxy::site::config::PlaylistLifetime;
use tidegate_tests::{Origin, Response, edge, origin, shield, until, viewer, viewers};

const PLAYLIST: &str = "/live/ch1/ts/360p/index.m3u8";
const PUSHED: &str = "/ingest/ch1/index.m3u8";

/// Target durations longer than this test takes on any machine: half of one is 300 s.
const SLOW_LIVE: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:600\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:600,\n7.ts\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_live_playlist_is_requested_once_until_its_next_version_is_due() {
    let origin = origin().run().await;
    push(&origin, SLOW_LIVE).await;
    let shield = shield().origin(&origin).run().await;
    let (one, two) = (edge().shield(&shield).run().await, edge().named("edge-2").shield(&shield).run().await);

    for edge in [&one, &two, &one, &two] {
        let response = viewer(edge.addr()).get(PUSHED).await;
        response.is(200, SLOW_LIVE.as_bytes());
        assert!(ttl(&response) > 0, "{}", response.header("cache-status"));
    }

    assert_eq!(origin.requests(PUSHED), 1, "the origin's no-cache is not meant for HLS caches");
}

/// HLS appendix C: players that tune in use `Age`.
#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_a_live_playlist_includes_the_time_to_the_first_tier() {
    let origin = origin().run().await;
    push(&origin, SLOW_LIVE).await;
    origin.fault(Fault::on(PUSHED).header("age", "250")).unwrap();
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;

    let response = viewer(edge.addr()).get(PUSHED).await;

    let age: i64 = response.header("age").parse().unwrap();
    assert!((250..300).contains(&age), "{age}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_playlist_advances_at_the_edge_when_it_does_at_the_origin() {
    let origin = origin().run().await;
    origin.stop_clock();
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    let first = sequence(&viewer(edge.addr()).get(PLAYLIST).await);

    for moved in 1..=3 {
        origin.advance(Duration::from_secs(2));
        until("the playlist advances", async || {
            sequence(&viewer(edge.addr()).get(PLAYLIST).await) == first + moved
        })
        .await;
    }
    // Each version was requested, and not more often than its lifetime allows.
    let again = origin.requests(PLAYLIST);
    assert!((4..60).contains(&again), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_playlist_is_revalidated_and_not_sent_again() {
    let origin = origin().run().await;
    origin.stop_clock();
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    let first = viewer(edge.addr()).get(PLAYLIST).await;

    until("the origin has received another request", async || {
        viewer(edge.addr()).get(PLAYLIST).await.is(200, &first.body);
        origin.seen(PLAYLIST).get(1).is_some_and(|seen| seen.status.is_some())
    })
    .await;

    let seen = origin.seen(PLAYLIST);
    assert_eq!(seen[1].header("if-none-match"), first.header("etag"));
    assert_eq!(seen[1].status, Some(304));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_object_of_a_stream_is_fetched_once() {
    for packing in ["ts", "cmaf"] {
        let origin = origin().run().await;
        origin.stop_clock();
        let shield = shield().origin(&origin).run().await;
        let edges = [edge().shield(&shield).run().await, edge().named("edge-2").shield(&shield).run().await];
        let folder = format!("/live/ch1/{packing}/360p");
        let playlist = viewer(edges[0].addr()).get(&format!("{folder}/index.m3u8")).await.text();
        let mut files: Vec<_> = playlist.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(files.len(), 6);
        if packing == "cmaf" {
            files.push("init.mp4");
        }
        for file in files {
            let path = format!("{folder}/{file}");
            let responses = viewers(20, &[&edges[0], &edges[1]]).get(&path).await;
            for response in &responses {
                response.is(200, &responses[0].body);
                assert!(ttl(response) > 500, "{}", response.header("cache-status"));
            }
            assert_eq!(origin.requests(&path), 1, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_live_long_and_playlists_that_may_restart_do_not() {
    let origin = origin().run().await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;

    let vod = viewer(edge.addr()).get("/vod/film/ts/360p/index.m3u8").await;
    assert!(vod.text().contains("#EXT-X-ENDLIST"));
    assert!((3000..=3600).contains(&ttl(&vod)), "{}", vod.header("cache-status"));
    let multivariant = viewer(edge.addr()).get("/live/ch1/ts/index.m3u8").await;
    assert!((0..=60).contains(&ttl(&multivariant)), "{}", multivariant.header("cache-status"));

    // A channel that has ended may start again under the same name.
    push(&origin, &format!("{SLOW_LIVE}#EXT-X-ENDLIST\n")).await;
    let ended = viewer(edge.addr()).get(PUSHED).await;
    assert!((0..=10).contains(&ttl(&ended)), "{}", ended.header("cache-status"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_whose_lifetimes_are_obeyed_receives_every_request_for_a_no_cache_playlist() {
    let origin = origin().run().await;
    push(&origin, SLOW_LIVE).await;
    let obey = PlaylistLifetime::Origin;
    let shield = shield().origin(&origin).with(|config| config.site[0].lifetimes.playlist = obey);
    let shield = shield.run().await;
    let edge = edge().shield(&shield).with(|config| config.site[0].lifetimes.playlist = obey).run().await;

    for _ in 0..3 {
        viewer(edge.addr()).get(PUSHED).await.is(200, SLOW_LIVE.as_bytes());
    }
    let statuses: Vec<_> = origin.seen(PUSHED).iter().map(|seen| seen.status).collect();
    assert_eq!(statuses, [Some(200), Some(304), Some(304)]);

    // Simultaneous requests still share one request to the origin.
    origin.fault(Fault::on(PUSHED).hold("head")).unwrap();
    let watching = viewers(20, &[&edge]).start(PUSHED).await;
    until("all have joined", async || edge.joined().await == 20).await;
    origin.release("head");
    for mut viewer in watching {
        viewer.rest().await.is(200, SLOW_LIVE.as_bytes());
    }
    assert_eq!(origin.requests(PUSHED), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_live_playlist_is_never_shared() {
    for word in ["private", "no-store"] {
        let origin = origin().run().await;
        push(&origin, SLOW_LIVE).await;
        origin.fault(Fault::on(PUSHED).header("cache-control", word)).unwrap();
        let shield = shield().origin(&origin).run().await;
        let edge = edge().shield(&shield).run().await;

        for _ in 0..3 {
            viewer(edge.addr()).get(PUSHED).await.is(200, SLOW_LIVE.as_bytes());
        }

        assert_eq!(origin.requests(PUSHED), 3, "{word}");
    }
}

/// Pushes a playlist to the origin, as an encoder does, and resets its request counters.
async fn push(origin: &Origin, playlist: &str) {
    let put = viewer(origin.addr()).body(playlist.as_bytes()).ask("PUT", PUSHED).await;
    assert!(put.status < 300, "{}", put.text());
    origin.forget();
}

/// The remaining lifetime of the edge's object.
fn ttl(response: &Response) -> i64 {
    let members = response.header("cache-status");
    let own = members.rsplit(", ").next().unwrap_or_default();
    own.split("; ttl=").nth(1).and_then(|ttl| ttl.split(';').next()?.parse().ok()).expect(members)
}

fn sequence(playlist: &Response) -> u64 {
    let text = playlist.text();
    let number = text.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"));
    number.expect("a media playlist").parse().unwrap()
}
