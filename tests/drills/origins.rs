//! The primary origin is lost, hangs, or is only as good as not there.

use std::time::Duration;

use tidegate_origin_stub::Fault;

use crate::ONE_AT_A_TIME;
use crate::audience::{Audience, LARGE, STREAMS};
use crate::cluster::Cluster;

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_killed_in_mid_segment_is_replaced_from_the_next_byte_on() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut cluster = Cluster::plain().await;
    let audience = Audience::of(&cluster).await;

    audience.watches_until(Duration::from_secs(3)).await;
    cluster.primary.is_in_mid_segment().await;
    cluster.primary.dies().await;
    audience.watches_until(Duration::from_secs(13)).await;
    cluster.primary.returns().await;
    audience.stays_content().await;

    let rescued = cluster.at_shields("tidegate_rescued_bodies_total", "").await;
    assert!(rescued >= 1, "{rescued} bodies were rescued: it was not in mid-segment");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_hangs_is_left_alone() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let cluster = Cluster::plain().await;
    let audience = Audience::of(&cluster).await;

    audience.watches_until(Duration::from_secs(3)).await;
    cluster.primary.hangs().await;
    audience.watches_until(Duration::from_secs(17)).await;
    cluster.primary.goes_on().await;
    audience.stays_content().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_fails_for_a_third_of_requests_costs_no_viewer_anything() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let cluster = misbehaving(Fault::on("*").status(500).percent(30), &STREAMS).await;
    assert!(cluster.primary.answered(500).await > 5, "it has failed hardly ever");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_answers_a_tenth_of_requests_ten_seconds_late_costs_no_viewer_anything() {
    let _alone = ONE_AT_A_TIME.lock().await;
    misbehaving(Fault::on("*").latency(Duration::from_secs(10)).percent(10), &STREAMS).await;
}

/// A segment of the small rendition takes hardly longer at this pace than it lasts; one of the large takes three times as
/// long.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_sends_20_kib_per_second_costs_no_viewer_anything() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let cluster = misbehaving(Fault::on("*").bytes_per_second(20 * 1024), &LARGE).await;
    assert!(cluster.backup.asked("/live/", ".ts").await > 0, "whoever is too slow is left for the backup");
}

/// Everybody is content although the primary misbehaves from the third second on.
async fn misbehaving(fault: Fault, paths: &[&str; 2]) -> Cluster {
    let cluster = Cluster::plain().await;
    let audience = Audience::watching(&cluster, paths).await;
    audience.watches_until(Duration::from_secs(3)).await;
    let before = cluster.primary.total().await;
    cluster.primary.is_told(fault).await;
    audience.stays_content().await;
    assert!(cluster.primary.total().await > before, "nobody has met the fault");
    cluster
}
