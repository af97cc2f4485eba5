//! TLS in the configuration: `[listen.tls]` for viewers or edges, `[upstream.tls]` for upstreams.
//!
//! A check reads the files that it names, so that a bad one stops the start.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::check::Breach;
use crate::acceptor;

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
}

/// Reads the files of both sections.
///
/// # Errors
/// The first that cannot be used, by the field that names it.
pub fn check(listen: &super::Listen, upstream: &super::Upstream) -> Result<(), Breach> {
    if let Some(tls) = &listen.tls {
        acceptor::load(tls)
            .map_err(|fault| Breach::new(&["listen", "tls", fault.field()], fault.to_string()))?;
    }
    upstream
        .tls
        .check()
        .map_err(|distrust| Breach::new(&["upstream", "tls", distrust.field()], distrust.to_string()))
}
