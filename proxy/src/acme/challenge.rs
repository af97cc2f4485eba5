//! The certificate that responds to TLS-ALPN-01 (RFC 8737 section 3).

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use tidegate_upstream::pem;

use super::storage::Storage;

/// The protocol (ALPN) that an authority offers in a handshake that validates a host.
pub(crate) const PROTOCOL: &[u8] = b"acme-tls/1";

/// The certificate for a host, if a node has published a challenge for it.
pub(crate) fn certificate(storage: &Storage, host: &str) -> Option<Arc<CertifiedKey>> {
    certify(host, &storage.alpn_response(host)?)
}

fn certify(host: &str, key_authorization: &str) -> Option<Arc<CertifiedKey>> {
    let mut params = CertificateParams::new(vec![host.to_owned()]).ok()?;
    let digest = digest(&SHA256, key_authorization.as_bytes());
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest.as_ref())];
    let key = KeyPair::generate().ok()?;
    let certificate = params.self_signed(&key).ok()?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = pem::provider().key_provider.load_private_key(key).ok()?;
    // `CertifiedKey::from_der` would refuse it: the critical extension is none that it knows.
    Some(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)))
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

    use super::*;

    #[test]
    fn the_certificate_names_the_host_and_has_the_digest_in_a_critical_extension() {
        let certified = certify("live.example", "token.thumbprint").unwrap();
        let (_rest, parsed) = X509Certificate::from_der(&certified.cert[0]).unwrap();
        let names = parsed.subject_alternative_name().unwrap().unwrap();
        assert_eq!(names.value.general_names, [GeneralName::DNSName("live.example")]);
        let extension =
            parsed.extensions().iter().find(|extension| extension.oid.to_id_string() == "1.3.6.1.5.5.7.1.31");
        let extension = extension.unwrap();
        let digest = digest(&SHA256, b"token.thumbprint");
        assert!(extension.critical);
        assert_eq!(extension.value, [&[4, 32][..], digest.as_ref()].concat());
    }
}
