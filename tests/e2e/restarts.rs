//! When an encoder restarts, viewers see a discontinuity and continuous numbering.

use tidegate_origin_stub::Fault;
use tidegate_proxy::site::config::Restarts;
use tidegate_tests::{Response, Running, edge, origin, shield, until, viewer};

use crate::cluster::{Cluster, PUSHED, playlist, push, put, segments, sequence};

/// The name of the first segment of the second epoch, at the encoder and at the tiers.
const FIRST: &str = "/ingest/ch1/0.ts";

/// The marked URI in the playlist of the segment with this name.
fn marked(list: &Response, name: &str) -> String {
    let text = list.text();
    let uri = text.lines().find(|line| line.starts_with(&format!("{name}?tidegate_run=")));
    format!("/ingest/ch1/{}", uri.expect(&text))
}

/// The playlist with its epoch marks replaced by a constant.
fn unmarked(list: &Response) -> String {
    let text = list.text();
    let mut runs: Vec<&str> =
        text.split("tidegate_run=").skip(1).filter_map(|rest| rest.lines().next()).collect();
    runs.dedup();
    let all = |text: String, (index, run): (usize, &&str)| text.replace(*run, &format!("run-{}", index + 1));
    runs.iter().enumerate().fold(text.clone(), all)
}

/// An edge and a shield that leave restarts to the origin.
async fn passing() -> Cluster {
    let origin = origin().run().await;
    origin.stop_clock();
    let shield = shield().origin(&origin).with(|shield| shield.site[0].restarts = Restarts::Pass).run().await;
    let passing =
        |name| edge().named(name).shield(&shield).with(|edge| edge.site[0].restarts = Restarts::Pass);
    let edges = [passing("edge-1").run().await, passing("edge-2").run().await];
    Cluster { origin, shield, edges }
}

/// The edge has had segments 40 to 45; then the encoder restarts.
async fn restarted() -> Cluster {
    let cluster = Cluster::standing_still().await;
    put(&cluster.origin, FIRST, b"old").await;
    push(&cluster.origin, &playlist(1, 40..46, "")).await;
    assert_eq!(sequence(&cluster.get(PUSHED).await), 40);
    cluster.get(FIRST).await.is(200, b"old");
    put(&cluster.origin, FIRST, b"new").await;
    push(&cluster.origin, &playlist(1, 0..1, "")).await;
    cluster.reaches(PUSHED, 41).await;
    cluster
}

/// HLS section 6.2.2: the media sequence number grows by one with each removed segment, and a break is
/// marked.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_encoder_continues_in_the_same_numbering() {
    let cluster = restarted().await;
    let response = cluster.get(PUSHED).await;
    let list = unmarked(&response);
    assert!(list.contains("#EXT-X-TIDEGATE-RUN:ID=run-1,ADDED=46\n#EXT-X-MEDIA-SEQUENCE:41\n"), "{list}");
    assert!(list.ends_with("45.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:1.0,\n0.ts?tidegate_run=run-1\n"), "{list}");
    assert!(response.header("etag").starts_with("\"tg-"), "the origin's tag is of other bytes");
    cluster.get(&marked(&response, "0.ts")).await.is(200, b"new");
    assert!(cluster.origin.seen(FIRST).iter().all(|request| request.query.is_none()));
    assert_eq!(cluster.origin.requests(FIRST), 1);

    // A request that waits for a number gets that number.
    push(&cluster.origin, &playlist(1, 0..2, "")).await;
    cluster.reaches(PUSHED, 42).await;
    let mut waiting = viewer(cluster.edges[0].addr()).start("GET", &format!("{PUSHED}?_HLS_msn=48")).await;
    push(&cluster.origin, &playlist(1, 0..3, "")).await;
    let waited = waiting.rest().await;
    assert_eq!((sequence(&waited), segments(&waited)), (43, 6));

    push(&cluster.origin, &playlist(1, 1..7, "")).await;
    cluster.reaches(PUSHED, 47).await;
    let list = cluster.get(PUSHED).await.text();
    assert!(list.contains("#EXT-X-DISCONTINUITY-SEQUENCE:1\n#EXTINF:1.0,\n1.ts?tide"), "{list}");
    assert_eq!(cluster.shield.count("tidegate_stream_restarts_total", "").await, 1);
    assert_eq!(cluster.edges[0].count("tidegate_stream_restarts_total", "").await, 0);
    assert_eq!(cluster.edges[0].count("tidegate_backward_playlists_total", "").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_that_restarts_twice_is_renumbered_twice() {
    let cluster = restarted().await;
    push(&cluster.origin, &playlist(1, 4..10, "")).await;
    cluster.reaches(PUSHED, 50).await;
    push(&cluster.origin, &playlist(1, 0..1, "")).await;
    cluster.reaches(PUSHED, 51).await;
    let list = unmarked(&cluster.get(PUSHED).await);
    let end = "9.ts?tidegate_run=run-1\n#EXT-X-DISCONTINUITY\n#EXTINF:1.0,\n0.ts?tidegate_run=run-2\n";
    assert!(list.contains("#EXT-X-DISCONTINUITY-SEQUENCE:1\n") && list.ends_with(end), "{list}");
    assert_eq!(cluster.shield.count("tidegate_stream_restarts_total", "").await, 2);
}

/// Section 4.4.3.5 of the HLS draft: an EVENT only grows.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_event_keeps_all_its_segments() {
    let cluster = Cluster::standing_still().await;
    let event = |numbers| {
        playlist(1, numbers, "").replace("#EXT-X-MEDIA", "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-MEDIA")
    };
    push(&cluster.origin, &event(0..80)).await;
    assert_eq!(segments(&cluster.get(PUSHED).await), 80);
    for end in [1, 2, 90] {
        push(&cluster.origin, &event(0..end)).await;
        until("the event grows", async || segments(&cluster.get(PUSHED).await) == 80 + end).await;
    }
    let list = cluster.get(PUSHED).await;
    assert_eq!(sequence(&list), 0);
    assert!(unmarked(&list).contains("79.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:1.0,\n0.ts?tidegate_run=run-1\n"));
}

