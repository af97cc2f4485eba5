//! The live edge: a request for the next version of a playlist blocks until it arrives, and tiers follow a
//! playlist as long as it has viewers.

use tidegate_origin_stub::Fault;
use tidegate_tests::{until, viewer, viewers};

use crate::cluster::{Cluster, PLAYLIST, PUSHED, TARGET, playlist, push, segments, sequence};

/// HLS section 6.2.5.2 and appendix B.1.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_the_next_segment_blocks_and_the_origin_sees_no_directive() {
    let cluster = Cluster::standing_still().await;
    let first = cluster.get(PLAYLIST).await;
    let next = sequence(&first) + segments(&first);
    let ahead = format!("{PLAYLIST}?_HLS_msn={next}");

    let waiting = viewers(100, &[&cluster.edges[0], &cluster.edges[1]]).start(&ahead).await;
    until("all requests are blocked", async || {
        let mut blocked = 0;
        for edge in &cluster.edges {
            blocked += edge.count("tidegate_blocked_requests", "").await;
        }
        blocked == 100
    })
    .await;
    cluster.origin.advance(TARGET);
    for mut viewer in waiting {
        let response = viewer.rest().await;
        assert_eq!((response.status, sequence(&response)), (200, sequence(&first) + 1));
    }
    // A request for an existing or older version is answered immediately (MUST).
    for old in [0, next - 1, next] {
        let response = cluster.get(&format!("{PLAYLIST}?_HLS_msn={old}")).await;
        assert_eq!((response.status, sequence(&response)), (200, sequence(&first) + 1));
    }
    let seen = cluster.origin.seen(PLAYLIST);
    assert!(seen.iter().all(|request| request.query.is_none()), "{seen:?}");
}

/// HLS section 6.2.5.2.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_too_far_ahead_is_a_400_immediately() {
    let cluster = Cluster::standing_still().await;
    let first = cluster.get(PLAYLIST).await;
    let next = sequence(&first) + segments(&first);
    for far in [format!("_HLS_msn={}", next + 2), format!("_HLS_msn={}", u64::MAX), "_HLS_part=0".to_owned()]
    {
        let refused = cluster.get(&format!("{PLAYLIST}?{far}")).await;
        assert_eq!(refused.status, 400, "{far}");
        assert!(refused.header("proxy-status").contains("error=http_request_error"), "{far}");
    }
}

/// HLS section 6.2.5.2: requests block for at most three target durations.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_does_not_appear_is_a_503_after_three_target_durations() {
    let cluster = Cluster::standing_still().await;
    // A target duration of 0 stands for segments of less than half a second.
    push(&cluster.origin, &playlist(0, 7..10, "")).await;
    cluster.get(PUSHED).await.is(200, playlist(0, 7..10, "").as_bytes());
    let blocked = cluster.get(&format!("{PUSHED}?_HLS_msn=10")).await;
    assert_eq!(blocked.status, 503);
}

