//! Tidegate's own format: `tg1.PAYLOAD.MAC`.

use serde::{Deserialize, Serialize};

use super::base64url::{decode, encode};
use super::grant::Scope;
use super::{Algorithm, Grant, Key, Keys, Prefix, Refusal};
use crate::cidr::Cidr;

/// The beginning of each token: the version of the format.
pub(super) const VERSION: &str = "tg1.";

/// The payload of a token. A claim that is not listed here makes the token invalid: it might be a
/// restriction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// The name of the key. Without it, all keys are tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// When the token expires, in seconds since 1970.
    pub exp: u64,
    /// When it begins to be valid, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// The path prefix that it grants, of whole components.
    pub path: String,
    /// Its id, by which it can be revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The client address that it is for, or a prefix of addresses such as `192.0.2.0/24`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// The countries that it is for (ISO 3166, two letters).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub cc: Vec<String>,
}

/// Signs a token. `None` for a public key, which cannot sign. The name of the key replaces that of the
/// claims.
pub fn sign(claims: &Claims, key: &Key) -> Option<String> {
    let claims = Claims { kid: Some(key.id().to_owned()), ..claims.clone() };
    let payload = serde_json::to_vec(&claims).ok()?;
    let mut token = format!("{VERSION}{}", encode(&payload));
    let mac = key.mac(token.as_bytes())?;
    token.push('.');
    token.push_str(&encode(&mac));
    Some(token)
}

pub(super) fn verify(token: &str, keys: &Keys) -> Result<Grant, Refusal> {
    let (signed, mac) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
    let payload = signed.strip_prefix(VERSION).ok_or(Refusal::Malformed)?;
    let claims: Claims = serde_json::from_slice(&decode(payload)?).map_err(|_error| Refusal::Malformed)?;
    keys.check(claims.kid.as_deref(), Algorithm::Hs256, signed.as_bytes(), &decode(mac)?)?;
    Grant::try_from(claims)
}

impl TryFrom<Claims> for Grant {
    type Error = Refusal;

    fn try_from(claims: Claims) -> Result<Self, Refusal> {
        let prefix = Prefix::parse(&claims.path).map_err(|_error| Refusal::Malformed)?;
        let networks = claims.ip.iter().map(|ip| ip.parse::<Cidr>()).collect::<Result<_, _>>();
        Ok(Self {
            id: claims.id.map(Into::into),
            expires: claims.exp,
            not_before: claims.nbf.unwrap_or(0),
            scope: Scope::Below(prefix),
            networks: networks.map_err(|_error| Refusal::Malformed)?,
            countries: claims.cc.into_iter().map(Into::into).collect(),
            methods: Vec::new(),
        })
    }
}