/// The new epoch writes the same file anew: its ranges are other bytes.
#[tokio::test(flavor = "multi_thread")]
async fn restarted_byte_ranges_are_other_objects() {
    let cluster = Cluster::standing_still().await;
    let file = "/ingest/ch1/all.ts";
    let ranges = |numbers: std::ops::Range<u64>| {
        let range = |number| format!("#EXTINF:1.0,\n#EXT-X-BYTERANGE:4@{}\nall.ts\n", number * 4);
        let head = format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{}\n", numbers.start);
        numbers.map(range).fold(head, |list, range| list + &range)
    };
    let slice = async |uri: &str, range: &str| {
        let target = format!("/ingest/ch1/{uri}");
        viewer(cluster.edges[0].addr()).header("range", range).get(&target).await
    };
    put(&cluster.origin, file, "old ".repeat(50).as_bytes()).await;
    push(&cluster.origin, &ranges(40..46)).await;
    assert_eq!(sequence(&cluster.get(PUSHED).await), 40);
    slice("all.ts", "bytes=0-3").await.is(206, b"old ");
    put(&cluster.origin, file, "new ".repeat(50).as_bytes()).await;
    push(&cluster.origin, &ranges(0..1)).await;
    cluster.reaches(PUSHED, 41).await;
    let list = cluster.get(PUSHED).await;
    let marked = list.text().lines().last().unwrap().to_owned();
    assert!(marked.starts_with("all.ts?tidegate_run="), "{}", list.text());
    slice(&marked, "bytes=0-3").await.is(206, b"new ");
}

/// A backup that has not seen the restart yet has the segments before it, and numbers that would fit.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_still_in_the_old_epoch_is_not_taken_for_a_jump() {
    let (primary, backup) = (origin().run().await, origin().run().await);
    push(&primary, &playlist(1, 40..46, "")).await;
    push(&backup, &playlist(1, 40..46, "")).await;
    let shield = shield().origin(&primary).origin(&backup).run().await;
    let edge = edge().shield(&shield).run().await;
    let next = async || {
        let list = viewer(edge.addr()).get(PUSHED).await;
        sequence(&list) + segments(&list)
    };
    assert_eq!(next().await, 46);
    push(&primary, &playlist(1, 0..1, "")).await;
    until("the restart is joined", async || next().await == 47).await;
    push(&primary, &playlist(1, 0..6, "")).await;
    until("the playlist advances", async || next().await == 52).await;

    primary.fault(Fault::on(PUSHED).status(503)).unwrap();
    until("the backup has received a request", async || {
        assert_eq!(next().await, 52);
        shield.count("tidegate_backward_playlists_total", "").await > 0
    })
    .await;
    primary.clear();
    push(&primary, &playlist(1, 1..7, "")).await;
    until("the epoch continues", async || next().await == 53).await;
}

