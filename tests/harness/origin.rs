//! Origins: the stub, on a free port.

use std::net::SocketAddr;
use std::ops::Deref;

use tidegate_origin_stub::{Config, Control, OriginStub};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::PATIENCE;

/// The configuration of an origin.
#[derive(Debug, Default)]
pub struct Builder {
    config: Config,
}

/// A running origin. It is also its own remote control.
#[derive(Debug)]
pub struct Origin {
    addr: SocketAddr,
    control: Control,
    stop: DropGuard,
    tasks: TaskTracker,
}

/// An origin with the stub's defaults.
pub fn origin() -> Builder {
    Builder::default()
}

impl Builder {
    /// With a change to its configuration.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Starts it.
    pub async fn run(mut self) -> Origin {
        self.config.admin = SocketAddr::from(([127, 0, 0, 1], 0));
        if self.config.listen == Config::default().listen {
            self.config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        }
        let stub = OriginStub::load(self.config).await.expect("a free port");
        let (addr, control) = (stub.addr(), stub.control());
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let stopped = stop.clone();
        tasks.spawn(async move { stub.run(stopped).await.expect("the origin runs") });
        tasks.close();
        Origin { addr, control, stop: stop.drop_guard(), tasks }
    }
}

impl Origin {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its address for configurations.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Waits until `count` responses are blocked at this hold.
    pub async fn waiting(&self, hold: &str, count: u64) {
        let waiting = tokio::time::timeout(PATIENCE, self.control.waiting(hold, count)).await;
        waiting.unwrap_or_else(|_late| panic!("timed out: {count} responses blocked at {hold:?}"));
    }

    /// Stops it and waits until it has ended.
    pub async fn stop(self) {
        drop(self.stop);
        self.tasks.wait().await;
    }
}

impl Deref for Origin {
    type Target = Control;

    fn deref(&self) -> &Control {
        &self.control
    }
}
