//! The tier that faces origins.
//!
//! A shield is a node (`proxy::Node`) whose candidates are a site's origins: the primary first, backups when
//! it fails (`origins.rs`). Many edges use few shields, so that an origin serves each object once. `proxy`
//! handles the requests.
//!
//! All crates: [`tidegate`](../tidegate/index.html).

pub mod config;
mod origins;
mod reload;

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
pub use config::Config;
use tidegate_proxy::site::OriginPools;
use tidegate_proxy::{Node, Role};
use tokio_util::sync::CancellationToken;

use reload::File;

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
        Self::load_from(config, None).await
    }

    /// The same, with the file that reloads read again.
    ///
    /// # Errors
    /// When a certificate or a key is invalid, an address cannot be bound, or the access log cannot be
    /// opened.
    pub async fn load_from(config: Config, file: Option<&Path>) -> anyhow::Result<Self> {
        let listed = config.site.iter().map(|site| site.origins.len()).sum();
        let connections = config.upstream.connections(listed).context("upstream.tls")?;
        let mut origins = OriginPools::new(config.upstream.clone(), connections);
        let sites = origins::sites(&config, &mut origins, None);
        let node = Node::load(Role::Shield, config.settings(), sites).await?;
        Ok(Self(match file {
            Some(file) => node.reloading_from(File::new(file, config, origins)),
            None => node,
        }))
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
