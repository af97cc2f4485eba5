//! The origin stub: the target of an encoder's pushes, or a live origin that breaks on command.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use tidegate_origin_stub::config::Counts;
use tidegate_origin_stub::{Config, Control, OriginStub};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The number of requests whose queries are recorded: more than any scenario makes.
const RECORDED: u64 = 50_000;

/// A running stub; dropping this value ends it.
#[derive(Debug)]
pub(crate) struct Stub {
    pub(crate) http: String,
    pub(crate) control: Control,
    _running: JoinSet<()>,
    _until_dropped: DropGuard,
}

impl Stub {
    /// Accepts pushes, and serves its own streams. Two stubs serve the same at any moment.
    pub(crate) async fn start() -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let counts = Counts { recent_max: RECORDED, ..Counts::default() };
        let stub = OriginStub::load(Config { listen: free, admin: free, counts, ..Config::default() });
        let stub = stub.await.expect("the stub takes two free ports");
        let (http, control) = (format!("http://{}", stub.addr()), stub.control());
        let shutdown = CancellationToken::new();
        let mut running = JoinSet::new();
        let run = stub.run(shutdown.clone());
        running.spawn(async move { run.await.expect("the stub serves until it is stopped") });
        Self { http, control, _running: running, _until_dropped: shutdown.drop_guard() }
    }

    /// The number of requests for each path with each query.
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

    /// The number of reads of each path.
    pub(crate) fn reads(&self) -> BTreeMap<String, u64> {
        let counted = self.control.counted().paths.into_iter();
        let reads =
            counted.map(|(path, count)| (path, count.methods.get("GET").copied().unwrap_or_default()));
        reads.filter(|(_, count)| *count > 0).collect()
    }
}
