//! Who watches a drill: two hundred viewers of two streams at two edges, and Chromium with hls.js.

use std::time::Duration;

use tidegate_tests::Swarm;
use tidegate_tests::chromium::{Playing, Seen, Watch};
use tidegate_tests::swarm::Report;
use tokio::time::{Instant, sleep_until};

use crate::cluster::Cluster;

/// The two streams, in a small rendition, so that two hundred viewers are no load.
pub(crate) const STREAMS: [&str; 2] = ["/live/one/ts/144p/index.m3u8", "/live/two/ts/144p/index.m3u8"];
/// The same in the largest rendition: about 80 KiB per second.
pub(crate) const LARGE: [&str; 2] = ["/live/one/ts/360p/index.m3u8", "/live/two/ts/360p/index.m3u8"];
/// Of both streams.
pub(crate) const TARGET: Duration = Duration::from_secs(2);
/// How long a drill lasts, unless it has more to show.
pub(crate) const PERIOD: Duration = Duration::from_secs(20);

const VIEWERS: usize = 200;

/// Everybody who watches.
pub(crate) struct Audience {
    swarm: Swarm,
    browser: Playing,
    began: Instant,
    stall_max: Duration,
}

impl Audience {
    /// Lets everybody in for the usual time, and waits until everybody watches.
    pub(crate) async fn of(cluster: &Cluster) -> Self {
        Self::enters(cluster, &STREAMS, PERIOD, TARGET).await
    }

    /// The same for other renditions.
    pub(crate) async fn watching(cluster: &Cluster, paths: &[&str; 2]) -> Self {
        Self::enters(cluster, paths, PERIOD, TARGET).await
    }

    /// The same for a time, and with pictures that may stand still for so long.
    pub(crate) async fn staying(cluster: &Cluster, period: Duration, stall_max: Duration) -> Self {
        Self::enters(cluster, &STREAMS, period, stall_max).await
    }

    async fn enters(cluster: &Cluster, paths: &[&str; 2], period: Duration, stall_max: Duration) -> Self {
        let edges = cluster.edges.each_ref().map(|edge| edge.addr());
        let url = format!("http://{}{}", edges[0], paths[0]);
        let mut browser = Playing::begin(&url, Watch { stall_max, ..Watch::lasting(period) });
        let swarm = Swarm::enter(VIEWERS, &edges, paths);
        swarm.plays().await;
        browser.began().await;
        Self { swarm, browser, began: Instant::now(), stall_max }
    }

    /// Watches on until so long after the beginning.
    pub(crate) async fn watches_until(&self, after: Duration) {
        sleep_until(self.began + after).await;
    }

    /// What the swarm has met up to now.
    pub(crate) fn so_far(&self) -> Report {
        self.swarm.so_far()
    }

    /// Watches to the end of the drill. Nobody has anything to complain of.
    pub(crate) async fn stays_content(self) {
        let (report, seen, stall_max) = self.ends().await;
        report.assert_content(stall_max);
        seen.assert_content();
    }

    /// Watches to the end of the drill. Nobody has met an error; pictures may have stood still, and run again.
    pub(crate) async fn stays(self) {
        let (report, seen, stall_max) = self.ends().await;
        report.assert_content(stall_max);
        seen.assert_plays_at_the_end();
    }

    #[expect(clippy::print_stderr, reason = "what was measured is worth reading where a drill succeeds, too")]
    async fn ends(self) -> (Report, Seen, Duration) {
        let seen = self.browser.end().await;
        let report = self.swarm.leave().await;
        eprintln!("{report}");
        (report, seen, self.stall_max)
    }
}
