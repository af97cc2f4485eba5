//! The name of an origin changes to another server during playback, and the old server stops.

use std::time::Duration;

use tidegate_tests::{OriginProcess, SEPARATE_LOOPBACK, resolver};

use crate::ONE_AT_A_TIME;
use crate::audience::Audience;
use crate::cluster::{Cluster, edges, shield_before};

const SERVICE: &str = "_hls._tcp.drill.test";
const HOST: &str = "origin.drill.test";

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_is_followed_to_the_new_address_of_its_name() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let (old, new) = (OriginProcess::start().await, OriginProcess::start().await);
    let names = resolver().await;
    let means = |origin: &OriginProcess| {
        names.host(HOST, 1, &[&origin.addr().ip().to_string()]);
        names.service(SERVICE, 1, &[(0, 1, origin.addr().port(), HOST)]);
    };
    means(&old);
    let site =
        format!("[upstream]\ndns = [\"{}\"]\n[[site]]\norigins = [\"srv+http://{SERVICE}\"]\n", names.addr());
    let shield = async |number| shield_before(SEPARATE_LOOPBACK, &[], number, &site).await;
    let shields = [shield(0).await, shield(1).await, shield(2).await];
    let edges = edges(&shields.each_ref().map(|shield| shield.addr())).await;
    let mut cluster = Cluster { primary: old, backup: new, shields, edges };
    let audience = Audience::of(&cluster).await;

    audience.watches_until(Duration::from_secs(5)).await;
    means(&cluster.backup);
    audience.watches_until(Duration::from_secs(10)).await;
    let before = cluster.backup.requests("/live/", ".ts").await;
    cluster.primary.kill().await;
    audience.finish_smoothly().await;

    assert!(before > 0, "the new origin received requests before the old one stopped");
    assert_eq!(cluster.at_shields("tidegate_failovers_total", "reason=\"connect\"").await, 0);
}
