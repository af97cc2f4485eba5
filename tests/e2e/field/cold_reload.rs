//! Players whose first request to a tier is a blocking reload: after a restart, or when they move over.

use tidegate_tests::{until, viewers};

use crate::cluster::{Cluster, PUSHED, playlist, push, sequence};

/// HLS section 6.2.5.2: what is too far ahead of an old version is not too far ahead of the newest.
#[tokio::test(flavor = "multi_thread")]
async fn players_that_move_to_a_tier_with_an_old_version_get_the_version_that_they_request() {
    let cluster = Cluster::standing_still().await;
    let edge = &cluster.edges[0];
    push(&cluster.origin, &playlist(1, 7..10, "")).await;
    // It is followed, and then not any more.
    until("it is followed", async || {
        cluster.get(PUSHED).await;
        edge.count("tidegate_followed_playlists", "").await == 1
    })
    .await;
    for tier in [edge, &cluster.shield] {
        until("no tier follows it", async || tier.count("tidegate_followed_playlists", "").await == 0).await;
    }
    push(&cluster.origin, &playlist(1, 12..15, "")).await;

    let waiting = viewers(50, &[edge]).start(&format!("{PUSHED}?_HLS_msn=15")).await;
    until("all wait", async || edge.count("tidegate_blocked_requests", "").await == 50).await;
    push(&cluster.origin, &playlist(1, 13..16, "")).await;
    for mut viewer in waiting {
        let response = viewer.rest().await;
        assert_eq!((response.status, sequence(&response)), (200, 13), "{}", response.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_players_that_block_at_a_cold_edge_get_the_next_version() {
    let cluster = Cluster::standing_still().await;
    let edge = &cluster.edges[0];
    push(&cluster.origin, &playlist(2, 7..10, "")).await;
    let waiting = viewers(50, &[edge]).start(&format!("{PUSHED}?_HLS_msn=10")).await;
    until("all wait", async || edge.count("tidegate_blocked_requests", "").await == 50).await;
    push(&cluster.origin, &playlist(2, 8..11, "")).await;
    for mut viewer in waiting {
        let response = viewer.rest().await;
        assert_eq!((response.status, sequence(&response)), (200, 8), "{}", response.text());
    }
}
