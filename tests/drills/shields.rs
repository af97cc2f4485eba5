//! A shield is lost, and returns.

use std::time::Duration;

use tidegate_origin_stub::Fault;
use tokio::time::Instant;

use crate::ONE_AT_A_TIME;
use crate::audience::{Audience, TARGET};
use crate::cluster::Cluster;
use crate::meter::Meter;

/// The length of a moment, where requests arrive in the rhythm of segments.
const MOMENT: Duration = TARGET.saturating_mul(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_and_restarted_shield_is_noticed_neither_by_viewers_nor_much_by_the_origins() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut cluster = Cluster::plain().await;
    let audience = Audience::staying(&cluster, Duration::from_secs(26), TARGET).await;
    let meter = Meter::at_origins_of(&cluster);
    let busiest = cluster.busiest_shield().await;
    let begin = Instant::now();

    audience.watches_until(Duration::from_secs(8)).await;
    let killed = Instant::now();
    cluster.shields[busiest].kill().await;
    audience.watches_until(Duration::from_secs(15)).await;
    let returned = Instant::now();
    cluster.shields[busiest].restart().await;
    audience.finish_smoothly().await;

    let normal = meter.rate(begin, killed);
    let lost = meter.peak(killed, returned, MOMENT);
    let back = meter.peak(returned, Instant::now(), MOMENT);
    assert!(
        lost.max(back) < 2.0 * normal,
        "the origins received {lost:.1} requests per second when it was lost, {back:.1} when it was back, and \
         {normal:.1} times before"
    );
    let requests = cluster.shields[busiest].count("tidegate_requests_total", "").await;
    assert!(requests > 0, "the returned shield receives requests again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_shield_is_replaced() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let cluster = Cluster::plain().await;
    let audience = Audience::of(&cluster).await;
    let busiest = cluster.busiest_shield().await;

    audience.watches_until(Duration::from_secs(3)).await;
    cluster.shields[busiest].suspend().await;
    audience.watches_until(Duration::from_secs(17)).await;
    cluster.shields[busiest].resume().await;
    audience.finish_smoothly().await;
}

/// After a restart of the encoder, each shield joins the new epoch at its own moment, and one that starts
/// later has the encoder's own numbers. No viewer may see which shield responds.
#[tokio::test(flavor = "multi_thread")]
async fn shields_that_are_lost_after_the_encoder_restarted_take_no_viewer_back() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut cluster = Cluster::plain().await;
    let audience = Audience::staying(&cluster, Duration::from_secs(40), TARGET).await;
    let busiest = cluster.busiest_shield().await;

    audience.watches_until(Duration::from_secs(5)).await;
    for origin in [&cluster.primary, &cluster.backup] {
        origin.inject(Fault::on("/live/*").sequence_reset()).await;
    }
    audience.watches_until(Duration::from_secs(9)).await;
    cluster.shields[busiest].kill().await;
    audience.watches_until(Duration::from_secs(15)).await;
    cluster.shields[busiest].restart().await;
    audience.watches_until(Duration::from_secs(22)).await;
    let next = cluster.busiest_shield().await;
    cluster.shields[next].kill().await;
    audience.watches_until(Duration::from_secs(28)).await;
    cluster.shields[next].restart().await;
    audience.finish_smoothly().await;
}
