//! The swarm: many viewers who watch live streams for as long as a drill lasts.
//!
//! Each viewer does on the wire what hls.js does, and decodes nothing: it polls its playlist, takes each new segment
//! whole, on one connection that it keeps, and models its buffer. It begins three segments before the live edge and plays
//! in real time; when its buffer runs dry, the picture stands still until the next segment is there. What all of them met is one
//! [`Report`].

mod buffer;
mod fetch;
mod playlist;
mod report;
mod viewer;

pub use fetch::Trouble;
pub use report::Report;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::viewer::Viewer;
use crate::until;

/// How long the viewers take to come in: they are then spread over a usual target duration.
const ENTRANCE: Duration = Duration::from_secs(2);

/// Viewers who watch until they are sent away.
#[derive(Debug)]
pub struct Swarm {
    viewers: usize,
    report: Arc<Mutex<Report>>,
    leave: CancellationToken,
    tasks: TaskTracker,
}

impl Swarm {
    /// `viewers` of them come in, spread evenly over the edges and over the media playlists at `paths`.
    pub fn enter(viewers: usize, edges: &[SocketAddr], paths: &[&str]) -> Self {
        let swarm = Self {
            viewers,
            report: Arc::default(),
            leave: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        for number in 0..viewers {
            let place = u32::try_from(number).expect("a crowd that fits");
            let all = u32::try_from(viewers).expect("a crowd that fits");
            let entrance = ENTRANCE * place / all;
            let path = paths[number / edges.len() % paths.len()];
            let viewer = Viewer::new(number, edges[number % edges.len()], path, Arc::clone(&swarm.report));
            let leave = swarm.leave.clone();
            swarm.tasks.spawn(async move {
                tokio::time::sleep(entrance).await;
                viewer.watch(&leave).await;
            });
        }
        swarm
    }

    /// Waits until every viewer has begun to play.
    pub async fn plays(&self) {
        until("every viewer plays", async || self.so_far().playing.len() == self.viewers).await;
    }

    /// What they have met up to now.
    pub fn so_far(&self) -> Report {
        self.report.lock().expect("a whole report").clone()
    }

    /// Sends them away. A picture that stands still at the end counts as a stall until then.
    pub async fn leave(self) -> Report {
        self.leave.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let mut report = self.so_far();
        report.viewers = self.viewers;
        report
    }
}
