//! The configuration of rustls for a listener.

use std::sync::Arc;

use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};
use tidegate_upstream::pem;

use super::resolver::Resolver;
use crate::acme::challenge;
use crate::config::tls::MinVersion;

/// The protocols that a listener offers (ALPN).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocols {
    /// HTTP/2 and HTTP/1.1.
    All,
    /// HTTP/1.1 alone.
    Http1,
}

/// What a listener's handshakes use.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) min_version: MinVersion,
    pub(super) protocols: Protocols,
    /// Whether there may be challenges of ACME.
    pub(super) has_acme: bool,
    pub(super) resolver: Arc<Resolver>,
    pub(super) ticketer: Arc<dyn ProducesTickets>,
}

/// Why there can be no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// The authorities for clients cannot be used.
    #[error("{0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// The cryptography provider does not support the protocol versions.
    #[error("{0}")]
    Cryptography(#[from] rustls::Error),
}

impl Parts {
    /// The configuration of a listener that requires client certificates by `authorities`, if there are any.
    pub(super) fn config(&self, authorities: Option<RootCertStore>) -> Result<ServerConfig, ServerError> {
        let provider = pem::provider();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = match self.min_version {
            MinVersion::Tls12 => builder.with_protocol_versions(&[&TLS13, &TLS12])?,
            MinVersion::Tls13 => builder.with_protocol_versions(&[&TLS13])?,
        };
        let builder = match authorities {
            Some(authorities) => {
                let authorities = Arc::new(authorities);
                let verifier = WebPkiClientVerifier::builder_with_provider(authorities, provider).build()?;
                builder.with_client_cert_verifier(verifier)
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::clone(&self.resolver) as _);
        config.alpn_protocols = match self.protocols {
            Protocols::All => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Protocols::Http1 => vec![b"http/1.1".to_vec()],
        };
        if self.has_acme {
            config.alpn_protocols.push(challenge::PROTOCOL.to_vec());
        }
        // Sessions are resumed by tickets; the server stores no sessions.
        config.ticketer = Arc::clone(&self.ticketer);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(config)
    }
}
