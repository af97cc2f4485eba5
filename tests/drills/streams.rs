//! What the primary sends is no good, for one stream of two or for both.

use std::time::Duration;

use tidegate_origin_stub::Fault;

use crate::ONE_AT_A_TIME;
use crate::audience::Audience;
use crate::cluster::Cluster;

/// By then the shields have left what had frozen: it takes them one and a half target durations, and a poll.
const LEFT_BY: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_freezes_moves_to_the_backup_alone() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let cluster = Cluster::plain().await;
    let audience = Audience::of(&cluster).await;

    audience.watches_until(Duration::from_secs(3)).await;
    cluster.primary.is_told(Fault::on("/live/one/*").frozen()).await;
    audience.watches_until(LEFT_BY).await;
    let segments = async |stream: &str| {
        (cluster.primary.asked(stream, ".ts").await, cluster.backup.asked(stream, ".ts").await)
    };
    let (one, two) = (segments("/live/one/").await, segments("/live/two/").await);
    audience.watches_until(Duration::from_secs(18)).await;
    let (one_later, two_later) = (segments("/live/one/").await, segments("/live/two/").await);
    let moved_along = cluster.backup.asked("/live/two/", "").await;
    audience.stays_content().await;

    assert_eq!(one_later.0, one.0, "segments of the frozen one that the primary is still asked for");
    assert!(one_later.1 >= one.1 + 3, "the backup has the frozen one: {one:?}, later {one_later:?}");
    assert_eq!(moved_along, 0, "nobody asks the backup for the other stream");
    assert!(two_later.0 >= two.0 + 3, "the primary has the other one: {two:?}, later {two_later:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn playlists_that_are_garbage_are_shown_to_nobody() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let cluster = Cluster::plain().await;
    let audience = Audience::of(&cluster).await;

    audience.watches_until(Duration::from_secs(3)).await;
    cluster.primary.is_told(Fault::on("*").garbage()).await;
    audience.watches_until(Duration::from_secs(14)).await;
    cluster.primary.behaves().await;
    audience.stays_content().await;
    assert!(cluster.backup.total().await > 0, "nobody has met the garbage");
}
