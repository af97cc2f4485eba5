//! TLS trust: the authorities for upstreams, and the certificate of this node.
//!
//! It is loaded once and shared by all upstreams of a configuration section (`connections.rs`).

use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};

use crate::connect::pem::{self, BadFile};

/// What to trust and what to show: `[upstream.tls]`. Certificates are always verified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A PEM file with the trusted authorities, in place of the system's.
    pub ca: Option<String>,
    /// A PEM file with the certificate, and its chain, that this node shows if an upstream requests one.
    pub certificate: Option<String>,
    /// A PEM file with its key.
    pub key: Option<String>,
    /// The name for SNI that the certificates of upstreams must have, in place of the host of each address.
    pub server_name: Option<String>,
}

/// Why the trust cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] BadFile),
    /// A certificate without its key, or a key without its certificate.
    #[error("set {0} as well")]
    Alone(&'static str),
    /// Not a name that a certificate can have.
    #[error("{0:?} is neither a host name nor an IP address")]
    ServerName(String),
}

/// What is trusted and shown: a configuration whose files have been read and can be used.
#[derive(Debug)]
pub struct Trust(Config);

impl Config {
    /// Reads the files and compares them.
    ///
    /// # Errors
    /// The first that cannot be used.
    pub fn check(&self) -> Result<(), TrustError> {
        if let Some(ca) = &self.ca {
            pem::authorities("ca", ca)?;
        }
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => drop(pem::certified_key(certificate, key)?),
            (Some(_), None) => return Err(TrustError::Alone("key")),
            (None, Some(_)) => return Err(TrustError::Alone("certificate")),
            (None, None) => {}
        }
        match &self.server_name {
            // An empty name would switch off the verification.
            Some(name) if ServerName::try_from(name.as_str()).is_err() => {
                Err(TrustError::ServerName(name.clone()))
            }
            _ => Ok(()),
        }
    }
}

impl TrustError {
    /// The field to change.
    pub fn field(&self) -> &'static str {
        match self {
            Self::File(file) => file.field(),
            Self::Alone("key") => "certificate",
            Self::Alone(_) => "key",
            Self::ServerName(_) => "server_name",
        }
    }
}

impl Trust {
    /// Loads a section of the configuration.
    ///
    /// # Errors
    /// If a file cannot be used, or the configuration contradicts itself.
    pub fn load(config: &Config) -> Result<Self, TrustError> {
        config.check()?;
        // Before any connector is made, because it takes the cryptography that is installed then.
        let _installed = pem::provider();
        Ok(Self(config.clone()))
    }

    /// The name to request and to verify, if it is not the host of the address.
    pub fn server_name(&self) -> Option<&str> {
        self.0.server_name.as_deref()
    }

    pub(crate) fn ca(&self) -> Option<&str> {
        self.0.ca.as_deref()
    }

    /// The files with the certificate of this node and its key.
    pub(crate) fn certificate_and_key(&self) -> Option<(String, String)> {
        self.0.certificate.clone().zip(self.0.key.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_systems_trust_and_no_certificate() {
        assert!(Trust::load(&Config::default()).unwrap().server_name().is_none());
    }

    #[test]
    fn a_name_that_would_switch_the_verification_off_is_refused() {
        for (name, valid) in [
            ("shield.example", true),
            ("127.0.0.1", true),
            ("::1", true),
            ("", false),
            ("a b", false),
            ("https://a", false),
        ] {
            let config = Config { server_name: Some(name.to_owned()), ..Config::default() };
            let checked = config.check();
            assert_eq!(checked.is_ok(), valid, "{name:?}");
            assert!(checked.is_ok() || checked.unwrap_err().field() == "server_name");
        }
    }

    #[test]
    fn half_a_pair_is_refused_at_the_half_that_is_there() {
        let half = Some("half.pem".to_owned());
        let certificate = Config { certificate: half.clone(), ..Config::default() };
        assert_eq!(certificate.check().unwrap_err().field(), "certificate");
        let key = Config { key: half, ..Config::default() };
        let distrust = key.check().unwrap_err();
        assert_eq!((distrust.field(), distrust.to_string().as_str()), ("key", "set certificate as well"));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let config = Config { ca: Some("/nonexistent/ca.pem".to_owned()), ..Config::default() };
        let distrust = Trust::load(&config).unwrap_err();
        assert_eq!(distrust.field(), "ca");
        assert!(distrust.to_string().starts_with("/nonexistent/ca.pem: No such file"), "{distrust}");
    }
}