/// A shield that started after the restart has the encoder's own numbers.
#[tokio::test(flavor = "multi_thread")]
async fn a_shield_that_missed_the_restart_takes_no_viewer_back() {
    let origin = origin().run().await;
    let shields = [shield().origin(&origin).run().await, shield().origin(&origin).run().await];
    let edge = edge().shield(&shields[0]).shield(&shields[1]).run().await;
    let get = async || viewer(edge.addr()).get(PUSHED).await;
    put(&origin, "/ingest/ch1/3.ts", b"new").await;
    push(&origin, &playlist(1, 40..46, "")).await;
    assert_eq!(sequence(&get().await), 40);
    push(&origin, &playlist(1, 0..1, "")).await;
    until("the restart is joined", async || sequence(&get().await) == 41).await;

    let has_joined = async |shield: &Running| shield.count("tidegate_stream_restarts_total", "").await == 1;
    let (joined, other) = if has_joined(&shields[0]).await { (0, 1) } else { (1, 0) };
    assert!(has_joined(&shields[joined]).await);
    shields[joined].drain();
    shields[joined].ended().await;
    for end in 2..5 {
        push(&origin, &playlist(1, 0..end, "")).await;
        until("the next version is there", async || {
            let list = get().await;
            sequence(&list) + segments(&list) == 46 + end
        })
        .await;
    }
    let own = viewer(shields[other].addr()).get(PUSHED).await;
    assert_eq!((sequence(&own), own.text().contains("tidegate")), (0, false));
    viewer(edge.addr()).get(&marked(&get().await, "3.ts")).await.is(200, b"new");

    // When the encoder restarts once more, that shield continues in its own numbering.
    push(&origin, &playlist(1, 3..9, "")).await;
    until("the next version is there", async || sequence(&get().await) == 49).await;
    push(&origin, &playlist(1, 0..1, "")).await;
    until("the restart is joined", async || sequence(&get().await) == 50).await;
    let list = unmarked(&get().await);
    // The segments that this shield lists without a mark belong to the previous epoch, which has a mark here.
    let end = "\n8.ts?tidegate_run=run-1\n#EXT-X-DISCONTINUITY\n#EXTINF:1.0,\n0.ts?tidegate_run=run-2\n";
    assert!(list.contains(",ADDED=55\n") && list.ends_with(end), "{list}");
    assert_eq!(edge.count("tidegate_stream_restarts_total", "").await, 0);
}

/// HLS section 6.2.4: the renditions of a stream have the same numbering.
#[tokio::test(flavor = "multi_thread")]
async fn a_rendition_requested_for_the_first_time_has_the_numbering_of_the_others() {
    let cluster = Cluster::standing_still().await;
    let [low, high] = ["/ingest/ch1/low.m3u8", "/ingest/ch1/high.m3u8"];
    let variants =
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\nhigh.m3u8\n";
    put(&cluster.origin, PUSHED, variants.as_bytes()).await;
    assert_eq!(cluster.get(PUSHED).await.status, 200);
    let both = async |list: String| {
        put(&cluster.origin, low, list.as_bytes()).await;
        put(&cluster.origin, high, list.as_bytes()).await;
    };
    both(playlist(1, 40..46, "")).await;
    cluster.get(low).await;
    both(playlist(1, 0..1, "")).await;
    cluster.reaches(low, 41).await;
    both(playlist(1, 2..8, "")).await;
    cluster.reaches(low, 48).await;
    assert_eq!(cluster.get(high).await.text(), cluster.get(low).await.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_is_passed_on_is_not_mixed_with_the_old_stream() {
    let cluster = passing().await;
    let segment = "/ingest/ch1/1.ts";
    put(&cluster.origin, segment, b"old").await;
    push(&cluster.origin, &playlist(1, 0..40, "")).await;
    assert_eq!(sequence(&cluster.get(PUSHED).await), 0);
    cluster.get(segment).await.is(200, b"old");
    // It is no longer listed, but still cached.
    push(&cluster.origin, &playlist(1, 10..50, "")).await;
    cluster.reaches(PUSHED, 10).await;

    put(&cluster.origin, segment, b"new").await;
    // There is nothing to play yet (HLS section 6.3.3): viewers stay with the old playlist.
    push(&cluster.origin, &playlist(1, 0..2, "")).await;
    until("the restart was noticed", async || {
        cluster.shield.count("tidegate_backward_playlists_total", "").await > 0
    })
    .await;
    assert_eq!(segments(&cluster.get(PUSHED).await), 40);
    cluster.get(segment).await.is(200, b"old");

    push(&cluster.origin, &playlist(1, 0..3, "")).await;
    until("the new playlist is there", async || segments(&cluster.get(PUSHED).await) == 3).await;
    cluster.get(segment).await.is(200, b"new");
    assert!(!cluster.get(PUSHED).await.text().contains("tidegate"));
    assert_eq!(cluster.shield.count("tidegate_stream_restarts_total", "").await, 1);
}
