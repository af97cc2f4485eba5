//! One certificate: its key, its names and its time.

use std::sync::Arc;

use rustls::sign::CertifiedKey;
use tidegate_upstream::pem::{self, BadFile};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::config::tls::Certificate as Configured;

/// A certificate that was read and can be used.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    pub(super) certified: Arc<CertifiedKey>,
    /// The server names for which it is used, in lower case: `live.example` or `*.example`.
    pub(super) names: Vec<String>,
    /// The time at which it expires, in seconds since 1970.
    pub(super) not_after: i64,
}

/// What the certificate says about itself.
struct Facts {
    names: Vec<String>,
    not_after: i64,
}

impl Certificate {
    /// Reads the files of a certificate.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub(super) fn load(configured: &Configured) -> Result<Self, BadFile> {
        let mut certified = pem::certified_key(&configured.certificate, &configured.key)?;
        if let Some(staple) = &configured.ocsp_staple {
            certified.ocsp = Some(pem::ocsp_staple(staple)?);
        }
        let der = certified.end_entity_cert().map(AsRef::as_ref).unwrap_or_default();
        // rustls has parsed the certificate before: it fails here only if the two parsers disagree.
        let Facts { names, not_after } = facts(der).unwrap_or(Facts { names: Vec::new(), not_after: 0 });
        let names = if configured.hosts.is_empty() { names } else { configured.hosts.clone() };
        let names = names.iter().map(|name| name.trim_end_matches('.').to_ascii_lowercase()).collect();
        Ok(Self { certified: Arc::new(certified), names, not_after })
    }
}

fn facts(der: &[u8]) -> Option<Facts> {
    let (_rest, parsed) = X509Certificate::from_der(der).ok()?;
    let listed = parsed.subject_alternative_name().ok().flatten();
    let listed = listed.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    let names = listed.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    Some(Facts { names: names.collect(), not_after: parsed.validity().not_after.timestamp() })
}
