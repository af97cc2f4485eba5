//! What viewers' browsers are told of the lifetime of a live playlist.

use tidegate_origin_stub::Fault;
use tidegate_tests::viewer;

use crate::cluster::{Cluster, PUSHED, playlist, push};

const DAY: &str = "public,max-age=86400,stale-while-revalidate=600";
const EXPIRES: &str = "Fri, 01 Jan 2038 00:00:00 GMT";

/// HLS appendix B.1: half a target duration.
#[tokio::test(flavor = "multi_thread")]
async fn a_live_playlist_is_not_kept_in_a_browser_for_a_day() {
    let cluster = Cluster::standing_still().await;
    cluster.origin.fault(Fault::on(PUSHED).header("cache-control", DAY).header("expires", EXPIRES)).unwrap();
    push(&cluster.origin, &playlist(4, 7..10, "")).await;
    // A miss and two hits: the slow path, and the fast path.
    for _ in 0..3 {
        let response = cluster.get(PUSHED).await;
        assert_eq!(response.header("cache-control"), "public, max-age=2");
        assert_eq!(response.header("expires"), "");
    }
    let at_shield = viewer(cluster.shield.addr()).get(PUSHED).await;
    assert!(
        at_shield.header("cache-control").contains("max-age=86400"),
        "the tiers see what the origin sent"
    );
}

/// A recording does not change.
#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_that_has_ended_keeps_its_lifetime() {
    let cluster = Cluster::standing_still().await;
    cluster.origin.fault(Fault::on(PUSHED).header("cache-control", DAY)).unwrap();
    push(&cluster.origin, &playlist(4, 7..10, "#EXT-X-ENDLIST\n")).await;
    assert_eq!(cluster.get(PUSHED).await.header("cache-control"), DAY);
}
