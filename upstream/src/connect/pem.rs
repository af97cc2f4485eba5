//! Certificates and keys in files (PEM, RFC 7468), read and compared when a configuration is loaded.
//!
//! Errors name the field and the file, so that a bad file does not show up as a failed handshake at night.

use std::fs;
use std::io;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject as _, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// A file in the configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {fault}")]
pub struct BadFile {
    field: &'static str,
    file: String,
    fault: Fault,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(io::Error),
    /// It is not a PEM file.
    #[error("not PEM: {0}")]
    Pem(pem::Error),
    /// It has no certificate.
    #[error("no certificate found")]
    NoCertificate,
    /// It has no private key.
    #[error("no private key found (PKCS #8, PKCS #1 or SEC 1, without a passphrase)")]
    NoKey,
    /// A file of certificate authorities has something else in it, such as a key.
    #[error("it may contain certificates only")]
    NotOnlyCertificates,
    /// A certificate or a key cannot be used.
    #[error("{0}")]
    Unusable(rustls::Error),
    /// An OCSP response is not DER.
    #[error("not an OCSP response in DER")]
    NotOcsp,
    /// The key belongs to another certificate.
    #[error("not the key of {0}")]
    OtherKey(String),
}

impl BadFile {
    fn new(field: &'static str, file: &str, fault: Fault) -> Self {
        Self { field, file: file.to_owned(), fault }
    }

    /// The field that names the file.
    pub fn field(&self) -> &'static str {
        self.field
    }
}

/// The cryptography of all TLS in this process: aws-lc-rs, unless a provider is installed already.
///
/// Call it before pingora makes a connector, because that installs its own choice otherwise.
pub fn provider() -> Arc<CryptoProvider> {
    if CryptoProvider::get_default().is_none() {
        // Another thread may have installed the same.
        let _already = aws_lc_rs::default_provider().install_default();
    }
    CryptoProvider::get_default().map_or_else(|| Arc::new(aws_lc_rs::default_provider()), Arc::clone)
}

/// The certificate authorities in `file`, which the configuration names in `field`.
///
/// # Errors
/// If there are none, or the file has anything else in it.
pub fn authorities(field: &'static str, file: &str) -> Result<RootCertStore, BadFile> {
    let bad = |fault| BadFile::new(field, file, fault);
    let bytes = fs::read(file).map_err(|error| bad(Fault::Unreadable(error)))?;
    let mut authorities = RootCertStore::empty();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(&bytes) {
        let (kind, der) = section.map_err(|error| bad(Fault::Pem(error)))?;
        if kind != SectionKind::Certificate {
            return Err(bad(Fault::NotOnlyCertificates));
        }
        authorities.add(CertificateDer::from(der)).map_err(|error| bad(Fault::Unusable(error)))?;
    }
    if authorities.is_empty() { Err(bad(Fault::NoCertificate)) } else { Ok(authorities) }
}

/// The certificate with its chain in one file, and its key in another; the fields are called `certificate`
/// and `key`.
///
/// # Errors
/// If one of them cannot be used, or they do not belong together.
pub fn certified_key(certificate: &str, key: &str) -> Result<CertifiedKey, BadFile> {
    let bad = |fault| BadFile::new("certificate", certificate, fault);
    let bytes = fs::read(certificate).map_err(|error| bad(Fault::Unreadable(error)))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let chain = chain.map_err(|error| bad(Fault::Pem(error)))?;
    if chain.is_empty() {
        return Err(bad(Fault::NoCertificate));
    }
    let bad_key = |fault| BadFile::new("key", key, fault);
    let bytes = fs::read(key).map_err(|error| bad_key(Fault::Unreadable(error)))?;
    let der = PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => bad_key(Fault::NoKey),
        error => bad_key(Fault::Pem(error)),
    })?;
    CertifiedKey::from_der(chain, der, &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => bad_key(Fault::OtherKey(certificate.to_owned())),
        rustls::Error::InvalidCertificate(_) => bad(Fault::Unusable(error)),
        error => bad_key(Fault::Unusable(error)),
    })
}

/// An OCSP response (DER) to staple, in a file that the configuration names in `ocsp_staple`. The client
/// verifies it.
///
/// # Errors
/// If the file cannot be read, or is not one DER sequence.
pub fn ocsp_staple(file: &str) -> Result<Vec<u8>, BadFile> {
    let bad = |fault| BadFile::new("ocsp_staple", file, fault);
    let bytes = fs::read(file).map_err(|error| bad(Fault::Unreadable(error)))?;
    // RFC 6960 section 4.2.1: an OCSPResponse is a SEQUENCE, whose tag is 0x30.
    if bytes.first() == Some(&0x30) { Ok(bytes) } else { Err(bad(Fault::NotOcsp)) }
}
