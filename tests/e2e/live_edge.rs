//! The live edge: who asks for the next version of a playlist waits for it, nobody is given an older one than before,
//! and what a playlist announces is there before anybody asks. Section numbers are those of HLS (rfc8216bis).

use std::time::Duration;

use tidegate_origin_stub::Fault;
use tidegate_tests::{Answer, Origin, Running, edge, origin, shield, until, viewer, viewers};

const PLAYLIST: &str = "/live/ch1/ts/360p/index.m3u8";
const FOLDER: &str = "/live/ch1/ts/360p";
const PUSHED: &str = "/ingest/ch1/index.m3u8";
/// Of the stub's live stream, in seconds.
const TARGET: Duration = Duration::from_secs(2);

struct House {
    origin: Origin,
    shield: Running,
    edges: [Running; 2],
}

impl House {
    /// Two edges in front of an origin that cannot hold requests, and whose time stands still.
    async fn standing_still() -> Self {
        let origin = origin().run().await;
        origin.stop_clock();
        let shield = shield().origin(&origin).run().await;
        let edges = [edge().shield(&shield).run().await, edge().named("edge-2").shield(&shield).run().await];
        Self { origin, shield, edges }
    }

    async fn get(&self, path: &str) -> Answer {
        viewer(self.edges[0].addr()).get(path).await
    }

    /// Waits until the first edge has a version that begins with this segment.
    async fn reaches(&self, playlist: &str, first: u64) {
        until("the edge has the version", async || sequence(&self.get(playlist).await) == first).await;
    }
}

/// Sections 6.2.5.2 and B.1.
#[tokio::test(flavor = "multi_thread")]
async fn d2_who_asks_for_the_next_segment_waits_for_it_and_the_origin_knows_nothing_of_it() {
    let house = House::standing_still().await;
    let first = house.get(PLAYLIST).await;
    let next = sequence(&first) + segments(&first);
    let ahead = format!("{PLAYLIST}?_HLS_msn={next}");

    let waiting = viewers(100, &[&house.edges[0], &house.edges[1]]).start(&ahead).await;
    until("all are held", async || {
        let mut held = 0;
        for edge in &house.edges {
            held += edge.count("tidegate_blocked_requests", "").await;
        }
        held == 100
    })
    .await;
    house.origin.advance(TARGET);
    for mut viewer in waiting {
        let answer = viewer.rest().await;
        assert_eq!((answer.status, sequence(&answer)), (200, sequence(&first) + 1));
    }
    // Whoever asks for what is there already, or was there before, is answered at once (MUST).
    for old in [0, next - 1, next] {
        let answer = house.get(&format!("{PLAYLIST}?_HLS_msn={old}")).await;
        assert_eq!((answer.status, sequence(&answer)), (200, sequence(&first) + 1));
    }
    let seen = house.origin.seen(PLAYLIST);
    assert!(seen.iter().all(|request| request.query.is_none()), "{seen:?}");
}

/// Section 6.2.5.2.
#[tokio::test(flavor = "multi_thread")]
async fn d2_what_is_too_far_ahead_is_a_bad_request_at_once() {
    let house = House::standing_still().await;
    let first = house.get(PLAYLIST).await;
    let next = sequence(&first) + segments(&first);
    for far in [format!("_HLS_msn={}", next + 2), format!("_HLS_msn={}", u64::MAX), "_HLS_part=0".to_owned()]
    {
        let refused = house.get(&format!("{PLAYLIST}?{far}")).await;
        assert_eq!(refused.status, 400, "{far}");
        assert!(refused.header("proxy-status").contains("error=http_request_error"), "{far}");
    }
}

/// Section 6.2.5.2: held for three target durations.
#[tokio::test(flavor = "multi_thread")]
async fn d2_what_does_not_come_is_told_so_after_three_target_durations() {
    let house = House::standing_still().await;
    // A target duration of 0 stands for segments of less than half a second.
    push(&house.origin, &playlist(0, 7..10, "")).await;
    house.get(PUSHED).await.is(200, playlist(0, 7..10, "").as_bytes());
    let held = house.get(&format!("{PUSHED}?_HLS_msn=10")).await;
    assert_eq!(held.status, 503);
}

