//! The viewers of a drill: two hundred viewers of two streams at two edges, and Chromium with hls.js.

use std::time::Duration;

use tidegate_tests::Swarm;
use tidegate_tests::chromium::{Playing, Seen, Watch};
use tidegate_tests::swarm::Report;
use tokio::time::{Instant, sleep_until};

use crate::cluster::Cluster;

/// The two streams, in a small rendition, so that two hundred viewers are a light load.
pub(crate) const STREAMS: [&str; 2] = ["/live/one/ts/144p/index.m3u8", "/live/two/ts/144p/index.m3u8"];
/// The same in the largest rendition: about 80 KiB per second.
pub(crate) const LARGE: [&str; 2] = ["/live/one/ts/360p/index.m3u8", "/live/two/ts/360p/index.m3u8"];
/// The target duration of both streams.
pub(crate) const TARGET: Duration = Duration::from_secs(2);
/// The length of a drill, unless it has more to show.
pub(crate) const PERIOD: Duration = Duration::from_secs(20);

const VIEWERS: usize = 200;

/// All viewers of a drill.
pub(crate) struct Audience {
    swarm: Swarm,
    browser: Playing,
    began: Instant,
    stall_max: Duration,
}

impl Audience {
    /// Starts all viewers for the usual time, and waits until all of them play.
    pub(crate) async fn of(cluster: &Cluster) -> Self {
        Self::start(cluster, &STREAMS, PERIOD, TARGET).await
    }

    /// The same for other renditions.
    pub(crate) async fn watching(cluster: &Cluster, paths: &[&str; 2]) -> Self {
        Self::start(cluster, paths, PERIOD, TARGET).await
    }

    /// The same for another period, with another limit for stalls.
    pub(crate) async fn staying(cluster: &Cluster, period: Duration, stall_max: Duration) -> Self {
        Self::start(cluster, &STREAMS, period, stall_max).await
    }

    async fn start(cluster: &Cluster, paths: &[&str; 2], period: Duration, stall_max: Duration) -> Self {
        let edges = cluster.edges.each_ref().map(|edge| edge.addr());
        let url = format!("http://{}{}", edges[0], paths[0]);
        let mut browser = Playing::begin(&url, Watch { stall_max, ..Watch::lasting(period) });
        let swarm = Swarm::start(VIEWERS, &edges, paths);
        swarm.wait_until_playing().await;
        browser.began().await;
        Self { swarm, browser, began: Instant::now(), stall_max }
    }

    /// Watches until this much time has passed since the beginning.
    pub(crate) async fn watches_until(&self, after: Duration) {
        sleep_until(self.began + after).await;
    }

    /// The swarm's report up to now.
    pub(crate) fn so_far(&self) -> Report {
        self.swarm.so_far()
    }

    /// Watches to the end of the drill, and asserts that no viewer met an error or a stall.
    pub(crate) async fn finish_smoothly(self) {
        let (report, seen, stall_max) = self.end().await;
        report.assert_smooth(stall_max);
        seen.assert_smooth();
    }

    /// Watches to the end of the drill, and asserts that no viewer met an error. Pictures may have stalled,
    /// but must play at the end.
    pub(crate) async fn finish(self) {
        let (report, seen, stall_max) = self.end().await;
        report.assert_smooth(stall_max);
        seen.assert_plays_at_the_end();
    }

    #[expect(clippy::print_stderr, reason = "what was measured is worth reading where a drill succeeds, too")]
    async fn end(self) -> (Report, Seen, Duration) {
        let seen = self.browser.end().await;
        let report = self.swarm.stop().await;
        eprintln!("{report}");
        (report, seen, self.stall_max)
    }
}
