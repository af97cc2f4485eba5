//! Common Access Tokens (CTA-5007-B): CBOR Web Tokens (RFC 8392) in `COSE_Mac0` or `COSE_Sign1` (RFC 9052).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ciborium::Value;
use coset::iana::{self, EnumI64 as _};
use coset::{CoseMac0, CoseSign1, Header, ProtectedHeader, TaggedCborSerializable as _};
use coset::{MacContext, SignatureContext, mac_structure_data, sig_structure_data};

use super::base64url;
use super::cbor::{decode, get, int, untagged};
use super::grant::Scope;
use super::uri::{Component, Pattern};
use super::{Algorithm, Grant, Keys, Refusal};
use crate::cidr::Cidr;

/// Whether a text can be a token of this form: base64url without dots.
pub(super) fn has_form(token: &str) -> bool {
    !token.is_empty() && !token.contains('.')
}

pub(super) fn verify(token: &str, keys: &Keys) -> Result<Grant, Refusal> {
    let bytes = base64url::decode(token.trim_end_matches('='))?;
    let (tag, message) = without_tags(decode(&bytes)?)?;
    let Value::Array(parts) = message else { return Err(Refusal::Malformed) };
    let Ok([Value::Bytes(protected), unprotected, Value::Bytes(payload), Value::Bytes(signature)]) =
        <[Value; 4]>::try_from(parts)
    else {
        return Err(Refusal::Malformed);
    };
    // The headers are read as maps: coset's type for them refuses the name of a key that is a text, which
    // some signers send.
    let header = decode(&protected)?;
    if get(&header, iana::HeaderParameter::Crit.to_i64()).is_some() {
        return Err(Refusal::Unsupported("crit"));
    }
    let algorithm = algorithm(&header, tag)?;
    let key = iana::HeaderParameter::Kid.to_i64();
    let id = match get(&header, key).or_else(|| get(&unprotected, key)) {
        None => None,
        Some(Value::Text(text)) => Some(text.as_str()),
        Some(Value::Bytes(bytes)) => Some(std::str::from_utf8(bytes).map_err(|_error| Refusal::UnknownKey)?),
        Some(_) => return Err(Refusal::Malformed),
    };
    keys.check(id, algorithm, &to_be_signed(algorithm, protected, &payload), &signature)?;
    grant(&decode(&payload)?, keys)
}

/// The message without its tags, and the tag that says how it is signed.
fn without_tags(value: Value) -> Result<(Option<u64>, Value), Refusal> {
    match value {
        Value::Tag(TAG_CWT, inner) => without_tags(*inner),
        Value::Tag(tag @ (CoseMac0::TAG | CoseSign1::TAG), inner) => Ok((Some(tag), *inner)),
        Value::Tag(..) => Err(Refusal::Malformed),
        value => Ok((None, value)),
    }
}

/// The algorithm that the protected header names, which must suit the tag.
fn algorithm(header: &Value, tag: Option<u64>) -> Result<Algorithm, Refusal> {
    let named = get(header, iana::HeaderParameter::Alg.to_i64()).and_then(int);
    match named.and_then(iana::Algorithm::from_i64) {
        Some(iana::Algorithm::HMAC_256_256) if tag != Some(CoseSign1::TAG) => Ok(Algorithm::Hs256),
        Some(iana::Algorithm::ES256) if tag != Some(CoseMac0::TAG) => Ok(Algorithm::Es256),
        _ => Err(Refusal::Algorithm),
    }
}

/// The bytes that are signed (RFC 9052 sections 4.4 and 6.3).
fn to_be_signed(algorithm: Algorithm, protected: Vec<u8>, payload: &[u8]) -> Vec<u8> {
    // The header counts as it was received, not as coset would write it.
    let protected = ProtectedHeader { original_data: Some(protected), header: Header::default() };
    match algorithm {
        Algorithm::Hs256 => mac_structure_data(MacContext::CoseMac0, protected, &[], payload),
        Algorithm::Es256 => sig_structure_data(SignatureContext::CoseSign1, protected, None, &[], payload),
    }
}

/// What the claims grant. A claim that is not listed here makes the token invalid: it might be a
/// restriction.
fn grant(claims: &Value, keys: &Keys) -> Result<Grant, Refusal> {
    let mut grant = Grant::default();
    let mut expires = None;
    for (key, value) in claims.as_map().ok_or(Refusal::Malformed)? {
        let value = untagged(value);
        match int(key) {
            // Issuer, subject and time of issue say who signed; catif and catifdata, what a refusal may be;
            // catr, how to renew the token, which this node does not: the token holds until it expires.
            Some(1 | 2 | 6 | 320 | 322 | 323) => {}
            Some(3) => check_audience(value, keys)?,
            Some(4) => expires = Some(seconds(value)?),
            Some(5) => grant.not_before = seconds(value)?,
            Some(7) => grant.id = Some(id(value)?),
            Some(308) if int(value) == Some(0) => {}
            Some(308) => return Err(Refusal::Unsupported("catreplay")),
            Some(310) if int(value) == Some(1) => {}
            Some(310) => return Err(Refusal::Unsupported("another version of catv")),
            Some(311) => grant.networks = networks(value)?,
            Some(312) => grant.scope = uris(value)?,
            Some(313) => grant.methods = texts(value)?,
            Some(316) => grant.countries = texts(value)?,
            _ => return Err(Refusal::Unsupported("an unknown claim")),
        }
    }
    grant.expires = expires.ok_or(Refusal::Malformed)?;
    Ok(grant)
}

