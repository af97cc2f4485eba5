//! Answers rustls with the certificate for a handshake. The certificates change while handshakes go on.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::names::Names;

/// The certificates of a listener, which a reload replaces.
#[derive(Debug)]
pub(super) struct Resolver {
    names: ArcSwap<Names>,
    is_strict: bool,
}

impl Resolver {
    pub(super) fn new(names: Names, is_strict: bool) -> Self {
        Self { names: ArcSwap::from_pointee(names), is_strict }
    }

    /// Uses these certificates for all handshakes from now on.
    pub(super) fn replace(&self, names: Names) {
        self.names.store(Arc::new(names));
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.names.load().find(hello.server_name(), hello.signature_schemes(), self.is_strict)
    }
}
