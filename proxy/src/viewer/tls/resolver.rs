//! Answers rustls with the certificate for a handshake. The certificates change while handshakes go on.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::names::Names;
use crate::acme::challenge;
use crate::acme::storage::Storage;

/// The certificates of a listener, which a reload replaces.
#[derive(Debug)]
pub(super) struct Resolver {
    names: ArcSwap<Names>,
    is_strict: bool,
    /// Where challenges of ACME are published.
    acme: Option<Storage>,
}

impl Resolver {
    pub(super) fn new(names: Names, is_strict: bool, acme: Option<Storage>) -> Self {
        Self { names: ArcSwap::from_pointee(names), is_strict, acme }
    }

    /// Uses these certificates for all handshakes from now on.
    pub(super) fn replace(&self, names: Names) {
        self.names.store(Arc::new(names));
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(storage) = &self.acme
            && is_challenge(&hello)
        {
            return challenge::certificate(storage, hello.server_name()?);
        }
        self.names.load().find(hello.server_name(), hello.signature_schemes(), self.is_strict)
    }
}

/// Whether an authority validates a host (RFC 8737 section 3): it offers this protocol alone.
fn is_challenge(hello: &ClientHello<'_>) -> bool {
    hello
        .alpn()
        .is_some_and(|mut offered| offered.next() == Some(challenge::PROTOCOL) && offered.next().is_none())
}
