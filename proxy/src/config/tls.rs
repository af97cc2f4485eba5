//! What the configuration says of TLS: `[listen.tls]` towards those who ask, `[upstream.tls]` towards those who are asked.
//!
//! The files that it names are read when it is checked, so that a bad one stops the start.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::check::Breach;
use crate::acceptor;

/// A second listener, which speaks TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Where it listens.
    pub address: SocketAddr,
    /// A PEM file with the certificate and its chain.
    pub certificate: String,
    /// A PEM file with its key.
    pub key: String,
    /// A PEM file with authorities: only those who show a certificate by one of them are let in.
    pub client_ca: Option<String>,
}

/// Holds the files of both sections against each other.
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
