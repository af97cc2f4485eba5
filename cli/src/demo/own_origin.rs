//! One of the demo's own origins, which can be stopped and started again on the same port.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;
use tidegate_origin_stub::{Config, Control, OriginStub};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// An origin stub that the demo can start and stop.
#[derive(Debug)]
pub(crate) struct OwnOrigin {
    config: Config,
    tasks: TaskTracker,
    /// Stops the origin for good.
    end: CancellationToken,
    running: Mutex<Running>,
    /// One switch at a time.
    switching: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Running {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
    control: Control,
    /// Requests before the last start.
    requests_before: u64,
}

impl OwnOrigin {
    /// Starts an origin on free loopback ports; it runs on `tasks`, at most until `end`.
    pub(crate) async fn start(tasks: &TaskTracker, end: &CancellationToken) -> anyhow::Result<Self> {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        // A stopped origin must break off its responses, not finish them.
        let config = Config { listen: free, admin: free, drain_timeout: Duration::ZERO, ..Config::default() };
        let stub = OriginStub::load(config.clone()).await?;
        let config = Config { listen: stub.addr(), admin: stub.admin_addr(), ..config };
        let running = Mutex::new(Running::begin(stub, tasks, end.child_token(), 0));
        Ok(Self {
            config,
            tasks: tasks.clone(),
            end: end.clone(),
            running,
            switching: tokio::sync::Mutex::default(),
        })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.config.listen
    }

    pub(crate) fn admin_addr(&self) -> SocketAddr {
        self.config.admin
    }

    /// Whether it runs.
    pub(crate) fn is_up(&self) -> bool {
        !self.running.lock().task.is_finished()
    }

    /// The number of requests that it has received since its first start.
    pub(crate) fn requests(&self) -> u64 {
        let running = self.running.lock();
        running.requests_before + running.control.total()
    }

    /// Stops it, so that its port refuses connections and open ones are reset, or starts it again.
    pub(crate) async fn switch(&self, up: bool) -> anyhow::Result<()> {
        let _turn = self.switching.lock().await;
        match (up, self.is_up()) {
            (false, true) => self.stop().await,
            (true, false) => self.start_again().await,
            _ => Ok(()),
        }
    }

    async fn stop(&self) -> anyhow::Result<()> {
        self.running.lock().stop.cancel();
        let stopped = async {
            while self.is_up() {
                tokio::time::sleep(STOP_POLL).await;
            }
        };
        tokio::time::timeout(STOP_MAX, stopped).await.context("the origin did not stop in time")
    }

    async fn start_again(&self) -> anyhow::Result<()> {
        let stub = OriginStub::load(self.config.clone()).await?;
        let requests = self.requests();
        *self.running.lock() = Running::begin(stub, &self.tasks, self.end.child_token(), requests);
        Ok(())
    }
}

impl Running {
    fn begin(stub: OriginStub, tasks: &TaskTracker, stop: CancellationToken, requests_before: u64) -> Self {
        let control = stub.control();
        let task = tasks.spawn(stub.run(stop.clone()));
        Self { stop, task, control, requests_before }
    }
}

const STOP_POLL: Duration = Duration::from_millis(10);
const STOP_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::demo::viewers::fetch::{Client, Fetch};

    #[tokio::test]
    async fn a_stopped_origin_refuses_connections_and_a_restarted_one_continues_its_counts() {
        let tasks = TaskTracker::new();
        let origin = OwnOrigin::start(&tasks, &CancellationToken::new()).await.unwrap();
        let client = Client::new(origin.addr());
        client.text("/live/demo/ts/index.m3u8").await.unwrap();
        assert!(origin.is_up());

        origin.switch(false).await.unwrap();
        assert!(!origin.is_up());
        assert_eq!(client.text("/live/demo/ts/index.m3u8").await.unwrap_err().reason(), "request");
        origin.switch(false).await.unwrap();

        origin.switch(true).await.unwrap();
        client.text("/live/demo/ts/index.m3u8").await.unwrap();
        assert_eq!(origin.requests(), 2);
    }

    #[tokio::test]
    async fn a_response_under_way_breaks_off() {
        let tasks = TaskTracker::new();
        let origin = OwnOrigin::start(&tasks, &CancellationToken::new()).await.unwrap();
        let mut socket = TcpStream::connect(origin.addr()).await.unwrap();
        socket.write_all(b"GET /bytes/50000000 HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut first = [0; 1000];
        socket.read_exact(&mut first).await.unwrap();
        origin.switch(false).await.unwrap();
        let mut rest = Vec::new();
        let read = socket.read_to_end(&mut rest).await;
        assert!(read.is_err() || rest.len() < 49_000_000, "the whole object arrived");
    }
}
