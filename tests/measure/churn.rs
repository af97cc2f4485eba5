//! Measures whether memory stays constant while a day of objects passes through the cache: `churn [SECONDS]`,
//! one line of JSON.
//!
//! The edge is the `tidegate` program in its own process (`TIDEGATE_BIN`), with a cache for a few seconds of
//! the traffic; origin and viewers run here. In ten minutes as many segments and playlist versions pass as a
//! channel with three renditions has in a day: the test runs 144 simultaneous channels, the number of
//! ten-minute periods in a day, each of which ends after a minute and is followed by one with another name.
//! Viewers pay one visit each: a connection, the playlist, the newest segments; one in eight hangs up in the
//! middle of a segment.
//!
//! Resident memory is recorded sixty times, every ten seconds of the ten minutes (and printed on standard
//! error immediately). The *plateau* is its median in the second half of the first tenth, the *end* that of
//! the last twentieth. A shorter run is a shorter day.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tidegate_proxy::config::units::Size;
use tidegate_tests::{Response, edge, origin, viewer};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const DAY: Duration = Duration::from_mins(10);
const SAMPLES: u32 = 60;
const CHANNELS: u64 = 144;
const RENDITIONS: [&str; 3] = ["144p", "240p", "360p"];
/// The duration of a channel in seconds.
const SHOW: u64 = 60;
/// Each visitor returns continually, so that each version of each playlist is requested about once.
const VISITORS: u64 = 48;
const EACH: Duration = Duration::from_millis(222);

#[tokio::main]
async fn main() -> Result<()> {
    let seconds = std::env::args().nth(1).map(|seconds| seconds.parse()).transpose()?;
    let time = seconds.map_or(DAY, Duration::from_secs);
    let origin = origin().run().await;
    let edge = edge().origin(&origin).with(small).spawn().await;

    let (tally, enough, tasks) = (Arc::new(Tally::default()), CancellationToken::new(), TaskTracker::new());
    let began = Instant::now();
    for number in 0..VISITORS {
        let visitor = Visitor { edge: edge.addr(), began, tally: Arc::clone(&tally), number };
        let stopped = enough.clone();
        tasks.spawn(async move { stopped.run_until_cancelled(visitor.come_and_go()).await });
    }
    let mut resident = Vec::new();
    let mut due = interval(time / SAMPLES);
    due.tick().await;
    for _ in 0..SAMPLES {
        due.tick().await;
        resident.push(edge.resident_bytes());
        let (at, mib) = (began.elapsed().as_secs(), edge.resident_bytes() >> 20);
        writeln!(
            std::io::stderr().lock(),
            "{at:4} s: {mib} MiB resident, {} visits",
            tally.visits.load(Ordering::Relaxed)
        )?;
    }
    enough.cancel();
    tasks.close();
    tasks.wait().await;

    let figures = serde_json::json!({
        "seconds": time.as_secs(), "visits": tally.visits.load(Ordering::Relaxed),
        "failed": tally.failed.load(Ordering::Relaxed),
        "evictions": edge.metric("tidegate_cache_evictions_total", "").await,
        "fills": edge.metric("tidegate_fills_total", "").await,
        "resident_bytes": resident,
        "plateau_bytes": median(resident.get(3..6)).context("a plateau")?,
        "end_bytes": median(resident.get(57..)).context("an end")?,
        "peak_bytes": edge.peak_resident_bytes(),
    });
    Ok(writeln!(std::io::stdout().lock(), "{figures}")?)
}

/// A cache for a few seconds of the traffic.
fn small(config: &mut tidegate_edge::Config) {
    config.cache.memory = Size::mib(64);
    config.cache.object_max = Size::mib(16);
}

fn median(figures: Option<&[u64]>) -> Option<u64> {
    let mut figures = figures?.to_vec();
    figures.sort_unstable();
    figures.get(figures.len() / 2).copied()
}

/// A viewer that returns continually, each time to another channel.
struct Visitor {
    edge: SocketAddr,
    began: Instant,
    tally: Arc<Tally>,
    number: u64,
}

/// The results of all visitors.
#[derive(Debug, Default)]
struct Tally {
    visits: AtomicU64,
    /// Responses that were not 200, or not complete.
    failed: AtomicU64,
}

impl Visitor {
    async fn come_and_go(self) {
        let mut due = interval(EACH);
        due.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for visit in 0_u64.. {
            due.tick().await;
            // Every channel has its turn, and each of its renditions.
            let turn = visit * VISITORS + self.number;
            let (channel, rendition) = (turn / 3 % CHANNELS, turn % 3);
            let show = self.began.elapsed().as_secs() / SHOW;
            let rendition =
                usize::try_from(rendition).ok().and_then(|at| RENDITIONS.get(at)).unwrap_or(&"144p");
            let folder = format!("/live/day-{channel}-{show}/ts/{rendition}");
            self.visit(&folder, turn.is_multiple_of(8)).await;
            self.tally.visits.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Fetches the playlist and the two newest segments on one connection.
    async fn visit(&self, folder: &str, hangs_up: bool) {
        let mut connection = viewer(self.edge).start("GET", &format!("{folder}/index.m3u8")).await;
        let playlist = connection.response("GET").await;
        self.judge(&playlist);
        let playlist = playlist.text();
        let segments: Vec<_> = playlist.lines().filter(|line| !line.starts_with('#')).collect();
        for segment in segments.iter().rev().take(2).rev() {
            let request = format!("GET {folder}/{segment} HTTP/1.1\r\nhost: live.example\r\n\r\n");
            connection.send(request.as_bytes()).await;
            if hangs_up {
                connection.begins(1000).await;
                return;
            }
            self.judge(&connection.response("GET").await);
        }
    }

    fn judge(&self, response: &Response) {
        if response.status != 200 || !response.whole {
            self.tally.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}
