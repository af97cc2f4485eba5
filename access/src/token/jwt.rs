//! JSON Web Tokens with the claims of RFC 9246 (URI signing for CDN interconnection).

use serde::Deserialize;
use serde_json::{Map, Value};

use super::base64url::decode;
use super::grant::Scope;
use super::uri::Pattern;
use super::{Algorithm, Grant, Keys, Refusal};

/// The header of a token.
#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

/// The claims that this node implements, for tokens that name those that must be.
const IMPLEMENTED: [&str; 11] =
    ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cdniv", "cdnicrit", "cdniuc", "cdnistd"];

/// Whether a token has the three parts of a JWT.
pub(super) fn has_form(token: &str) -> bool {
    token.starts_with("eyJ") && token.split('.').count() == 3
}

pub(super) fn verify(token: &str, keys: &Keys) -> Result<Grant, Refusal> {
    let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(Refusal::Malformed)?;
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_error| Refusal::Malformed)?;
    if header.crit.is_some() {
        return Err(Refusal::Unsupported("crit"));
    }
    let algorithm = match header.alg.as_str() {
        "HS256" => Algorithm::Hs256,
        "ES256" => Algorithm::Es256,
        _ => return Err(Refusal::Algorithm),
    };
    keys.check(header.kid.as_deref(), algorithm, signed.as_bytes(), &decode(signature)?)?;
    let claims: Map<String, Value> =
        serde_json::from_slice(&decode(payload)?).map_err(|_error| Refusal::Malformed)?;
    grant(&claims, keys)
}

fn grant(claims: &Map<String, Value>, keys: &Keys) -> Result<Grant, Refusal> {
    check_version(claims)?;
    if let Some(audience) = claims.get("aud") {
        let is_own = |value: &Value| value.as_str().is_some_and(|name| keys.accepts_audience(name));
        let accepted = match audience {
            Value::Array(names) => names.iter().any(is_own),
            name => is_own(name),
        };
        if !accepted {
            return Err(Refusal::Audience);
        }
    }
    let container = claims.get("cdniuc").and_then(Value::as_str).ok_or(Refusal::Malformed)?;
    let pattern = match container.split_once(':') {
        Some(("regex", regex)) => Pattern::regex(regex)?,
        Some(("hash", hash)) => {
            let hash =
                hash.strip_prefix("sha-256;").ok_or(Refusal::Unsupported("a hash other than sha-256"))?;
            Pattern::Sha256(decode(hash)?.into())
        }
        _ => return Err(Refusal::Unsupported("a container other than regex and hash")),
    };
    Ok(Grant {
        id: claims.get("jti").and_then(Value::as_str).map(Into::into),
        expires: seconds(claims.get("exp"))?.ok_or(Refusal::Malformed)?,
        not_before: seconds(claims.get("nbf"))?.unwrap_or(0),
        scope: Scope::Uri(pattern),
        ..Grant::default()
    })
}

/// Refuses other versions of the claims, and those that restrict the token in a way that this node does not
/// implement.
fn check_version(claims: &Map<String, Value>) -> Result<(), Refusal> {
    if claims.get("cdniv").is_some_and(|version| version.as_u64() != Some(1)) {
        return Err(Refusal::Unsupported("another version of cdniv"));
    }
    // An encrypted address: the node has no key for it.
    if claims.contains_key("cdniip") {
        return Err(Refusal::Unsupported("cdniip"));
    }
    // A renewed token would be needed before this one expires.
    if claims.get("cdnistt").is_some_and(|transport| transport.as_u64() != Some(0)) {
        return Err(Refusal::Unsupported("cdnistt"));
    }
    let critical = claims.get("cdnicrit").map_or(Some(""), Value::as_str).ok_or(Refusal::Malformed)?;
    let mut critical = critical.split(',').map(str::trim).filter(|name| !name.is_empty());
    if critical.any(|name| !IMPLEMENTED.contains(&name)) {
        return Err(Refusal::Unsupported("a critical claim"));
    }
    Ok(())
}

/// A time in seconds since 1970; a fraction does not count.
fn seconds(claim: Option<&Value>) -> Result<Option<u64>, Refusal> {
    let Some(claim) = claim else { return Ok(None) };
    if let Some(seconds) = claim.as_u64() {
        return Ok(Some(seconds));
    }
    let seconds = claim.as_f64().filter(|seconds| (0.0..1e15).contains(seconds)).ok_or(Refusal::Malformed)?;
    format!("{}", seconds.trunc()).parse().map(Some).map_err(|_error| Refusal::Malformed)
}
