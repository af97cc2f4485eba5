//! The origin stub: the place that an encoder pushes to, or a live origin of its own that breaks on command.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use tidegate_origin_stub::config::Counts;
use tidegate_origin_stub::{Config, Control, OriginStub};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Requests whose queries are remembered: more than any scenario makes.
const REMEMBERED: u64 = 50_000;

/// A running stub; it ends with this value.
#[derive(Debug)]
pub(crate) struct Stub {
    pub(crate) http: String,
    pub(crate) control: Control,
    _running: JoinSet<()>,
    _until_dropped: DropGuard,
}

impl Stub {
    /// Takes pushes, and serves streams of its own. What two of them serve at a moment is the same.
    pub(crate) async fn start() -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let counts = Counts { recent_max: REMEMBERED, ..Counts::default() };
        let stub = OriginStub::load(Config { listen: free, admin: free, counts, ..Config::default() });
        let stub = stub.await.expect("the stub takes two free ports");
        let (http, control) = (format!("http://{}", stub.addr()), stub.control());
        let shutdown = CancellationToken::new();
        let mut running = JoinSet::new();
        let run = stub.run(shutdown.clone());
        running.spawn(async move { run.await.expect("the stub serves until it is told to stop") });
        Self { http, control, _running: running, _until_dropped: shutdown.drop_guard() }
    }

    /// How often each path was asked for with each query.
    pub(crate) fn targets(&self) -> BTreeMap<String, u64> {
        let seen = self.control.seen("*");
        assert_eq!(seen.len() as u64, self.control.total(), "some requests have been forgotten");
        let mut targets = BTreeMap::new();
        for request in seen {
            let query = request.query.map(|query| format!("?{query}")).unwrap_or_default();
            *targets.entry(request.path + &query).or_default() += 1;
        }
        targets
    }

    /// How often each path was read.
    pub(crate) fn reads(&self) -> BTreeMap<String, u64> {
        let counted = self.control.counted().paths.into_iter();
        let reads =
            counted.map(|(path, count)| (path, count.methods.get("GET").copied().unwrap_or_default()));
        reads.filter(|(_, count)| *count > 0).collect()
    }
}
