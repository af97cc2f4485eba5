//! What the configuration says of TLS: `[listen.tls]` towards those who ask, `[upstream.tls]` towards those who are asked.
//!
//! The files that it names are read when it is checked, so that a bad one stops the start.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

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
