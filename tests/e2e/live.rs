//! A live stream through both tiers: what changes is asked for again in time, what cannot change is not.

use std::time::Duration;

use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_proxy::site::config::PlaylistLifetime;
use tidegate_tests::{Answer, Origin, edge, origin, shield, until, viewer, viewers};

const PLAYLIST: &str = "/live/ch1/ts/360p/index.m3u8";
const PUSHED: &str = "/ingest/ch1/index.m3u8";

/// Target durations that no slow machine outlasts: half of it is 300 s.
const SLOW_LIVE: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:600\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:600,\n7.ts\n";

#[tokio::test(flavor = "multi_thread")]
async fn until_its_next_version_is_due_a_live_playlist_is_asked_for_once() {
    let origin = origin().run().await;
    push(&origin, SLOW_LIVE).await;
    let shield = shield().origin(&origin).run().await;
    let (one, two) = (edge().shield(&shield).run().await, edge().named("edge-2").shield(&shield).run().await);

    for edge in [&one, &two, &one, &two] {
        let answer = viewer(edge.addr()).get(PUSHED).await;
        answer.is(200, SLOW_LIVE.as_bytes());
        assert!(ttl(&answer) > 0, "{}", answer.header("cache-status"));
    }

    assert_eq!(origin.requests(PUSHED), 1, "the origin's no-cache is not meant for caches that know HLS");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_a_live_playlist_counts_the_way_to_the_first_tier() {
    let origin = origin().run().await;
    push(&origin, SLOW_LIVE).await;
    origin.fault(Fault::on(PUSHED).header("age", "250")).unwrap();
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;

    let answer = viewer(edge.addr()).get(PUSHED).await;

    let age: i64 = answer.header("age").parse().unwrap();
    assert!((250..300).contains(&age), "{age}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_playlist_moves_on_at_the_edge_when_it_does_at_the_origin() {
    let origin = origin().run().await;
    origin.stop_clock();
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    let first = sequence(&viewer(edge.addr()).get(PLAYLIST).await);

    for moved in 1..=3 {
        origin.advance(Duration::from_secs(2));
        until("the playlist moves on", async || {
            sequence(&viewer(edge.addr()).get(PLAYLIST).await) == first + moved
        })
        .await;
    }
    // Each version was asked for anew, and not more often than its lifetime allows.
    let again = origin.requests(PLAYLIST);
    assert!((4..60).contains(&again), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_that_has_not_moved_is_revalidated_and_not_sent_again() {
    let origin = origin().run().await;
    origin.stop_clock();
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    let first = viewer(edge.addr()).get(PLAYLIST).await;

    until("the origin was asked again", async || {
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
            let answers = viewers(20, &[&edges[0], &edges[1]]).get(&path).await;
            for answer in &answers {
                answer.is(200, &answers[0].body);
                assert!(ttl(answer) > 500, "{}", answer.header("cache-status"));
            }
            assert_eq!(origin.requests(&path), 1, "{path}");
        }
    }
}

/// An encoder that writes all segments into one file: they are ranges of it (section 4.4.4.2).
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_grows_is_fetched_anew_for_the_ranges_that_are_announced() {
    const FILE: &str = "/ingest/ch1/all.ts";
    let whole = synthetic_bytes("all", 0..3000);
    let origin = origin().run().await;
    let grow = async |segments: usize| {
        let file = viewer(origin.addr()).body(&whole[..segments * 1000]).ask("PUT", FILE).await;
        assert!(file.status < 300, "{}", file.text());
        let listed = |n: usize| format!("#EXTINF:1,\n#EXT-X-BYTERANGE:1000@{}\nall.ts\n", n * 1000);
        let listed: String = (0..segments).map(listed).collect();
        push(&origin, &format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n{listed}")).await;
    };
    grow(1).await;
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;

    for segment in 0..3 {
        if segment > 0 {
            grow(segment + 1).await;
        }
        until("the range is announced", async || {
            let playlist = viewer(edge.addr()).get(PUSHED).await.text();
            playlist.matches("#EXTINF").count() == segment + 1
        })
        .await;
        let (start, end) = (segment * 1000, segment * 1000 + 1000);
        for _ in 0..2 {
            let range = format!("bytes={start}-{}", end - 1);
            let answer = viewer(edge.addr()).header("range", &range).get(FILE).await;
            answer.is(206, &whole[start..end]);
        }
        assert_eq!(origin.requests(FILE), 1, "once for each length that it has had");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_change_lives_long_and_what_may_start_again_does_not() {
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
async fn an_origin_that_is_to_be_obeyed_is_asked_every_time_it_says_no_cache() {
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

    // Those who ask at the same time still share one request.
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
async fn a_live_playlist_that_is_private_is_nobodys_whatever_hls_says() {
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

/// Gives the origin a playlist, as an encoder does, and forgets that it was asked.
async fn push(origin: &Origin, playlist: &str) {
    let put = viewer(origin.addr()).body(playlist.as_bytes()).ask("PUT", PUSHED).await;
    assert!(put.status < 300, "{}", put.text());
    origin.forget();
}

/// How long the edge still holds it for fresh.
fn ttl(answer: &Answer) -> i64 {
    let members = answer.header("cache-status");
    let own = members.rsplit(", ").next().unwrap_or_default();
    own.split("; ttl=").nth(1).and_then(|ttl| ttl.split(';').next()?.parse().ok()).expect(members)
}

fn sequence(playlist: &Answer) -> u64 {
    let text = playlist.text();
    let number = text.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"));
    number.expect("a media playlist").parse().unwrap()
}
