//! The tier that faces origins.
//!
//! A shield is a node (`proxy::Node`) whose candidates are a site's origins: the primary first, backups when
//! it fails (`origins.rs`). Many edges use few shields, so that an origin serves each object once. `proxy`
//! handles the requests.
//!
//! All crates: [`tidegate`](../tidegate/index.html).

pub mod config;
mod origins;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
pub use config::Config;
use tidegate_proxy::{Node, Role, Site, Sites};
use tokio_util::sync::CancellationToken;

/// A shield that is bound and not yet serving.
#[derive(Debug)]
pub struct Shield(Node);

impl Shield {
    /// Assembles a shield: origins first, then sites, then the listeners are bound.
    ///
    /// # Errors
    /// When a certificate or a key is invalid, an address cannot be bound, or the access log cannot be
    /// opened.
    pub async fn load(config: Config) -> anyhow::Result<Self> {
        let listed = config.site.iter().map(|site| site.origins.len()).sum();
        let connections = config.upstream.connections(listed).context("upstream.tls")?;
        let sites = config.site.iter().map(|site| {
            let candidates = origins::of(site, &config.upstream, &connections);
            let redirect_hosts = site.redirect_pool(&config.upstream, &connections);
            (site.clone(), Arc::new(Site { redirect_hosts, ..Site::new(site, candidates) }))
        });
        let sites = Sites::new(sites.collect());
        Ok(Self(Node::load(Role::Shield, config.settings(), sites).await?))
    }

    /// The address of the edges' listener, with the actual port where 0 was configured.
    ///
    /// # Errors
    /// When the socket has no address.
    pub fn addr(&self) -> anyhow::Result<SocketAddr> {
        self.0.addr()
    }

    /// The address of the edges' TLS listener, if there is one.
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

    /// The node, for programs that embed a shield.
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
