//! The tier that faces viewers.
//!
//! An edge is a node (`proxy::Node`) whose candidates are shields: one of them owns each object, by
//! consistent hashing, and the next takes over when it is down (`shields.rs`). `proxy` handles the requests.
//!
//! All crates: [`tidegate`](../tidegate/index.html).

pub mod config;
mod reload;
mod shields;

use std::net::SocketAddr;
use std::path::Path;

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
pub use tidegate_proxy::site::token_files::TokenFiles;
use tidegate_proxy::{Node, Role};
/// The address of a node.
pub use tidegate_upstream::Address;
use tokio_util::sync::CancellationToken;

use reload::File;
use shields::Shields;

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
        Self::load_from(config, None).await
    }

    /// The same, with the file that reloads read again.
    ///
    /// # Errors
    /// When a certificate or a key is invalid, an address cannot be bound, or the access log cannot be
    /// opened.
    pub async fn load_from(config: Config, file: Option<&Path>) -> anyhow::Result<Self> {
        let secret = config.upstream.read_secret();
        let secret = secret.map_err(|breach| anyhow::anyhow!("upstream.secret: {}", breach.message))?;
        let mut shields = Shields::new(&config, secret).context("upstream.tls")?;
        let node = Node::load(Role::Edge, config.settings(), shields.sites(&config, None)).await?;
        Ok(Self(match file {
            Some(file) => node.reloading_from(File::new(file, config, shields)),
            None => node,
        }))
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
