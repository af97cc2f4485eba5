//! TLS in the configuration: `[listen.tls]` for viewers or edges, `[upstream.tls]` for upstreams.
//!
//! The check of the configuration reads these files, so that an invalid one prevents the start.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::access::ProxyProtocol;
use super::acme::Acme;
use super::check::Breach;
use super::units::Period;

/// A second listener, with TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// The address.
    pub address: SocketAddr,
    /// A PEM file with the certificate and its chain. It is the default certificate.
    pub certificate: Option<String>,
    /// A PEM file with its private key.
    pub key: Option<String>,
    /// A file with an OCSP response (DER) for the certificate, which is sent in handshakes (stapling).
    pub ocsp_staple: Option<String>,
    /// Refuse a handshake whose server name (SNI) no certificate has. Otherwise the client gets the default
    /// certificate: the first one.
    #[serde(default)]
    pub strict_sni: bool,
    /// The oldest protocol version.
    #[serde(default)]
    pub min_version: MinVersion,
    /// A PEM file with authorities: every client must present a certificate that one of them issued.
    pub client_ca: Option<String>,
    /// Files of 48 or 80 random bytes each, from which the keys of session tickets are derived. The first one
    /// encrypts, all of them decrypt. Without any, the node makes keys of its own and rotates them.
    #[serde(default)]
    pub ticket_keys: Vec<String>,
    /// The lifetime in `Strict-Transport-Security` (RFC 6797), which responses over TLS have if it is set.
    pub hsts: Option<Period>,
    /// Further certificates. The server name of a handshake selects one of them.
    #[serde(default)]
    pub certificates: Vec<Certificate>,
    /// Certificates that the node orders itself.
    pub acme: Option<Acme>,
    /// Whether connections begin with a PROXY header, before the handshake.
    #[serde(default)]
    pub proxy_protocol: ProxyProtocol,
}

/// A certificate in files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// A PEM file with the certificate and its chain.
    pub certificate: String,
    /// A PEM file with its private key.
    pub key: String,
    /// A file with an OCSP response (DER) for it.
    pub ocsp_staple: Option<String>,
    /// The server names for which it is used, `live.example` or `*.example`. Without any, the names in the
    /// certificate.
    #[serde(default)]
    pub hosts: Vec<String>,
}

/// TLS of the operators' listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operators {
    /// A PEM file with the certificate and its chain.
    pub certificate: String,
    /// A PEM file with its private key.
    pub key: String,
    /// A PEM file with authorities: every client must present a certificate that one of them issued.
    pub client_ca: Option<String>,
}

impl Operators {
    /// A listener at this address, with the defaults of a viewers' listener.
    pub(crate) fn at(&self, address: SocketAddr) -> Listen {
        let listen = Listen::new(address, self.certificate.clone(), self.key.clone());
        Listen { client_ca: self.client_ca.clone(), ..listen }
    }
}

/// The oldest TLS version of a listener.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MinVersion {
    /// TLS 1.2 and TLS 1.3.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3 alone.
    #[serde(rename = "1.3")]
    Tls13,
}

impl Listen {
    /// A listener whose certificates the node orders itself.
    pub fn with_acme(address: SocketAddr, acme: Acme) -> Self {
        let listen = Self::new(address, String::new(), String::new());
        Self { certificate: None, key: None, acme: Some(acme), ..listen }
    }

    /// A listener with one certificate.
    pub fn new(address: SocketAddr, certificate: String, key: String) -> Self {
        Self {
            address,
            certificate: Some(certificate),
            key: Some(key),
            ocsp_staple: None,
            strict_sni: false,
            min_version: MinVersion::default(),
            client_ca: None,
            ticket_keys: Vec::new(),
            hsts: None,
            certificates: Vec::new(),
            acme: None,
            proxy_protocol: ProxyProtocol::Off,
        }
    }

    /// The certificate of the table itself, if it has one.
    pub(crate) fn single(&self) -> Option<Certificate> {
        Some(Certificate {
            certificate: self.certificate.clone()?,
            key: self.key.clone()?,
            ocsp_staple: self.ocsp_staple.clone(),
            hosts: Vec::new(),
        })
    }

    /// The rules between the fields.
    pub(crate) fn check(&self) -> Result<(), Breach> {
        if let Some(acme) = &self.acme {
            acme.check(self.client_ca.is_some())?;
        }
        let breach = |field, message: &str| Err(Breach::new(&["listen", "tls", field], message));
        match (&self.certificate, &self.key, &self.ocsp_staple) {
            (Some(_), None, _) => breach("certificate", "set key as well"),
            (None, Some(_), _) => breach("key", "set certificate as well"),
            (None, None, Some(_)) => breach("ocsp_staple", "set certificate and key as well"),
            (None, None, None) if self.certificates.is_empty() && self.acme.is_none() => {
                breach("certificate", "there is no certificate")
            }
            _ => Ok(()),
        }
    }
}
