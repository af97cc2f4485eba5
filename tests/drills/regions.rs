//! An edge asks the region that is near by what it measures, spills when that one is hurt, and comes back.
//!
//! In the order of the configuration, the first region is the one that is far away.

use std::time::Duration;

use tidegate_tests::{OriginProcess, Relay, Road};

use crate::ONE_AT_A_TIME;
use crate::audience::{Audience, TARGET};
use crate::cluster::{Cluster, edges, shield};

/// One way to the shields of the first region, which are two, and to that of the second.
const FAR: Duration = Duration::from_millis(80);
const NEAR: Duration = Duration::from_millis(5);

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_asks_the_region_that_is_near_spills_when_it_is_hurt_and_comes_back() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let (primary, backup) = (OriginProcess::start().await, OriginProcess::start().await);
    let roads = [primary.addr(), backup.addr()];
    let shields = [shield(0, &roads).await, shield(1, &roads).await, shield(2, &roads).await];
    let [first, second, third] = shields.each_ref().map(|shield| shield.addr());
    let to_shields = [
        Relay::of_length(first, FAR).await,
        Relay::of_length(second, FAR).await,
        Relay::of_length(third, NEAR).await,
    ];
    let edges = edges(&to_shields.each_ref().map(Relay::addr)).await;
    let cluster = Cluster { primary, backup, shields, edges };
    let audience = Audience::staying(&cluster, Duration::from_secs(39), TARGET).await;

    // Three probes of each, and a difference that lasts five seconds.
    audience.watches_until(Duration::from_secs(13)).await;
    let chosen = near_share(&cluster, &audience, 18).await;
    to_shields[2].is_now(Road::Refused).await;
    audience.watches_until(Duration::from_secs(20)).await;
    let hurt = near_share(&cluster, &audience, 25).await;
    to_shields[2].is_now(Road::Open).await;
    audience.watches_until(Duration::from_secs(33)).await;
    let back = near_share(&cluster, &audience, 38).await;
    audience.stays_content().await;

    // What is late is asked for at another one as well.
    assert!(chosen > 0.8, "the near region has {chosen:.2} of the requests");
    assert!(hurt < 0.1, "hurt, it has {hurt:.2} of them");
    assert!(back > 0.5, "when it is well again, it has {back:.2} of them");
}

/// The near region's share of what the shields are asked from now until a second of the drill.
#[expect(clippy::cast_precision_loss, reason = "counts of a drill are small")]
async fn near_share(cluster: &Cluster, audience: &Audience, until: u64) -> f64 {
    let asked = async || {
        let mut asked = [0; 3];
        for (count, shield) in asked.iter_mut().zip(&cluster.shields) {
            // Probes come to all of them alike.
            let probes = shield.count("tidegate_requests_total", "fate=\"options\"").await;
            *count = shield.count("tidegate_requests_total", "").await - probes;
        }
        asked
    };
    let before = asked().await;
    audience.watches_until(Duration::from_secs(until)).await;
    let after = asked().await;
    let [first, second, third] = [0, 1, 2].map(|index| (after[index] - before[index]) as f64);
    third / (first + second + third).max(1.0)
}
