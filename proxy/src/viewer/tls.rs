//! TLS on the listener: its certificates, the check of client certificates, and the handshake.
//!
//! `certificate.rs` reads one certificate, `names.rs` finds it by server name, `resolver.rs` answers rustls
//! with it, `tickets.rs` encrypts session tickets, and `files.rs` reads again what has changed.

mod certificate;
mod files;
mod names;
mod resolver;
mod server;
mod tickets;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::config::tls::Listen;
use crate::viewer::transport::Transport;

pub(crate) use files::{Files, Reloaded};
pub(crate) use server::Protocols;

/// Makes handshakes on accepted connections.
#[derive(Clone)]
pub(crate) struct Acceptor(Arc<ArcSwap<ServerConfig>>);

/// Why there can be no TLS on a listener.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct Fault(#[from] files::LoadError);

/// A handshake that failed, and the connection, on which the client can still read the alert.
pub(crate) struct Failed {
    pub(crate) error: std::io::Error,
    pub(crate) stream: TcpStream,
}

impl Fault {
    /// The configuration field at fault, from `[listen.tls]` on.
    pub(crate) fn field(&self) -> &[&'static str] {
        self.0.field()
    }
}

/// Reads the files and makes an acceptor of them.
///
/// # Errors
/// When a file cannot be used, or the cryptography provider fails.
pub(crate) fn load(listen: &Listen, protocols: Protocols) -> Result<(Acceptor, Files), Fault> {
    let files = Files::load(listen, protocols)?;
    Ok((Acceptor(files.config()), files))
}

impl Acceptor {
    pub(crate) async fn handshake(&self, stream: TcpStream) -> Result<Transport, Failed> {
        let acceptor = TlsAcceptor::from(self.0.load_full());
        let accepted = acceptor.accept(stream).into_fallible().await;
        accepted.map(Transport::tls).map_err(|(error, stream)| Failed { error, stream })
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").finish_non_exhaustive()
    }
}
