//! The tier that faces viewers.
//!
//! An edge is a node (`proxy::Node`) whose candidates are shields: one of them owns each object, by
//! consistent hashing, and the next takes over when it is down (`shields.rs`). `proxy` handles the requests.
//!
//! All crates: [`tidegate`](../tidegate/index.html).

pub mod config;
mod shields;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
pub use config::Config;
/// The nodes of a fleet.
pub use tidegate_proxy::config::Control;
/// Reads and checks configuration files and reports their errors, for other files than an edge's, too.
pub use tidegate_proxy::config::check;
/// A period as configuration files write it, such as `2h`.
pub use tidegate_proxy::config::units::Period;
/// What to purge.
pub use tidegate_proxy::purge;
/// The configuration of a site.
pub use tidegate_proxy::site;
/// The keys and the revoked ids of a site.
pub use tidegate_proxy::site::rules::Rules;
use tidegate_proxy::{Node, Role, Site, Sites};
/// The address of a node.
pub use tidegate_upstream::Address;
use tokio_util::sync::CancellationToken;

/// An edge that is bound and not yet serving.
#[derive(Debug)]
pub struct Edge(Node);

impl Edge {
    /// Assembles an edge: shields and origins first, then sites, then the listeners are bound.
    ///
    /// # Errors
    /// When a certificate or a key is invalid, an address cannot be bound, or the access log cannot be
    /// opened.
    pub async fn load(config: Config) -> anyhow::Result<Self> {
        let secret = config.upstream.read_secret();
        let secret = secret.map_err(|breach| anyhow::anyhow!("upstream.secret: {}", breach.message))?;
        let shields = shields::of(&config, secret.as_ref()).context("upstream.tls")?;
        let sites = config.site.iter().map(|site| {
            let candidates = shields.for_site(site);
            let has_shields = !config.shields.is_empty();
            let redirect_hosts = shields.redirect_pool(site);
            (site.clone(), Arc::new(Site { has_shields, redirect_hosts, ..Site::new(site, candidates) }))
        });
        let sites = Sites::new(sites.collect());
        Ok(Self(Node::load(Role::Edge, config.settings(), sites).await?))
    }

    /// The address of the viewers' listener, with the actual port where 0 was configured.
    ///
    /// # Errors
    /// When the socket has no address.
    pub fn addr(&self) -> anyhow::Result<SocketAddr> {
        self.0.addr()
    }

    /// The address of the viewers' TLS listener, if there is one.
    ///
    /// # Errors
    /// When the socket has no address.
    pub fn tls_addr(&self) -> anyhow::Result<Option<SocketAddr>> {
        self.0.tls_addr()
    }

    /// The address of the operators' listener.
    ///
    /// # Errors
    /// When the socket has no address.
    pub fn admin_addr(&self) -> anyhow::Result<SocketAddr> {
        self.0.admin_addr()
    }

    /// The node, for programs that embed an edge.
    pub fn node(&self) -> &Node {
        &self.0
    }

    /// Serves until `shutdown`, then drains.
    ///
    /// # Errors
    /// When the operators' listener fails.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        self.0.run(shutdown).await
    }
}
