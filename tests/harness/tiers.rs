//! Edges and shields, in this process, on free ports.

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::Path;

use tidegate_edge::Edge;
use tidegate_proxy::config::NodeName;
use tidegate_proxy::config::upstream::ProbeKind;
use tidegate_shield::Shield;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::origin::Origin;
use crate::process::Process;
use crate::viewer::{Viewer, viewer};
use crate::{PATIENCE, until};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// The file of the token that tests send to operators' listeners.
pub const OPERATORS_TOKEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/harness/operators.token");

/// The configuration of a shield.
#[derive(Debug)]
pub struct ShieldBuilder(tidegate_shield::Config);

/// The configuration of an edge.
#[derive(Debug)]
pub struct EdgeBuilder(tidegate_edge::Config);

/// A tier's addresses, and its metrics and status.
#[derive(Debug, Clone, Copy)]
pub struct Tier {
    addr: SocketAddr,
    admin: SocketAddr,
    tls: Option<SocketAddr>,
}

/// A tier that runs in this process.
#[derive(Debug)]
pub struct Running {
    tier: Tier,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// A shield without origins yet. It does not probe, so that origins receive the test's requests and nothing
/// else.
pub fn shield() -> ShieldBuilder {
    let mut config = tidegate_shield::Config::default();
    config.upstream.probe.kind = ProbeKind::Off;
    (config.listen.viewers, config.listen.operators) = (LOOPBACK, LOOPBACK);
    "off".clone_into(&mut config.log.access);
    config.cache.memory = tidegate_proxy::config::units::Size::mib(256);
    for site in &mut config.site {
        site.origins.clear();
    }
    ShieldBuilder(config)
}

/// An edge without shields yet. It does not probe.
pub fn edge() -> EdgeBuilder {
    let mut config = tidegate_edge::Config::default();
    config.upstream.probe.kind = ProbeKind::Off;
    (config.listen.viewers, config.listen.operators) = (LOOPBACK, LOOPBACK);
    "off".clone_into(&mut config.log.access);
    config.cache.memory = tidegate_proxy::config::units::Size::mib(256);
    config.shields.clear();
    // All viewers of a test come from one address.
    config.limits.exempt = vec!["127.0.0.0/8".parse().expect("a network")];
    EdgeBuilder(config)
}

impl ShieldBuilder {
    /// Adds an origin; the first is the primary.
    #[must_use]
    pub fn origin(self, origin: &Origin) -> Self {
        self.origin_at(&origin.url())
    }

    /// Adds an origin by its URL.
    #[must_use]
    pub fn origin_at(mut self, url: &str) -> Self {
        for site in &mut self.0.site {
            site.origins.push(url.parse().expect("an address"));
        }
        self
    }

    /// Changes its configuration.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut tidegate_shield::Config)) -> Self {
        change(&mut self.0);
        self
    }

    /// Starts it.
    pub async fn run(self) -> Running {
        Self::start(Shield::load(self.0).await)
    }

    /// Writes its configuration to a file, which it reads again for each reload, and starts it.
    pub async fn run_from(self, file: &Path) -> Running {
        std::fs::write(file, toml::to_string(&self.0).expect("a configuration")).expect("a file");
        Self::start(Shield::load_from(self.0, Some(file)).await)
    }

    fn start(shield: anyhow::Result<Shield>) -> Running {
        let shield = shield.expect("a shield");
        let (addr, admin) = (shield.addr().expect("an address"), shield.admin_addr().expect("an address"));
        let tls = shield.tls_addr().expect("an address");
        Running::start(Tier { addr, admin, tls }, |stop| shield.run(stop))
    }

    /// Starts it in a separate process.
    pub async fn spawn(self) -> Process {
        self.spawn_with(&[]).await
    }

    /// Starts it in a separate process, with further flags.
    pub async fn spawn_with(self, flags: &[&str]) -> Process {
        Process::start_with("shield", &toml::to_string(&self.0).expect("a configuration"), flags).await
    }
}

impl EdgeBuilder {
    /// Adds a shield.
    #[must_use]
    pub fn shield(self, shield: &Tier) -> Self {
        self.shield_at(&format!("http://{}", shield.addr))
    }

    /// Adds a shield by its URL.
    #[must_use]
    pub fn shield_at(mut self, url: &str) -> Self {
        self.0.shields.push(url.parse().expect("an address"));
        self
    }

