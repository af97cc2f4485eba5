//! The swarm: many viewers that watch live streams for as long as a drill lasts.
//!
//! Each viewer does on the network what hls.js does, and decodes nothing: it polls its playlist, fetches each
//! new segment completely over one persistent connection, and models its buffer. It begins three segments
//! before the live edge and plays in real time; when its buffer runs dry, the picture stalls until the next
//! segment has arrived. The result of all viewers is one [`Report`].

mod buffer;
mod fetch;
mod playlist;
mod report;
mod viewer;

pub use fetch::ViewerError;
pub use report::Report;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::viewer::Viewer;
use crate::until;

/// The time over which the viewers start: it spreads them over a usual target duration.
const RAMP_UP: Duration = Duration::from_secs(2);

/// Viewers that watch until they are stopped.
#[derive(Debug)]
pub struct Swarm {
    viewers: usize,
    report: Arc<Mutex<Report>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Swarm {
    /// Starts `viewers` of them, spread evenly over the edges and over the media playlists at `paths`.
    pub fn start(viewers: usize, edges: &[SocketAddr], paths: &[&str]) -> Self {
        let swarm = Self {
            viewers,
            report: Arc::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        for number in 0..viewers {
            let place = u32::try_from(number).expect("a crowd that fits");
            let all = u32::try_from(viewers).expect("a crowd that fits");
            let delay = RAMP_UP * place / all;
            let path = paths[number / edges.len() % paths.len()];
            let viewer = Viewer::new(number, edges[number % edges.len()], path, Arc::clone(&swarm.report));
            let stop = swarm.stop.clone();
            swarm.tasks.spawn(async move {
                tokio::time::sleep(delay).await;
                viewer.watch(&stop).await;
            });
        }
        swarm
    }

    /// Waits until every viewer has begun to play.
    pub async fn wait_until_playing(&self) {
        until("every viewer plays", async || self.so_far().playing.len() == self.viewers).await;
    }

    /// The report up to now.
    pub fn so_far(&self) -> Report {
        self.report.lock().expect("a whole report").clone()
    }

    /// Stops them. A picture that is stalled at the end counts as a stall until then.
    pub async fn stop(self) -> Report {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let mut report = self.so_far();
        report.viewers = self.viewers;
        report
    }
}
