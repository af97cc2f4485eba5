//! The keys that sign tokens. Each has a name and one algorithm.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Refusal;

/// A key, with its name.
#[derive(Clone)]
pub struct Key {
    id: Box<str>,
    secret: Secret,
}

#[derive(Clone)]
enum Secret {
    Hmac(Box<hmac::Key>),
    P256(Box<ParsedPublicKey>),
}

/// The algorithm of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256: the signer and the verifier have the same secret.
    Hs256,
    /// ECDSA on P-256 with SHA-256: the verifier has the public key.
    Es256,
}

/// The content of a key file that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A secret that can be guessed.
    #[error("a secret needs at least {SECRET_BYTES_MIN} characters; `openssl rand -hex 32` makes one")]
    Short,
    /// A PEM file without a public key of P-256.
    #[error("a PEM file must have a public key of P-256 (BEGIN PUBLIC KEY)")]
    Pem,
    /// The private half of a key pair: verifiers must not have it.
    #[error("this is a private key; an edge needs the public key only")]
    Private,
}

/// The keys of a site.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    keys: Vec<Key>,
    /// The name of this service in tokens that have an audience.
    audience: Option<Box<str>>,
}

impl Key {
    /// Reads the content of a key file: a PEM file with a public key, or any other text, which is a secret.
    /// Blanks and line breaks around a secret do not count.
    ///
    /// # Errors
    /// When the text is neither.
    pub fn parse(id: &str, text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let secret = if text.starts_with("-----BEGIN") {
            Secret::P256(Box::new(p256(text)?))
        } else if text.len() < SECRET_BYTES_MIN {
            return Err(KeyError::Short);
        } else {
            Secret::Hmac(Box::new(hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes())))
        };
        Ok(Self { id: id.into(), secret })
    }

    /// The key's name, which tokens give (`kid`).
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its algorithm.
    pub fn algorithm(&self) -> Algorithm {
        match self.secret {
            Secret::Hmac(_) => Algorithm::Hs256,
            Secret::P256(_) => Algorithm::Es256,
        }
    }

    /// The MAC of `message`; `None` for a public key, which cannot sign.
    pub fn mac(&self, message: &[u8]) -> Option<Vec<u8>> {
        match &self.secret {
            Secret::Hmac(key) => Some(hmac::sign(key, message).as_ref().to_vec()),
            Secret::P256(_) => None,
        }
    }

    /// Whether the key has signed `message`. Takes the same time for each wrong signature.
    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.secret {
            Secret::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            Secret::P256(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

impl Keys {
    /// The keys of a site. Tokens with an audience are accepted if it is `audience`.
    pub fn new(keys: Vec<Key>, audience: Option<&str>) -> Self {
        Self { keys, audience: audience.map(Into::into) }
    }

    /// All keys.
    pub fn all(&self) -> &[Key] {
        &self.keys
    }

    /// The key that signs new tokens: the last one that can.
    pub fn signer(&self) -> Option<&Key> {
        self.keys.iter().rfind(|key| key.algorithm() == Algorithm::Hs256)
    }

    /// Whether tokens for `audience` are for this service.
    pub fn accepts_audience(&self, audience: &str) -> bool {
        self.audience.as_deref() == Some(audience)
    }

    /// Checks a signature. The key decides on the algorithm, and the token must agree. A token without the
    /// name of a key is compared with all keys of its algorithm.
    ///
    /// # Errors
    /// When the key is not known, has another algorithm, or has not signed the message.
    pub fn check(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Refusal> {
        let mut named = self.keys.iter().filter(|key| id.is_none_or(|id| *key.id == *id)).peekable();
        if named.peek().is_none() {
            return Err(Refusal::UnknownKey);
        }
        let mut fitting = named.filter(|key| key.algorithm() == algorithm).peekable();
        if fitting.peek().is_none() {
            return Err(Refusal::Algorithm);
        }
        if fitting.any(|key| key.has_signed(message, signature)) { Ok(()) } else { Err(Refusal::Signature) }
    }
}

/// Without the secret.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

/// A public key of P-256 in PEM.
fn p256(pem: &str) -> Result<ParsedPublicKey, KeyError> {
    if pem.contains("PRIVATE KEY-----") {
        return Err(KeyError::Private);
    }
    let body = pem
        .strip_prefix("-----BEGIN PUBLIC KEY-----")
        .and_then(|rest| rest.split_once("-----END PUBLIC KEY-----"))
        .map(|(body, _)| body.split_ascii_whitespace().collect::<String>());
    let der = body.and_then(|body| STANDARD.decode(body).ok()).ok_or(KeyError::Pem)?;
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, der).map_err(|_error| KeyError::Pem)
}

/// HMAC with SHA-256 needs a secret as long as its result (RFC 7518 section 3.2).
const SECRET_BYTES_MIN: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    /// From `openssl ec -pubout` of a throw-away key.
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEX60z0gurX0K+TY4cyNqd4vvdk3h1\n\
        U3zoNK0jXrwyOQsY8tqGTZ9p5opvpQc5ko8OpCdWg3rewsqYXn6S4F/ZeQ==\n-----END PUBLIC KEY-----\n";

    /// The same of P-384.
    const P384: &str = "-----BEGIN PUBLIC KEY-----\n\
        MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAExbDVBBki/Gjahixp9AbdqLVlBn97+lJ3\n\
        qTqrbow6mp64P4dWfw1p7RIfwtnnZpXcz7cCX8jb1Y4z29sdTC7MG8si2MV5eeZw\n\
        VYrApFkYQgoeB1FdgvHdyFbNYOF/srfH\n\
        -----END PUBLIC KEY-----";

    #[test]
    fn a_key_file_has_a_secret_or_a_public_key() {
        assert_eq!(Key::parse("a", &format!("\n{SECRET}\r\n")).unwrap().algorithm(), Algorithm::Hs256);
        assert_eq!(Key::parse("a", PUBLIC).unwrap().algorithm(), Algorithm::Es256);
        for (text, error) in [
            ("", KeyError::Short),
            ("0123456789abcdef0123456789abcde\n", KeyError::Short),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", KeyError::Pem),
            ("-----BEGIN PUBLIC KEY-----\nMFkw", KeyError::Pem),
            (P384, KeyError::Pem),
            // A point that is not on the curve.
            (&PUBLIC.replace("ZeQ==", "ZeA=="), KeyError::Pem),
            ("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----", KeyError::Private),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", KeyError::Pem),
        ] {
            assert_eq!(Key::parse("a", text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn the_key_decides_on_the_algorithm() {
        let keys = Keys::new(
            vec![Key::parse("secret", SECRET).unwrap(), Key::parse("public", PUBLIC).unwrap()],
            None,
        );
        let mac = keys.all()[0].mac(b"message").unwrap();
        let check = |id, algorithm, signature: &[u8]| keys.check(id, algorithm, b"message", signature);
        assert_eq!(check(Some("secret"), Algorithm::Hs256, &mac), Ok(()));
        assert_eq!(check(None, Algorithm::Hs256, &mac), Ok(()));
        assert_eq!(check(Some("public"), Algorithm::Hs256, &mac), Err(Refusal::Algorithm));
        assert_eq!(check(Some("secret"), Algorithm::Es256, &mac), Err(Refusal::Algorithm));
        assert_eq!(check(Some("public"), Algorithm::Es256, &mac), Err(Refusal::Signature));
        assert_eq!(check(Some("other"), Algorithm::Hs256, &mac), Err(Refusal::UnknownKey));
        assert_eq!(check(Some("secret"), Algorithm::Hs256, &mac[..31]), Err(Refusal::Signature));
        // The public key as an HMAC secret is the classic confusion.
        let confused = Key::parse("public", &PUBLIC.replace("-----BEGIN", "x-----BEGIN")).unwrap();
        let forged = confused.mac(b"message").unwrap();
        assert_eq!(check(Some("public"), Algorithm::Hs256, &forged), Err(Refusal::Algorithm));
        assert!(!format!("{keys:?}").contains(SECRET));
    }

    #[test]
    fn the_last_secret_signs() {
        let key = |id| Key::parse(id, SECRET).unwrap();
        let keys =
            Keys::new(vec![key("old"), key("new"), Key::parse("public", PUBLIC).unwrap()], Some("cdn"));
        assert_eq!(keys.signer().map(Key::id), Some("new"));
        assert!(keys.accepts_audience("cdn") && !keys.accepts_audience(""));
        assert!(Keys::default().signer().is_none());
    }
}
