//! An edge prefers the nearest region by its own measurements, spills over when that region fails, and
//! returns.
//!
//! In the order of the configuration, the first region is the far one.

use std::time::Duration;

use tidegate_tests::{Link, OriginProcess, Relay};

use crate::ONE_AT_A_TIME;
use crate::audience::{Audience, TARGET};
use crate::cluster::{Cluster, edges, shield};

/// One-way delay to the shields of the first region, which has two, and to that of the second.
const FAR: Duration = Duration::from_millis(80);
const NEAR: Duration = Duration::from_millis(5);

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_prefers_the_near_region_spills_over_when_it_fails_and_returns() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let (primary, backup) = (OriginProcess::start().await, OriginProcess::start().await);
    let roads = [primary.addr(), backup.addr()];
    let shields = [shield(0, &roads).await, shield(1, &roads).await, shield(2, &roads).await];
    let [first, second, third] = shields.each_ref().map(|shield| shield.addr());
    let to_shields = [
        Relay::with_delay(first, FAR).await,
        Relay::with_delay(second, FAR).await,
        Relay::with_delay(third, NEAR).await,
    ];
    let edges = edges(&to_shields.each_ref().map(Relay::addr)).await;
    let cluster = Cluster { primary, backup, shields, edges };
    let audience = Audience::staying(&cluster, Duration::from_secs(39), TARGET).await;

    // Three probes of each, and a difference that lasts five seconds.
    audience.watches_until(Duration::from_secs(13)).await;
    let chosen = near_share(&cluster, &audience, 18).await;
    to_shields[2].set(Link::Refusing).await;
    audience.watches_until(Duration::from_secs(20)).await;
    let failed = near_share(&cluster, &audience, 25).await;
    to_shields[2].set(Link::Open).await;
    audience.watches_until(Duration::from_secs(33)).await;
    let back = near_share(&cluster, &audience, 38).await;
    audience.finish_smoothly().await;

    // A late response is hedged at another shield.
    assert!(chosen > 0.8, "the near region has {chosen:.2} of the requests");
    assert!(failed < 0.1, "after its failure, it has {failed:.2} of them");
    assert!(back > 0.5, "after its recovery, it has {back:.2} of them");
}

/// The near region's share of the shields' requests from now until a second of the drill.
#[expect(clippy::cast_precision_loss, reason = "counts of a drill are small")]
async fn near_share(cluster: &Cluster, audience: &Audience, until: u64) -> f64 {
    let requests = async || {
        let mut requests = [0; 3];
        for (count, shield) in requests.iter_mut().zip(&cluster.shields) {
            // Probes reach all of them alike.
            let probes = shield.count("tidegate_requests_total", "fate=\"options\"").await;
            *count = shield.count("tidegate_requests_total", "").await - probes;
        }
        requests
    };
    let before = requests().await;
    audience.watches_until(Duration::from_secs(until)).await;
    let after = requests().await;
    let [first, second, third] = [0, 1, 2].map(|index| (after[index] - before[index]) as f64);
    third / (first + second + third).max(1.0)
}
