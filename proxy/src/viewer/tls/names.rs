//! The certificates of a listener by server name: exact names, wildcards, and a default.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;

/// Certificates with the same name, of different kinds of key, in the order of the configuration.
type Candidates = Vec<Arc<CertifiedKey>>;

/// The certificates of a listener.
#[derive(Debug, Default)]
pub(super) struct Names {
    exact: HashMap<String, Candidates>,
    /// By the part of the name behind `*.`.
    wildcards: HashMap<String, Candidates>,
    /// The first certificate, and others with the same names.
    default: Candidates,
}

impl Names {
    /// The certificates, the default first. A handshake for one of the `awaited` names is refused, unless a
    /// certificate has that name.
    pub(super) fn of<'a>(
        certificates: impl Iterator<Item = &'a Certificate>,
        awaited: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut names = Self::default();
        let mut first: Option<&Certificate> = None;
        for certificate in certificates {
            if first.get_or_insert(certificate).names == certificate.names {
                names.default.push(Arc::clone(&certificate.certified));
            }
            for name in &certificate.names {
                let candidates = match name.strip_prefix("*.") {
                    Some(parent) => names.wildcards.entry(parent.to_owned()).or_default(),
                    None => names.exact.entry(name.clone()).or_default(),
                };
                candidates.push(Arc::clone(&certificate.certified));
            }
        }
        for name in awaited {
            let parent = name.split_once('.').map(|(_label, parent)| parent);
            if parent.is_none_or(|parent| !names.wildcards.contains_key(parent)) {
                names.exact.entry(name.to_owned()).or_default();
            }
        }
        names
    }

    /// The certificate for a server name: by the whole name, else by a wildcard for its first label (RFC 9525
    /// section 6.3), else the default if the listener is not strict. `schemes` are the signatures that the
    /// client verifies.
    pub(super) fn find(
        &self,
        server_name: Option<&str>,
        schemes: &[SignatureScheme],
        is_strict: bool,
    ) -> Option<Arc<CertifiedKey>> {
        let named = server_name.and_then(|name| {
            let name = lowercase(name);
            let parent = || name.split_once('.').and_then(|(_label, parent)| self.wildcards.get(parent));
            self.exact.get(name.as_ref()).or_else(parent)
        });
        let candidates = match named {
            Some(candidates) => candidates,
            None if is_strict => return None,
            None => &self.default,
        };
        let is_usable = |certified: &&Arc<CertifiedKey>| certified.key.choose_scheme(schemes).is_some();
        candidates.iter().find(is_usable).or_else(|| candidates.first()).map(Arc::clone)
    }
}

fn lowercase(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}