    /// Adds an origin that the edge uses directly.
    #[must_use]
    pub fn origin(self, origin: &Origin) -> Self {
        self.origin_at(&origin.url())
    }

    /// Adds an origin that the edge uses directly, by its URL.
    #[must_use]
    pub fn origin_at(mut self, url: &str) -> Self {
        for site in &mut self.0.site {
            site.origins.push(url.parse().expect("an address"));
        }
        self
    }

    /// Sets its name: every node needs its own.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.0.node = NodeName::try_from(name.to_owned()).expect("a name");
        self
    }

    /// Changes its configuration.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut tidegate_edge::Config)) -> Self {
        change(&mut self.0);
        self
    }

    /// Starts it.
    pub async fn run(self) -> Running {
        Self::start(Edge::load(self.0).await)
    }

    /// Writes its configuration to a file, which it reads again for each reload, and starts it.
    pub async fn run_from(self, file: &Path) -> Running {
        std::fs::write(file, toml::to_string(&self.0).expect("a configuration")).expect("a file");
        Self::start(Edge::load_from(self.0, Some(file)).await)
    }

    fn start(edge: anyhow::Result<Edge>) -> Running {
        let edge = edge.expect("an edge");
        let (addr, admin) = (edge.addr().expect("an address"), edge.admin_addr().expect("an address"));
        let tls = edge.tls_addr().expect("an address");
        Running::start(Tier { addr, admin, tls }, |stop| edge.run(stop))
    }

    /// Starts it in a separate process.
    pub async fn spawn(self) -> Process {
        Process::start("edge", &toml::to_string(&self.0).expect("a configuration")).await
    }
}

impl Running {
    fn start<F>(tier: Tier, run: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let running = run(stop.clone());
        tasks.spawn(async move { running.await.expect("the tier runs") });
        tasks.close();
        Self { tier, stop, tasks }
    }

    /// Starts its drain, as SIGTERM does.
    pub fn drain(&self) {
        self.stop.cancel();
    }

    /// Waits until it has ended.
    pub async fn ended(&self) {
        tokio::time::timeout(PATIENCE, self.tasks.wait()).await.expect("an end in time");
    }
}

impl Tier {
    pub(crate) fn at(addr: SocketAddr, admin: SocketAddr) -> Self {
        Self { addr, admin, tls: None }
    }

    /// The address of the viewers' listener.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address of the viewers' TLS listener.
    pub fn tls_addr(&self) -> SocketAddr {
        self.tls.expect("a listener with TLS")
    }

    /// The address of the operators' listener.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// An operator, with the token of [`OPERATORS_TOKEN`] for tiers that need one.
    fn operator(&self) -> Viewer {
        let token = include_str!("operators.token").trim();
        viewer(self.admin).header("authorization", &format!("Bearer {token}"))
    }

    /// The sum of all samples of `metric` whose labels contain `label`.
    pub async fn metric(&self, metric: &str, label: &str) -> f64 {
        let text = self.operator().get("/metrics").await.text();
        let samples = text.lines().filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            let labels = name.strip_prefix(metric)?;
            let fits = (labels.is_empty() || labels.starts_with('{')) && labels.contains(label);
            fits.then(|| value.parse::<f64>().ok()).flatten()
        });
        samples.sum()
    }

    /// A counter as an integer.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counters of tests are small"
    )]
    pub async fn count(&self, metric: &str, label: &str) -> u64 {
        self.metric(metric, label).await as u64
    }

    /// The number of viewers that wait for or read fills under way.
    pub async fn joined(&self) -> u64 {
        self.status().await["fills"]["viewers"].as_u64().expect("a number")
    }

    /// Waits until no fill is under way. A viewer may have a complete object before its tier has stored it; a
    /// request in between joins the fill.
    pub async fn fills_finished(&self) {
        until("no fill is under way", async || self.status().await["fills"]["count"] == 0).await;
    }

    /// The status page.
    pub async fn status(&self) -> serde_json::Value {
        let response = self.operator().get("/v1/status").await;
        serde_json::from_slice(&response.body).expect("JSON")
    }
}

impl Deref for Running {
    type Target = Tier;

    fn deref(&self) -> &Tier {
        &self.tier
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
