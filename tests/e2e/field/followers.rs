//! Playlists that are requested under many names: what is requested once costs one request.

use tidegate_tests::{Response, edge, origin, shield, until, viewer};

use crate::cluster::{Cluster, PUSHED, playlist, push, sequence};

/// Players that add a fresh parameter to every reload.
#[tokio::test(flavor = "multi_thread")]
async fn forty_names_that_are_requested_once_make_forty_origin_requests() {
    let cluster = Cluster::standing_still().await;
    push(&cluster.origin, &playlist(1, 7..10, "")).await;
    for name in 0..40 {
        let response = cluster.get(&format!("{PUSHED}?cachebust={name}")).await;
        assert_eq!(response.status, 200);
    }
    for tier in [&cluster.edges[0], &cluster.shield] {
        tier.fills_finished().await;
        assert_eq!(tier.count("tidegate_followed_playlists", "").await, 0);
        assert_eq!(tier.count("tidegate_playlist_polls_total", "").await, 0);
        assert_eq!(tier.count("tidegate_prefetches_total", "").await, 0);
    }
    assert_eq!(cluster.origin.requests(PUSHED), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_request_after_a_version_has_expired_starts_the_follower() {
    let cluster = Cluster::standing_still().await;
    push(&cluster.origin, &playlist(1, 7..10, "")).await;
    cluster.get(PUSHED).await;
    assert_eq!(cluster.edges[0].count("tidegate_followed_playlists", "").await, 0);
    until("both tiers follow it", async || {
        cluster.get(PUSHED).await;
        let edge = cluster.edges[0].count("tidegate_followed_playlists", "").await;
        edge == 1 && cluster.shield.count("tidegate_followed_playlists", "").await == 1
    })
    .await;
}

/// A request that blocks is served without a follower, too, if there may be no other one.
#[tokio::test(flavor = "multi_thread")]
async fn the_followers_of_one_path_are_limited() {
    let cluster = Cluster::standing_still().await;
    push(&cluster.origin, &playlist(2, 7..10, "")).await;
    let mut waiting = Vec::new();
    for name in 0..12 {
        let target = format!("{PUSHED}?name={name}");
        assert_eq!(cluster.get(&target).await.status, 200);
        let blocking = format!("{target}&_HLS_msn=10");
        waiting.push(viewer(cluster.edges[0].addr()).start("GET", &blocking).await);
    }
    let edge = &cluster.edges[0];
    until("four are refused", async || edge.count("tidegate_followers_refused_total", "").await >= 4).await;
    assert_eq!(edge.count("tidegate_followed_playlists", "").await, 8);
    push(&cluster.origin, &playlist(2, 8..11, "")).await;
    for mut viewer in waiting {
        assert_eq!(viewer.rest().await.status, 200);
    }
}

/// Each of them would ask again and again, each time that the stored version expires.
#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_request_beyond_the_limit_costs_one_origin_request_at_most() {
    let origin = origin().run().await;
    origin.stop_clock();
    let shield = shield().origin(&origin).with(|config| config.site[0].followers_max = 0).run().await;
    let edge = edge().shield(&shield).with(|config| config.site[0].followers_max = 0).run().await;
    push(&origin, &playlist(1, 7..10, "")).await;
    for name in 0..6 {
        let target = format!("{PUSHED}?name={name}");
        assert_eq!(viewer(edge.addr()).get(&target).await.status, 200);
    }
    assert_eq!(origin.requests(PUSHED), 6);
    // No version of the playlist ever satisfies them.
    let blocked =
        async |name: usize| viewer(edge.addr()).get(&format!("{PUSHED}?name={name}&_HLS_msn=10")).await;
    let responses = tokio::join!(blocked(0), blocked(1), blocked(2), blocked(3), blocked(4), blocked(5));
    for response in <[Response; 6]>::from(responses) {
        assert_eq!((response.status, sequence(&response)), (200, 7));
    }
    assert!(origin.requests(PUSHED) <= 12, "{}", origin.requests(PUSHED));
    // The first request for a playlist, too.
    for name in 6..12 {
        assert_eq!(blocked(name).await.status, 200);
    }
    assert!(origin.requests(PUSHED) <= 18, "{}", origin.requests(PUSHED));
    assert_eq!(edge.count("tidegate_followed_playlists", "").await, 0);
}
