//! The swarm: synthetic viewers that load the edges as real players do, and say what they met.

pub(crate) mod fetch;
mod player;
mod playlist;
mod tally;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use player::Player;
pub(crate) use tally::Counts;
use tally::Tally;

/// All synthetic viewers of the demo.
#[derive(Debug)]
pub(crate) struct Swarm {
    edges: Vec<SocketAddr>,
    stream: Option<Arc<str>>,
    tally: Arc<Tally>,
    crowd: Mutex<Crowd>,
}

/// The viewers that watch now.
#[derive(Debug, Default)]
struct Crowd {
    watching: usize,
    tasks: TaskTracker,
    leave: CancellationToken,
}

impl Swarm {
    /// A swarm without viewers, for `stream` at `edges`. Without a stream no viewer can be added.
    pub(crate) fn new(edges: Vec<SocketAddr>, stream: Option<String>) -> Self {
        Self { edges, stream: stream.map(Arc::from), tally: Arc::default(), crowd: Mutex::default() }
    }

    /// Whether there is something to watch.
    pub(crate) fn has_stream(&self) -> bool {
        self.stream.is_some()
    }

    /// Lets up to `wanted` more viewers in, spread over two seconds and over the edges; gives how many came.
    pub(crate) fn add(&self, wanted: usize) -> usize {
        let Some(stream) = self.stream.as_ref().filter(|_| !self.edges.is_empty()) else { return 0 };
        let mut crowd = self.crowd.lock();
        let coming = wanted.min(VIEWERS_MAX - crowd.watching);
        for (index, edge) in self.edges.iter().cycle().skip(crowd.watching).take(coming).enumerate() {
            let player = Player {
                edge: fetch::Client::new(*edge),
                stream: Arc::clone(stream),
                // Neighbours sit at different edges, so pairs of them share a rendition.
                choice: (crowd.watching + index) / self.edges.len(),
                tally: Arc::clone(&self.tally),
            };
            let entrance = ENTRANCE.mul_f64(fraction(index, coming));
            let leave = crowd.leave.clone();
            crowd.tasks.spawn(async move {
                let watching = async {
                    tokio::time::sleep(entrance).await;
                    player.watch().await;
                };
                leave.run_until_cancelled(watching).await;
            });
        }
        crowd.watching += coming;
        coming
    }

    /// Sends every viewer away and waits until the last one has gone.
    pub(crate) async fn remove_all(&self) {
        let crowd = std::mem::take(&mut *self.crowd.lock());
        crowd.leave.cancel();
        crowd.tasks.close();
        crowd.tasks.wait().await;
    }

    /// What the viewers have done so far, those that have left included.
    pub(crate) fn counts(&self) -> Counts {
        let watching = self.crowd.lock().watching;
        self.tally.counts(watching, VIEWERS_MAX)
    }
}

/// Says what is wrong with a text that should be a playlist.
pub(crate) fn check_playlist(text: &str) -> Result<(), fetch::Trouble> {
    playlist::Playlist::parse(text)?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "both are at most VIEWERS_MAX")]
fn fraction(index: usize, of: usize) -> f64 {
    index as f64 / of.max(1) as f64
}

/// How many viewers there may be in all.
pub(crate) const VIEWERS_MAX: usize = 500;
/// How long a batch of viewers takes to come in: they are then spread over a usual target duration.
const ENTRANCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;

    use super::*;

    const MEDIA: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:60\n#EXTINF:60,\n1.ts\n";

    async fn edge(hits: Arc<std::sync::atomic::AtomicU64>) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let segment = move || {
            hits.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            async { vec![7_u8; 3000] }
        };
        let router = Router::new().route("/a.m3u8", get(async || MEDIA)).route("/1.ts", get(segment));
        TaskTracker::new().spawn(async move { axum::serve(listener, router).await });
        address
    }

    #[tokio::test]
    async fn viewers_spread_over_the_edges_and_are_bounded_and_leave_together() {
        let hits = [Arc::default(), Arc::default()];
        let edges = vec![edge(Arc::clone(&hits[0])).await, edge(Arc::clone(&hits[1])).await];
        let swarm = Swarm::new(edges, Some("/a.m3u8".to_owned()));
        assert_eq!(swarm.add(10), 10);
        let arrival = async {
            while swarm.counts().segments < 10 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), arrival).await.expect("every viewer loads its segment");
        assert_eq!(hits.map(|hits| hits.load(std::sync::atomic::Ordering::Relaxed)), [5, 5]);
        assert_eq!(swarm.counts().body_bytes, 10 * 3000 + swarm.counts().playlists * MEDIA.len() as u64);
        assert_eq!(swarm.counts().errors, 0);
        swarm.remove_all().await;
        assert_eq!(swarm.counts().watching, 0);
    }

    #[tokio::test]
    async fn there_are_never_more_than_the_maximum() {
        let swarm = Swarm::new(vec!["127.0.0.1:9".parse().unwrap()], Some("/a.m3u8".to_owned()));
        assert_eq!(swarm.add(VIEWERS_MAX - 1), VIEWERS_MAX - 1);
        assert_eq!(swarm.add(100), 1);
        assert_eq!(swarm.add(1), 0);
        swarm.remove_all().await;
        assert_eq!(swarm.add(2), 2, "there is room again");
        swarm.remove_all().await;
    }

    #[tokio::test]
    async fn without_a_stream_no_viewer_is_added() {
        let swarm = Swarm::new(vec!["127.0.0.1:9".parse().unwrap()], None);
        assert_eq!(swarm.add(5), 0);
    }
}
