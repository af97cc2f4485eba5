//! The primary origin is lost, hangs, or is as good as lost.

use std::time::Duration;

use tidegate_origin_stub::Fault;

use crate::ONE_AT_A_TIME;
use crate::audience::{Audience, LARGE, STREAMS};
use crate::cluster::Cluster;

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_killed_in_mid_segment_is_replaced_from_the_next_byte_on() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut cluster = Cluster::plain().await;
    let audience = Audience::of(&cluster).await;

    audience.watches_until(Duration::from_secs(3)).await;
    cluster.primary.wait_for_mid_segment().await;
    cluster.primary.kill().await;
    audience.watches_until(Duration::from_secs(13)).await;
    cluster.primary.restart().await;
    audience.finish_smoothly().await;

    let rescued = cluster.at_shields("tidegate_rescued_bodies_total", "").await;
    assert!(rescued >= 1, "{rescued} bodies were rescued: it was not in mid-segment");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_primary_is_replaced() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let cluster = Cluster::plain().await;
    let audience = Audience::of(&cluster).await;

    audience.watches_until(Duration::from_secs(3)).await;
    cluster.primary.suspend().await;
    audience.watches_until(Duration::from_secs(17)).await;
    cluster.primary.resume().await;
    audience.finish_smoothly().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_fails_a_third_of_its_requests_causes_no_error_for_viewers() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let cluster = misbehaving(Fault::on("*").status(500).percent(30), &STREAMS).await;
    assert!(cluster.primary.responses(500).await > 5, "it has hardly ever failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_ten_seconds_late_for_a_tenth_of_its_requests_stalls_no_viewer() {
    let _alone = ONE_AT_A_TIME.lock().await;
    misbehaving(Fault::on("*").latency(Duration::from_secs(10)).percent(10), &STREAMS).await;
}

/// At this rate a segment of the small rendition takes hardly longer than its duration; one of the large
/// takes three times as long.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_sends_20_kib_per_second_stalls_no_viewer() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let cluster = misbehaving(Fault::on("*").bytes_per_second(20 * 1024), &LARGE).await;
    assert!(cluster.backup.requests("/live/", ".ts").await > 0, "a slow origin is replaced by the backup");
}

/// All viewers play smoothly although the primary misbehaves from the third second on.
async fn misbehaving(fault: Fault, paths: &[&str; 2]) -> Cluster {
    let cluster = Cluster::plain().await;
    let audience = Audience::watching(&cluster, paths).await;
    audience.watches_until(Duration::from_secs(3)).await;
    let before = cluster.primary.total().await;
    cluster.primary.inject(fault).await;
    audience.finish_smoothly().await;
    assert!(cluster.primary.total().await > before, "no request has met the fault");
    cluster
}
