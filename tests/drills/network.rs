//! The link to a shield and to the primary is closed: with a refusal, or silently.

use std::time::Duration;

use tidegate_tests::{Link, Netns, OriginProcess, Relay};

use crate::ONE_AT_A_TIME;
use crate::audience::Audience;
use crate::cluster::{Cluster, edges, shield, with_a_rack_in};

/// Failovers to the next upstream.
const FAILOVERS: &str = "tidegate_failovers_total";

#[tokio::test(flavor = "multi_thread")]
async fn refused_connections_cause_no_error_for_viewers() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let (primary, backup) = (OriginProcess::start().await, OriginProcess::start().await);
    let to_primary = Relay::to(primary.addr()).await;
    let roads = [to_primary.addr(), backup.addr()];
    let shields = [shield(0, &roads).await, shield(1, &roads).await, shield(2, &roads).await];
    let [first, second, third] = shields.each_ref().map(|shield| shield.addr());
    let to_shields = [Relay::to(first).await, Relay::to(second).await, Relay::to(third).await];
    let edges = edges(&to_shields.each_ref().map(Relay::addr)).await;
    let cluster = Cluster { primary, backup, shields, edges };
    let audience = Audience::of(&cluster).await;
    let to_busiest = &to_shields[cluster.busiest_shield().await];

    audience.watches_until(Duration::from_secs(2)).await;
    to_busiest.set(Link::Refusing).await;
    audience.watches_until(Duration::from_secs(8)).await;
    to_busiest.set(Link::Open).await;
    audience.watches_until(Duration::from_secs(10)).await;
    to_primary.set(Link::Refusing).await;
    audience.watches_until(Duration::from_secs(16)).await;
    to_primary.set(Link::Open).await;
    audience.finish_smoothly().await;
    assert!(cluster.at_shields(FAILOVERS, "").await > 0, "no shield has met the refusal");
    let [one, two] = &cluster.edges;
    let at_edges = one.count(FAILOVERS, "").await + two.count(FAILOVERS, "").await;
    assert!(at_edges > 0, "no edge has met the refusal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rack_that_is_cut_off_silently_causes_no_error_for_viewers() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let netns = Netns::new();
    let cluster = with_a_rack_in(&netns).await;
    let audience = Audience::of(&cluster).await;

    audience.watches_until(Duration::from_secs(3)).await;
    netns.cut();
    audience.watches_until(Duration::from_secs(16)).await;
    netns.reconnect();
    audience.finish_smoothly().await;
}