/// HLS section 6.2.5.2: with EXT-X-ENDLIST, directives are ignored.
#[tokio::test(flavor = "multi_thread")]
async fn an_ended_playlist_is_served_immediately() {
    let cluster = Cluster::standing_still().await;
    let ended = playlist(600, 7..10, "#EXT-X-ENDLIST\n");
    push(&cluster.origin, &ended).await;
    for directives in ["", "?_HLS_msn=10", "?_HLS_msn=99&_HLS_part=7"] {
        cluster.get(&format!("{PUSHED}{directives}")).await.is(200, ended.as_bytes());
    }
    assert_eq!(cluster.origin.requests(PUSHED), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_blocks_requests_for_an_unknown_stream_too() {
    let cluster = Cluster::standing_still().await;
    let first = viewer(cluster.origin.addr()).get(PLAYLIST).await;
    let next = sequence(&first) + segments(&first);
    let ahead = format!("{PLAYLIST}?_HLS_msn={next}");
    let mut waiting = viewer(cluster.edges[0].addr()).start("GET", &ahead).await;
    until("the request is blocked", async || {
        cluster.edges[0].count("tidegate_blocked_requests", "").await == 1
    })
    .await;
    cluster.origin.advance(TARGET);
    assert_eq!(sequence(&waiting.rest().await), sequence(&first) + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shield_used_as_backup_fetches_the_next_version_and_prefetches_nothing() {
    let cluster = Cluster::standing_still().await;
    let first = viewer(cluster.origin.addr()).get(PLAYLIST).await;
    let ahead = format!("{PLAYLIST}?_HLS_msn={}", sequence(&first) + segments(&first));
    let as_backup = viewer(cluster.shield.addr()).header("tidegate-backup", "?1");
    let mut waiting = as_backup.start("GET", &ahead).await;
    until("the request is blocked", async || {
        cluster.shield.count("tidegate_blocked_requests", "").await == 1
    })
    .await;
    cluster.origin.advance(TARGET);
    assert_eq!(sequence(&waiting.rest().await), sequence(&first) + 1);
    assert_eq!(cluster.shield.count("tidegate_prefetches_total", "").await, 0);

    let mut waiting = viewer(cluster.shield.addr())
        .start("GET", &format!("{PLAYLIST}?_HLS_msn={}", sequence(&first) + segments(&first) + 1))
        .await;
    until("the request is blocked", async || {
        cluster.shield.count("tidegate_blocked_requests", "").await == 1
    })
    .await;
    cluster.origin.advance(TARGET);
    assert_eq!(sequence(&waiting.rest().await), sequence(&first) + 2);
    until("the new segment is prefetched", async || {
        cluster.shield.count("tidegate_prefetches_total", "").await == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_stops_waiting_is_forgotten_immediately() {
    let cluster = Cluster::standing_still().await;
    let first = cluster.get(PLAYLIST).await;
    let ahead = format!("{PLAYLIST}?_HLS_msn={}", sequence(&first) + segments(&first));
    let waiting = viewers(20, &[&cluster.edges[0]]).start(&ahead).await;
    let blocked = async || cluster.edges[0].count("tidegate_blocked_requests", "").await;
    until("all requests are blocked", async || blocked().await == 20).await;
    drop(waiting);
    until("no request is blocked", async || blocked().await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_without_viewers_stops_following() {
    let cluster = Cluster::standing_still().await;
    push(&cluster.origin, &playlist(0, 7..10, "")).await;
    until("the edge follows the playlist", async || {
        cluster.get(PUSHED).await;
        cluster.edges[0].count("tidegate_followed_playlists", "").await == 1
    })
    .await;
    for tier in [&cluster.edges[0], &cluster.shield] {
        until("no tier follows the playlist", async || {
            tier.count("tidegate_followed_playlists", "").await == 0
        })
        .await;
    }
    // The next request does not get the last followed version.
    push(&cluster.origin, &playlist(0, 20..23, "")).await;
    assert_eq!(sequence(&cluster.get(PUSHED).await), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocking_request_for_a_playlist_that_is_not_followed_gets_its_version() {
    let cluster = Cluster::standing_still().await;
    push(&cluster.origin, &playlist(0, 7..10, "")).await;
    cluster.get(PUSHED).await;
    // The next version, and one that would be too far ahead if the edge had kept up.
    for (window, wanted) in [(8..11, 10), (20..23, 22)] {
        for tier in [&cluster.edges[0], &cluster.shield] {
            until("no tier follows the playlist", async || {
                tier.count("tidegate_followed_playlists", "").await == 0
            })
            .await;
        }
        let first = window.start;
        push(&cluster.origin, &playlist(0, window, "")).await;
        let response = cluster.get(&format!("{PUSHED}?_HLS_msn={wanted}")).await;
        assert_eq!((response.status, sequence(&response)), (200, first));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_that_varies_is_not_followed_and_still_advances() {
    let cluster = Cluster::standing_still().await;
    push(&cluster.origin, &playlist(1, 10..16, "")).await;
    cluster.origin.fault(Fault::on(PUSHED).header("vary", "x-player")).unwrap();
    let get = async |player: &str| {
        sequence(&viewer(cluster.edges[0].addr()).header("x-player", player).get(PUSHED).await)
    };
    assert_eq!((get("a").await, get("b").await), (10, 10));
    push(&cluster.origin, &playlist(1, 11..17, "")).await;
    for player in ["a", "b"] {
        until("the new version is there", async || get(player).await == 11).await;
    }
    assert_eq!(cluster.shield.count("tidegate_followed_playlists", "").await, 0);
}