fn check_audience(value: &Value, keys: &Keys) -> Result<(), Refusal> {
    let is_own = |value: &Value| value.as_text().is_some_and(|name| keys.accepts_audience(name));
    let accepted = match value {
        Value::Array(names) => names.iter().any(is_own),
        name => is_own(name),
    };
    if accepted { Ok(()) } else { Err(Refusal::Audience) }
}

fn seconds(value: &Value) -> Result<u64, Refusal> {
    value.as_integer().and_then(|seconds| seconds.try_into().ok()).ok_or(Refusal::Malformed)
}

/// The id of a token is a string of bytes: a text as it is, other bytes in base64url.
fn id(value: &Value) -> Result<Box<str>, Refusal> {
    let bytes = match value {
        Value::Text(text) => return Ok(text.as_str().into()),
        Value::Bytes(bytes) => bytes,
        _ => return Err(Refusal::Malformed),
    };
    let text =
        std::str::from_utf8(bytes).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
    Ok(text.map_or_else(|| base64url::encode(bytes).into(), Into::into))
}

/// One text or a list of texts. An empty list grants nothing, and is refused.
fn texts(value: &Value) -> Result<Vec<Box<str>>, Refusal> {
    let values = match value {
        Value::Array(values) if !values.is_empty() => values.as_slice(),
        value => std::slice::from_ref(value),
    };
    values.iter().map(|value| value.as_text().map(Into::into).ok_or(Refusal::Malformed)).collect()
}

/// Addresses and networks (RFC 9164), or their texts.
fn networks(value: &Value) -> Result<Vec<Cidr>, Refusal> {
    match value {
        Value::Array(values) if !values.is_empty() => values.iter().map(network).collect(),
        _ => Err(Refusal::Malformed),
    }
}

fn network(value: &Value) -> Result<Cidr, Refusal> {
    let (tag, value) = match value {
        Value::Text(text) => return text.parse().map_err(|_error| Refusal::Malformed),
        Value::Tag(tag @ (TAG_IPV4 | TAG_IPV6), value) => (*tag, &**value),
        Value::Integer(_) => return Err(Refusal::Unsupported("catnip with a number of a network")),
        _ => return Err(Refusal::Unsupported("this kind of catnip")),
    };
    let address = |bytes: &[u8]| -> Option<IpAddr> {
        // Zeros at the end of a prefix are left out.
        let mut octets = [0; 16];
        octets.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let [a, b, c, d, ..] = octets;
        match tag {
            TAG_IPV4 if bytes.len() <= 4 => Some(Ipv4Addr::new(a, b, c, d).into()),
            TAG_IPV6 => Some(Ipv6Addr::from(octets).into()),
            _ => None,
        }
    };
    match value {
        Value::Bytes(bytes) if matches!((tag, bytes.len()), (TAG_IPV4, 4) | (TAG_IPV6, 16)) => {
            address(bytes).map(Cidr::from).ok_or(Refusal::Malformed)
        }
        Value::Array(parts) => match parts.as_slice() {
            [Value::Integer(len), Value::Bytes(bytes)] => {
                let len = u8::try_from(*len).map_err(|_error| Refusal::Malformed)?;
                address(bytes).and_then(|address| Cidr::new(address, len)).ok_or(Refusal::Malformed)
            }
            _ => Err(Refusal::Malformed),
        },
        _ => Err(Refusal::Malformed),
    }
}

/// The patterns for the parts of the URI, all of which must match.
fn uris(value: &Value) -> Result<Scope, Refusal> {
    let mut rules = Vec::new();
    for (component, patterns) in value.as_map().ok_or(Refusal::Malformed)? {
        let component = match int(component) {
            Some(0) => Component::Scheme,
            Some(1) => Component::Host,
            Some(3) => Component::Path,
            Some(4) => Component::Query,
            Some(5) => Component::ParentPath,
            Some(6) => Component::Filename,
            Some(7) => Component::Stem,
            Some(8) => Component::Extension,
            _ => return Err(Refusal::Unsupported("this part of catu")),
        };
        for (kind, value) in patterns.as_map().ok_or(Refusal::Malformed)? {
            rules.push((component, pattern(kind, value)?));
        }
    }
    Ok(Scope::Components(rules))
}

fn pattern(kind: &Value, value: &Value) -> Result<Pattern, Refusal> {
    let text = || value.as_text().map(Into::into).ok_or(Refusal::Malformed);
    Ok(match int(kind) {
        Some(0) => Pattern::Exact(text()?),
        Some(1) => Pattern::Prefix(text()?),
        Some(2) => Pattern::Suffix(text()?),
        Some(3) => Pattern::Contains(text()?),
        Some(4) => {
            // The expression may be the first of a list; the others name its groups.
            let regex = value.as_array().map_or(Some(value), |values| values.first());
            Pattern::regex(regex.and_then(Value::as_text).ok_or(Refusal::Malformed)?)?
        }
        Some(-1) => Pattern::Sha256(value.as_bytes().ok_or(Refusal::Malformed)?.as_slice().into()),
        _ => return Err(Refusal::Unsupported("this kind of match in catu")),
    })
}

/// RFC 8392 section 6.
const TAG_CWT: u64 = 61;
/// RFC 9164.
const TAG_IPV4: u64 = 52;
const TAG_IPV6: u64 = 54;
