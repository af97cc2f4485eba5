//! Playlists that are requested under many names: what is requested once costs one request.

use tidegate_tests::{until, viewer};

use crate::cluster::{Cluster, PUSHED, playlist, push};

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
