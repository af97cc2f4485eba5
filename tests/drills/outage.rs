//! Both origins are down. No new media can arrive; cached objects are still served, and when the origins
//! return there is no storm of requests.

use std::time::Duration;

use tidegate_tests::Swarm;
use tokio::time::Instant;

use crate::ONE_AT_A_TIME;
use crate::audience::{Audience, STREAMS};
use crate::cluster::Cluster;

/// The middle between two segments: one has just been fetched when the origins stop.
const INTO_SEGMENT: std::ops::Range<u128> = 900..1100;
const OUTAGE: Duration = Duration::from_secs(15);
const PERIOD: Duration = Duration::from_secs(34);
const LAST_LOOK: Duration = Duration::from_secs(31);
/// The viewers that arrive while both origins are down; they begin with the cached objects.
const LATECOMERS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn while_both_origins_are_down_cached_objects_are_served_and_no_storm_follows() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut cluster = Cluster::plain().await;
    let audience = Audience::staying(&cluster, PERIOD, OUTAGE + Duration::from_secs(6)).await;
    let edges = cluster.edges.each_ref().map(|edge| edge.addr());

    between_segments().await;
    let begin = Instant::now();
    let before = cluster.at_shields(UPSTREAM, "").await;
    audience.watches_until(Duration::from_secs(6)).await;
    // Whole segments are counted; otherwise the rate would depend on where the count begins within one.
    between_segments().await;
    let (down, at_down) = (Instant::now(), cluster.at_shields(UPSTREAM, "").await);
    tokio::join!(cluster.primary.kill(), cluster.backup.kill());
    audience.watches_until(Duration::from_secs(13)).await;
    let latecomers = Swarm::start(LATECOMERS, &edges, &STREAMS);
    audience.watches_until(down - begin + OUTAGE).await;
    let versions = audience.so_far().versions;
    let (up, at_up) = (Instant::now(), cluster.at_shields(UPSTREAM, "").await);
    tokio::join!(cluster.primary.restart(), cluster.backup.restart());
    audience.watches_until(LAST_LOOK).await;
    between_segments().await;
    let (end, at_end) = (Instant::now(), cluster.at_shields(UPSTREAM, "").await);

    for (path, seen) in audience.so_far().versions {
        assert!(seen.len() > versions[&path].len() + 2, "{path} advances again: {seen:?}");
    }
    let late = latecomers.stop().await;
    assert_eq!((late.errors(), late.playing.len()), (0, LATECOMERS), "{late}");
    audience.finish().await;
    let normal = per_second(at_down - before, down - begin);
    let during = per_second(at_up - at_down, up - down);
    assert!(during <= 1.2 * normal, "{during:.1} requests upstream per second, and {normal:.1} before");
    // Only what was missed is requested when they return: two requests are usual for each segment, and of a
    // playlist's versions only the newest exists. A stream whose own shield has the newest version later than
    // another shield uses the other one for 10 seconds, while its own still follows it.
    let missed = 0.5 * normal * (up - down).as_secs_f64();
    let afterwards = per_second(at_end - at_up, end - up) - missed / (end - up).as_secs_f64();
    assert!(
        afterwards <= 1.2 * AT_TWO_SHIELDS * normal,
        "{afterwards:.1} per second after their return, and {normal:.1} before"
    );
}

/// The most shields that request a stream in the seconds after the return.
const AT_TWO_SHIELDS: f64 = 2.0;

/// Requests that a tier has sent upstream, whatever their outcome.
const UPSTREAM: &str = "tidegate_origin_requests_total";

#[expect(clippy::cast_precision_loss, reason = "counts of a drill are small")]
fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// The streams follow the wall clock: a segment appears with every even second.
async fn between_segments() {
    tidegate_tests::until("the middle of a segment", async || {
        let now = std::time::UNIX_EPOCH.elapsed().expect("a clock that is set");
        INTO_SEGMENT.contains(&(now.as_millis() % 2000))
    })
    .await;
}
