//! TLS on the listener: its certificate, the check of client certificates, and the handshake.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use tidegate_upstream::pem::{self, BadFile};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::config::tls::Listen;
use crate::viewer::transport::Transport;

/// Makes handshakes on accepted connections.
#[derive(Clone)]
pub(crate) struct Acceptor(TlsAcceptor);

/// Why there can be no TLS on a listener.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] BadFile),
    /// The authorities for clients cannot be used.
    #[error("{0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// The cryptography provider does not support the protocol versions, or has no key for tickets.
    #[error("{0}")]
    Cryptography(#[from] rustls::Error),
}

/// A handshake that failed, and the connection, on which the client can still read the alert.
pub(crate) struct Failed {
    pub(crate) error: std::io::Error,
    pub(crate) stream: TcpStream,
}

impl Fault {
    /// The configuration field at fault.
    pub(crate) fn field(&self) -> &'static str {
        match self {
            Self::File(file) => file.field(),
            Self::Verifier(_) => "client_ca",
            Self::Cryptography(_) => "certificate",
        }
    }
}

/// Reads the files and makes an acceptor of them.
///
/// # Errors
/// When a file cannot be used, or the cryptography provider fails.
pub(crate) fn load(listen: &Listen) -> Result<Acceptor, Fault> {
    let provider = pem::provider();
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match &listen.client_ca {
        Some(ca) => {
            let authorities = Arc::new(pem::authorities("client_ca", ca)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(authorities, provider).build()?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let certificate = pem::certified_key(&listen.certificate, &listen.key)?;
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certificate)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Sessions are resumed by tickets, encrypted with a key that changes every few hours; the server stores
    // no sessions.
    config.ticketer = Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Acceptor(TlsAcceptor::from(Arc::new(config))))
}

impl Acceptor {
    pub(crate) async fn handshake(&self, stream: TcpStream) -> Result<Transport, Failed> {
        let accepted = self.0.accept(stream).into_fallible().await;
        accepted.map(Transport::tls).map_err(|(error, stream)| Failed { error, stream })
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").finish_non_exhaustive()
    }
}
