//! TLS in the configuration: `[listen.tls]` for viewers or edges, `[upstream.tls]` for upstreams.
//!
//! The check of the configuration reads these files, so that an invalid one prevents the start.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::access::ProxyProtocol;

/// A second listener, with TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// The address.
    pub address: SocketAddr,
    /// A PEM file with the certificate and its chain.
    pub certificate: String,
    /// A PEM file with its private key.
    pub key: String,
    /// A PEM file with authorities: every client must present a certificate that one of them issued.
    pub client_ca: Option<String>,
    /// Whether connections begin with a PROXY header, before the handshake.
    #[serde(default)]
    pub proxy_protocol: ProxyProtocol,
}
