//! No viewer gets an older playlist than before, a frozen upstream counts as down, and a restarted stream is
//! not mixed with the old one.

use tidegate_origin_stub::Fault;
use tidegate_tests::{Origin, Running, edge, origin, shield, until, viewer};

use crate::cluster::{Cluster, PUSHED, playlist, push, segments, sequence};
use crate::low_latency::{LOW_LATENCY, PART, begin_segment};

/// An edge and a shield in front of two origins.
struct Pair {
    primary: Origin,
    backup: Origin,
    shield: Running,
    edge: Running,
}

impl Pair {
    /// Both origins have this playlist.
    async fn with(playlist: &str) -> Self {
        let (primary, backup) = (origin().run().await, origin().run().await);
        push(&primary, playlist).await;
        push(&backup, playlist).await;
        let shield = shield().origin(&primary).origin(&backup).run().await;
        Self { edge: edge().shield(&shield).run().await, primary, backup, shield }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_never_goes_back() {
    let cluster = Cluster::standing_still().await;
    push(&cluster.origin, &playlist(1, 10..16, "")).await;
    assert_eq!(sequence(&cluster.get(PUSHED).await), 10);
    // An upstream three segments behind, as a backup may be after a failover.
    push(&cluster.origin, &playlist(1, 7..13, "")).await;
    until("the older playlist was refused", async || {
        assert_eq!(sequence(&cluster.get(PUSHED).await), 10);
        cluster.shield.count("tidegate_backward_playlists_total", "").await > 0
    })
    .await;
    let at_shield = viewer(cluster.shield.addr()).get(PUSHED).await;
    assert!(
        at_shield.header("cache-status").contains("detail=playlist_backward"),
        "and Cache-Status reports it"
    );
    push(&cluster.origin, &playlist(1, 11..17, "")).await;
    cluster.reaches(PUSHED, 11).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_without_recent_viewers_does_not_go_back_either() {
    let cluster = Cluster::standing_still().await;
    push(&cluster.origin, &playlist(1, 10..16, "")).await;
    for tier in [&cluster.edges[0], &cluster.shield] {
        until("it is followed", async || {
            assert_eq!(sequence(&cluster.get(PUSHED).await), 10);
            tier.count("tidegate_followed_playlists", "").await == 1
        })
        .await;
    }
    for tier in [&cluster.edges[0], &cluster.shield] {
        until("the playlist sleeps", async || tier.count("tidegate_sleeping_playlists", "").await == 1).await;
        assert_eq!(tier.count("tidegate_known_playlists", "").await, 1);
    }
    push(&cluster.origin, &playlist(1, 7..13, "")).await;
    assert_eq!(sequence(&cluster.get(PUSHED).await), 10);
    assert_eq!(cluster.shield.count("tidegate_sleeping_playlists", "").await, 0);
    assert!(cluster.shield.count("tidegate_backward_playlists_total", "").await > 0);
    push(&cluster.origin, &playlist(1, 11..17, "")).await;
    cluster.reaches(PUSHED, 11).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lagging_origin_is_skipped_for_a_current_one() {
    let Pair { primary, backup, shield, edge } = Pair::with(&playlist(1, 10..16, "")).await;
    let get = async || sequence(&viewer(edge.addr()).get(PUSHED).await);
    assert_eq!(get().await, 10);

    push(&primary, &playlist(1, 8..14, "")).await;
    push(&backup, &playlist(1, 11..17, "")).await;
    until("the backup's version is there", async || get().await == 11).await;
    assert!(shield.count("tidegate_failovers_total", "reason=\"backward\"").await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_origin_is_skipped_for_one_that_advances() {
    let Pair { backup, shield, edge, .. } = &Pair::with(&playlist(1, 10..16, "")).await;
    let ask = async || viewer(edge.addr()).get(PUSHED).await;
    let status = async || ask().await.header("cache-status").to_owned();
    assert_eq!(sequence(&ask().await), 10);
    assert!(!status().await.contains("detail"));

    until("Cache-Status reports it", async || status().await.contains("detail=playlist_frozen")).await;
    push(backup, &playlist(1, 11..17, "")).await;
    until("the backup's version is there", async || sequence(&ask().await) == 11).await;
    assert!(shield.count("tidegate_failovers_total", "reason=\"frozen\"").await > 0);
    assert!(!status().await.contains("detail"));
}

/// HLS section 6.2.5.2: for a restarted origin, the requested version is too far ahead.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_low_latency_stream_is_joined() {
    let cluster = Cluster::standing_still().await;
    let growing = begin_segment(&cluster.origin);
    cluster.origin.advance(PART);
    until("viewers have a part of the segment", async || {
        let list = cluster.get(LOW_LATENCY).await;
        assert_eq!(sequence(&list) + segments(&list), growing);
        list.text().contains(&format!("URI=\"{growing}.0.m4s\",INDEPENDENT"))
    })
    .await;
    cluster.origin.fault(Fault::on(LOW_LATENCY).sequence_reset()).unwrap();
    for _ in 0..4 {
        cluster.origin.advance(PART);
    }
    // Viewers have parts of the segment in progress, which will never be complete: they see a gap.
    until("the restart is joined", async || {
        let response = cluster.get(LOW_LATENCY).await;
        assert_eq!(response.status, 200, "{}", response.text());
        let end = sequence(&response) + segments(&response);
        assert!(end >= growing, "{}", response.text());
        end > growing
            && response.text().contains("#EXT-X-GAP\n")
            && response.text().contains("?tidegate_run=")
    })
    .await;
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

    // The primary is frozen, and the backup advances under its own names.
    for first in 11..13 {
        push(&backup, &named("-b.ts", first..first + 6)).await;
        until("the backup's version is there", async || {
            text().await.contains(&format!("SEQUENCE:{first}\n"))
        })
        .await;
        assert!(!text().await.contains("-a.ts"), "no viewer is sent back to the primary");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_origin_is_better_than_none() {
    let (primary, backup) = (origin().run().await, origin().run().await);
    backup.fault(Fault::on("*").down()).unwrap();
    push(&primary, &playlist(0, 10..16, "")).await;
    let shield = shield().origin(&primary).origin(&backup).run().await;
    let get = async || viewer(shield.addr()).get(PUSHED).await;
    assert_eq!(sequence(&get().await), 10);
    let revalidated = async || shield.count("tidegate_fills_total", "outcome=\"revalidated\"").await;
    until("the playlist is frozen", async || {
        assert_eq!(get().await.status, 200);
        shield.count("tidegate_frozen_playlists_total", "").await > 0
    })
    .await;
    let before = revalidated().await;
    until("the playlist is revalidated all the same", async || {
        assert_eq!(get().await.status, 200);
        revalidated().await > before + 1
    })
    .await;
}
