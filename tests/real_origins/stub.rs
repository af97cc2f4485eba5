//! The origin stub as the place that an encoder pushes to.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use tidegate_origin_stub::{Config, Control, OriginStub};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A running stub; it ends with this value.
#[derive(Debug)]
pub(crate) struct Stub {
    pub(crate) http: String,
    control: Control,
    _running: JoinSet<()>,
    _until_dropped: DropGuard,
}

impl Stub {
    pub(crate) async fn taking_pushes() -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let stub = OriginStub::load(Config { listen: free, admin: free, ..Config::default() });
        let stub = stub.await.expect("the stub takes two free ports");
        let (http, control) = (format!("http://{}", stub.addr()), stub.control());
        let shutdown = CancellationToken::new();
        let mut running = JoinSet::new();
        let run = stub.run(shutdown.clone());
        running.spawn(async move { run.await.expect("the stub serves until it is told to stop") });
        Self { http, control, _running: running, _until_dropped: shutdown.drop_guard() }
    }

    /// How often each path was read.
    pub(crate) fn reads(&self) -> BTreeMap<String, u64> {
        let counted = self.control.counted().paths.into_iter();
        let reads =
            counted.map(|(path, count)| (path, count.methods.get("GET").copied().unwrap_or_default()));
        reads.filter(|(_, count)| *count > 0).collect()
    }
}
