//! The primary sends invalid responses, for one stream of two or for both.

use std::time::Duration;

use tidegate_origin_stub::Fault;

use crate::ONE_AT_A_TIME;
use crate::audience::Audience;
use crate::cluster::Cluster;

/// By then the shields have left the frozen stream of the primary: it takes them one and a half target
/// durations, and a poll.
const MOVED_BY: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn only_the_frozen_stream_moves_to_the_backup() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let cluster = Cluster::plain().await;
    let audience = Audience::of(&cluster).await;

    audience.watches_until(Duration::from_secs(3)).await;
    cluster.primary.inject(Fault::on("/live/one/*").frozen()).await;
    audience.watches_until(MOVED_BY).await;
    let segments = async |stream: &str| {
        (cluster.primary.requests(stream, ".ts").await, cluster.backup.requests(stream, ".ts").await)
    };
    let (one, two) = (segments("/live/one/").await, segments("/live/two/").await);
    let earlier = cluster.hedges().await;
    audience.watches_until(Duration::from_secs(18)).await;
    let (one_later, two_later) = (segments("/live/one/").await, segments("/live/two/").await);
    // When the machine is busy, a late segment is requested from the other origin as well.
    let hedged = cluster.hedges().await - earlier;
    let moved_along = cluster.backup.requests("/live/two/", "").await;
    audience.finish_smoothly().await;

    let still = one_later.0 - one.0;
    assert!(
        still <= hedged,
        "{still} segments of the frozen stream requested from the primary, {hedged} hedges"
    );
    assert!(one_later.1 >= one.1 + 3, "the backup has the frozen stream: {one:?}, later {one_later:?}");
    assert_eq!(moved_along, 0, "the backup receives no request for the other stream");
    assert!(two_later.0 >= two.0 + 3, "the primary has the other stream: {two:?}, later {two_later:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_playlists_reach_no_viewer() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let cluster = Cluster::plain().await;
    let audience = Audience::of(&cluster).await;

    audience.watches_until(Duration::from_secs(3)).await;
    cluster.primary.inject(Fault::on("*").garbage()).await;
    audience.watches_until(Duration::from_secs(14)).await;
    cluster.primary.clear_faults().await;
    audience.finish_smoothly().await;
    assert!(cluster.backup.total().await > 0, "no request has met the garbage");
}