/// Section 6.2.5.2: with EXT-X-ENDLIST, directives are ignored.
#[tokio::test(flavor = "multi_thread")]
async fn d2_a_playlist_that_has_ended_answers_at_once() {
    let house = House::standing_still().await;
    let ended = playlist(600, 7..10, "#EXT-X-ENDLIST\n");
    push(&house.origin, &ended).await;
    for directives in ["", "?_HLS_msn=10", "?_HLS_msn=99&_HLS_part=7"] {
        house.get(&format!("{PUSHED}{directives}")).await.is(200, ended.as_bytes());
    }
    assert_eq!(house.origin.requests(PUSHED), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_has_never_heard_of_a_stream_holds_requests_for_it_too() {
    let house = House::standing_still().await;
    let first = viewer(house.origin.addr()).get(PLAYLIST).await;
    let next = sequence(&first) + segments(&first);
    let ahead = format!("{PLAYLIST}?_HLS_msn={next}");
    let mut waiting = viewer(house.edges[0].addr()).start("GET", &ahead).await;
    until("it is held", async || house.edges[0].count("tidegate_blocked_requests", "").await == 1).await;
    house.origin.advance(TARGET);
    assert_eq!(sequence(&waiting.rest().await), sequence(&first) + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_who_stops_waiting_is_forgotten_at_once() {
    let house = House::standing_still().await;
    let first = house.get(PLAYLIST).await;
    let ahead = format!("{PLAYLIST}?_HLS_msn={}", sequence(&first) + segments(&first));
    let waiting = viewers(20, &[&house.edges[0]]).start(&ahead).await;
    let blocked = async || house.edges[0].count("tidegate_blocked_requests", "").await;
    until("all are held", async || blocked().await == 20).await;
    drop(waiting);
    until("nobody is held", async || blocked().await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_without_viewers_stops_asking() {
    let house = House::standing_still().await;
    push(&house.origin, &playlist(0, 7..10, "")).await;
    house.get(PUSHED).await;
    for tier in [&house.edges[0], &house.shield] {
        until("nobody follows it", async || tier.count("tidegate_followed_playlists", "").await == 0).await;
    }
    // What it was left with is not given to the next one who asks.
    push(&house.origin, &playlist(0, 20..23, "")).await;
    assert_eq!(sequence(&house.get(PUSHED).await), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_version_of_a_playlist_that_nobody_follows_is_given_it() {
    let house = House::standing_still().await;
    push(&house.origin, &playlist(0, 7..10, "")).await;
    house.get(PUSHED).await;
    // The next version, and one that would be too far ahead if the edge had kept up.
    for (window, wanted) in [(8..11, 10), (20..23, 22)] {
        for tier in [&house.edges[0], &house.shield] {
            until("nobody follows it", async || tier.count("tidegate_followed_playlists", "").await == 0)
                .await;
        }
        let first = window.start;
        push(&house.origin, &playlist(0, window, "")).await;
        let answer = house.get(&format!("{PUSHED}?_HLS_msn={wanted}")).await;
        assert_eq!((answer.status, sequence(&answer)), (200, first));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_never_goes_back() {
    let house = House::standing_still().await;
    push(&house.origin, &playlist(1, 10..16, "")).await;
    assert_eq!(sequence(&house.get(PUSHED).await), 10);
    // A source that lags three segments behind, as a backup may after a failover.
    push(&house.origin, &playlist(1, 7..13, "")).await;
    until("it was stopped", async || {
        assert_eq!(sequence(&house.get(PUSHED).await), 10);
        house.shield.count("tidegate_backward_playlists_total", "").await > 0
    })
    .await;
    push(&house.origin, &playlist(1, 11..17, "")).await;
    house.reaches(PUSHED, 11).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_lags_behind_is_passed_over_for_one_that_does_not() {
    let (primary, backup) = (origin().run().await, origin().run().await);
    push(&primary, &playlist(1, 10..16, "")).await;
    push(&backup, &playlist(1, 10..16, "")).await;
    let shield = shield().origin(&primary).origin(&backup).run().await;
    let edge = edge().shield(&shield).run().await;
    let get = async || sequence(&viewer(edge.addr()).get(PUSHED).await);
    assert_eq!(get().await, 10);

    push(&primary, &playlist(1, 8..14, "")).await;
    push(&backup, &playlist(1, 11..17, "")).await;
    until("the backup's version is there", async || get().await == 11).await;
    assert!(shield.count("tidegate_failovers_total", "reason=\"backward\"").await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_origin_is_passed_over_for_one_that_moves() {
    let (primary, backup) = (origin().run().await, origin().run().await);
    push(&primary, &playlist(1, 10..16, "")).await;
    push(&backup, &playlist(1, 10..16, "")).await;
    let shield = shield().origin(&primary).origin(&backup).run().await;
    let edge = edge().shield(&shield).run().await;
    let get = async || sequence(&viewer(edge.addr()).get(PUSHED).await);
    assert_eq!(get().await, 10);

    push(&backup, &playlist(1, 11..17, "")).await;
    until("the backup's version is there", async || get().await == 11).await;
    assert!(shield.count("tidegate_failovers_total", "reason=\"frozen\"").await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_begins_anew_under_its_old_names_is_not_mixed_with_the_old_one() {
    let house = House::standing_still().await;
    let segment = "/ingest/ch1/1.ts";
    put(&house.origin, segment, b"old").await;
    push(&house.origin, &playlist(1, 0..40, "")).await;
    assert_eq!(sequence(&house.get(PUSHED).await), 0);
    house.get(segment).await.is(200, b"old");

    put(&house.origin, segment, b"new").await;
    push(&house.origin, &playlist(1, 0..2, "")).await;
    until("the new list is there", async || segments(&house.get(PUSHED).await) == 2).await;
    house.get(segment).await.is(200, b"new");
    assert_eq!(house.shield.count("tidegate_stream_restarts_total", "").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_origins_that_name_their_segments_differently_are_not_mixed() {
    let (primary, backup) = (origin().run().await, origin().run().await);
    let named = |name: &str, numbers: std::ops::Range<u64>| playlist(2, numbers, "").replace(".ts", name);
    push(&primary, &named("-a.ts", 10..16)).await;
    let shield = shield().origin(&primary).origin(&backup).run().await;
    let edge = edge().shield(&shield).run().await;
    let text = async || viewer(edge.addr()).get(PUSHED).await.text();
    assert!(text().await.contains("10-a.ts"));

    // The primary stands still, and the backup goes on under names of its own.
    for first in 11..13 {
        push(&backup, &named("-b.ts", first..first + 6)).await;
        until("the backup's version is there", async || {
            text().await.contains(&format!("SEQUENCE:{first}\n"))
        })
        .await;
        assert!(!text().await.contains("-a.ts"), "nobody is sent back to the primary");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_that_varies_is_not_followed_and_still_moves() {
    let house = House::standing_still().await;
    push(&house.origin, &playlist(1, 10..16, "")).await;
    house.origin.fault(Fault::on(PUSHED).header("vary", "x-player")).unwrap();
    let get = async |player: &str| {
        sequence(&viewer(house.edges[0].addr()).header("x-player", player).get(PUSHED).await)
    };
    assert_eq!((get("a").await, get("b").await), (10, 10));
    push(&house.origin, &playlist(1, 11..17, "")).await;
    for player in ["a", "b"] {
        until("the new version is there", async || get(player).await == 11).await;
    }
    assert_eq!(house.shield.count("tidegate_followed_playlists", "").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_segment_that_one_origin_does_not_have_is_asked_for_at_the_other() {
    let (primary, backup) = (origin().run().await, origin().run().await);
    for origin in [&primary, &backup] {
        push(origin, &playlist(600, 10..16, "")).await;
    }
    put(&backup, "/ingest/ch1/12.ts", b"twelve").await;
    let shield = shield().origin(&primary).origin(&backup).run().await;
    let edge = edge().shield(&shield).run().await;
    viewer(edge.addr()).get(PUSHED).await;

    viewer(edge.addr()).get("/ingest/ch1/12.ts").await.is(200, b"twelve");
    // Nobody has announced this one: it is missing, and the backup is not asked.
    assert_eq!(viewer(edge.addr()).get("/ingest/ch1/99.ts").await.status, 404);
    assert_eq!(backup.requests("/ingest/ch1/99.ts"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_viewer_of_a_new_segment_is_answered_from_what_is_held() {
    let house = House::standing_still().await;
    let first = house.get(PLAYLIST).await;
    house.origin.advance(TARGET);
    house.reaches(PLAYLIST, sequence(&first) + 1).await;
    let newest = format!("{FOLDER}/{}.ts", sequence(&first) + segments(&first));
    for edge in [&house.edges[0], &house.shield] {
        until("it is held", async || {
            let held = edge.status().await["objects"].as_array().cloned().unwrap_or_default();
            held.iter().any(|object| object["path"] == newest.as_str())
        })
        .await;
    }
    let segment = house.get(&newest).await;
    assert_eq!((segment.status, segment.header("x-cache").ends_with("HIT")), (200, true));
    assert_eq!(house.origin.requests(&newest), 1);
    assert!(house.edges[0].count("tidegate_prefetches_total", "").await > 0);
}

/// A playlist with these segments; `end` is its last line.
fn playlist(target: u64, numbers: std::ops::Range<u64>, end: &str) -> String {
    let head = format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:{}\n",
        numbers.start
    );
    numbers.fold(head, |list, number| list + &format!("#EXTINF:{target}.0,\n{number}.ts\n")) + end
}

/// Gives the origin a playlist, as an encoder does.
async fn push(origin: &Origin, playlist: &str) {
    put(origin, PUSHED, playlist.as_bytes()).await;
}

async fn put(origin: &Origin, path: &str, body: &[u8]) {
    let put = viewer(origin.addr()).body(body).ask("PUT", path).await;
    assert!(put.status < 300, "{}", put.text());
    origin.forget();
}

fn sequence(playlist: &Answer) -> u64 {
    let text = playlist.text();
    let number = text.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"));
    number.expect(&text).parse().unwrap()
}

fn segments(playlist: &Answer) -> u64 {
    playlist.text().lines().filter(|line| line.starts_with("#EXTINF:")).count() as u64
}

const LOW_LATENCY: &str = "/ll/ch1/cmaf/360p/index.m3u8";
const PARTS: &str = "/ll/ch1/cmaf/360p";
/// A sixth of a segment, rounded up.
const PART: Duration = Duration::from_nanos(333_333_334);

/// Lets the origin's time stand still where a segment begins to grow; returns its number.
fn begin_segment(origin: &Origin) -> u64 {
    let now = origin.now();
    let number = now.as_secs() / TARGET.as_secs() + 1;
    origin.advance((TARGET * u32::try_from(number).expect("a small number")).saturating_sub(now));
    number
}

/// Section 6.2.5.2, with an origin that can hold requests itself.
#[tokio::test(flavor = "multi_thread")]
async fn d2_who_asks_for_the_next_part_waits_for_it_and_the_origin_is_asked_once() {
    let house = House::standing_still().await;
    let growing = begin_segment(&house.origin);
    assert!(!house.get(LOW_LATENCY).await.text().contains(&format!("{growing}.0.m4s\",INDEPENDENT")));
    for part in 0..3 {
        let ahead = format!("{LOW_LATENCY}?_HLS_msn={growing}&_HLS_part={part}");
        let waiting = viewers(20, &[&house.edges[0], &house.edges[1]]).start(&ahead).await;
        until("all are held", async || {
            let blocked = async |edge: &Running| edge.count("tidegate_blocked_requests", "").await;
            blocked(&house.edges[0]).await + blocked(&house.edges[1]).await == 20
        })
        .await;
        house.origin.held(1).await;
        house.origin.advance(PART);
        for mut viewer in waiting {
            let answer = viewer.rest().await;
            assert_eq!(answer.status, 200);
            assert!(answer.text().contains(&format!("URI=\"{growing}.{part}.m4s\"")), "{}", answer.text());
        }
        let query = format!("_HLS_msn={growing}&_HLS_part={part}");
        let seen = house.origin.seen(LOW_LATENCY);
        let same = seen.iter().filter(|request| request.query.as_deref() == Some(&query)).count();
        assert_eq!(same, 1, "{query}");
    }
}

/// Section 6.2.5.1.
#[tokio::test(flavor = "multi_thread")]
async fn d3_a_delta_update_is_made_at_the_edge() {
    let house = House::standing_still().await;
    begin_segment(&house.origin);
    let full = house.get(LOW_LATENCY).await;
    let delta = house.get(&format!("{LOW_LATENCY}?_HLS_skip=YES")).await;

    assert_eq!(delta.status, 200);
    let text = delta.text();
    let skipped = text.lines().find_map(|line| line.strip_prefix("#EXT-X-SKIP:SKIPPED-SEGMENTS="));
    let skipped: u64 = skipped.expect("a delta update").parse().unwrap();
    assert_eq!(skipped + segments(&delta), segments(&full));
    assert!(skipped > 0 && delta.body.len() < full.body.len());
    assert_eq!(delta.header("etag"), "", "it is another representation");
    let seen = house.origin.seen(LOW_LATENCY);
    assert!(
        seen.iter().all(|request| !request.query.as_deref().unwrap_or_default().contains("skip")),
        "{seen:?}"
    );
    // A playlist that offers none is sent in full.
    let plain = house.get(&format!("{PLAYLIST}?_HLS_skip=YES")).await;
    assert!(!plain.text().contains("EXT-X-SKIP"));
}

/// Section 6.2.2: a hinted part may be asked for before it is there.
#[tokio::test(flavor = "multi_thread")]
async fn d4_a_hinted_part_is_asked_for_once_and_waited_for() {
    let house = House::standing_still().await;
    let growing = begin_segment(&house.origin);
    let hinted = format!("{PARTS}/{growing}.0.m4s");
    assert!(house.get(LOW_LATENCY).await.text().contains("#EXT-X-PRELOAD-HINT:TYPE=PART"));
    let waiting = viewers(20, &[&house.edges[0], &house.edges[1]]).start(&hinted).await;
    until("all wait", async || house.edges[0].joined().await + house.edges[1].joined().await >= 20).await;
    house.origin.advance(PART);

    let expected = viewer(house.origin.addr()).get(&hinted).await;
    for mut viewer in waiting {
        viewer.rest().await.is(200, &expected.body);
    }
    assert_eq!(house.origin.requests(&hinted), 2, "once by the tiers, once by this test");
}

/// In front of an origin whose parts appear but that cannot hold requests.
#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_cannot_block_is_polled_for_its_parts() {
    let house = House::standing_still().await;
    let growing = begin_segment(&house.origin);
    let playlist = LOW_LATENCY.replace("/cmaf/", "/cmaf-unblocked/");
    house.get(&playlist).await;
    let ahead = format!("{playlist}?_HLS_msn={growing}&_HLS_part=0");
    let mut waiting = viewer(house.edges[0].addr()).start("GET", &ahead).await;
    until("it is held", async || house.edges[0].count("tidegate_blocked_requests", "").await == 1).await;
    house.origin.advance(PART);
    assert!(waiting.rest().await.text().contains(&format!("URI=\"{growing}.0.m4s\"")));
    assert!(house.origin.seen(&playlist).iter().all(|request| request.query.is_none()));
}
