//! The connections to the upstreams of one configuration section, open and idle.
//!
//! They are shared, because the connector has both the certificates and the TLS session tickets that make the
//! next handshake short. The tickets would be lost if each upstream had a connector of its own. An upstream
//! that is added while the node serves reads no file.

use std::fmt;
use std::sync::Arc;

use pingora_core::connectors::ConnectorOptions;
use pingora_core::connectors::http::v2::Connector;

use crate::connect::http1::idle::Idle;
use crate::connect::trust::Trust;

/// Connections, and the trust on which they rely.
pub struct Connections {
    trust: Trust,
    /// Makes connections with TLS, and keeps those that speak HTTP/2.
    connector: Connector,
    /// The idle connections that speak HTTP/1.1.
    idle: Arc<Idle>,
}

impl Connections {
    /// No connections yet. All upstreams together may keep up to `idle_connections_max` idle connections.
    pub fn new(trust: Trust, idle_connections_max: usize) -> Self {
        let mut options = ConnectorOptions::new(idle_connections_max);
        options.ca_file = trust.ca().map(str::to_owned);
        options.cert_key_file = trust.certificate_and_key();
        // The connector reads the files again, and panics if they have been removed since.
        let connector = Connector::new(Some(options));
        Self { trust, connector, idle: Idle::new(idle_connections_max) }
    }

    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }

    pub(crate) fn connector(&self) -> &Connector {
        &self.connector
    }

    pub(crate) fn idle(&self) -> &Arc<Idle> {
        &self.idle
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("trust", &self.trust).finish_non_exhaustive()
    }
}
