//! Common Access Tokens (CTA-5007-B): CBOR Web Tokens (RFC 8392) in `COSE_Mac0` or `COSE_Sign1` (RFC 9052).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::base64url;
use super::cbor::{self, Value, write_head};
use super::grant::Scope;
use super::uri::{Component, Pattern};
use super::{Algorithm, Grant, Keys, Network, Refusal};

/// Whether a text can be a token of this form: base64url without dots.
pub(super) fn has_form(token: &str) -> bool {
    !token.is_empty() && !token.contains('.')
}

pub(super) fn verify(token: &str, keys: &Keys) -> Result<Grant, Refusal> {
    let bytes = base64url::decode(token.trim_end_matches('='))?;
    let (tag, message) = without_tags(cbor::decode(&bytes)?)?;
    let Value::Array(parts) = message else { return Err(Refusal::Malformed) };
    let [protected, unprotected, payload, signature] = parts.as_slice() else {
        return Err(Refusal::Malformed);
    };
    let part = |value: &Value<'_>| value.as_bytes().map(<[u8]>::to_vec).ok_or(Refusal::Malformed);
    let (protected, payload, signature) = (part(protected)?, part(payload)?, part(signature)?);
    let header = cbor::decode(&protected)?;
    if header.get(HEADER_CRITICAL).is_some() {
        return Err(Refusal::Unsupported("crit"));
    }
    let (algorithm, context) = match header.get(HEADER_ALGORITHM) {
        Some(Value::Int(ALGORITHM_HS256)) if tag != Some(TAG_SIGN1) => (Algorithm::Hs256, "MAC0"),
        Some(Value::Int(ALGORITHM_ES256)) if tag != Some(TAG_MAC0) => (Algorithm::Es256, "Signature1"),
        _ => return Err(Refusal::Algorithm),
    };
    let id = header.get(HEADER_KEY).or_else(|| unprotected.get(HEADER_KEY));
    let id = match id {
        None => None,
        Some(Value::Text(text)) => Some(*text),
        Some(Value::Bytes(bytes)) => Some(std::str::from_utf8(bytes).map_err(|_error| Refusal::UnknownKey)?),
        Some(_) => return Err(Refusal::Malformed),
    };
    keys.check(id, algorithm, &to_be_signed(context, &protected, &payload), &signature)?;
    grant(&cbor::decode(&payload)?, keys)
}

/// The message without its tags, and the tag that says how it is signed.
fn without_tags(value: Value<'_>) -> Result<(Option<u64>, Value<'_>), Refusal> {
    match value {
        Value::Tag(TAG_CWT, inner) => without_tags(*inner),
        Value::Tag(tag @ (TAG_MAC0 | TAG_SIGN1), inner) => Ok((Some(tag), *inner)),
        Value::Tag(..) => Err(Refusal::Malformed),
        value => Ok((None, value)),
    }
}

/// The bytes that are signed (RFC 9052 sections 4.4 and 6.3). A token is shorter than all lengths of 16
/// bits.
fn to_be_signed(context: &str, protected: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x84];
    for (major, bytes) in [(3, context.as_bytes()), (2, protected), (2, &[]), (2, payload)] {
        write_head(&mut out, major, u16::try_from(bytes.len()).unwrap_or(u16::MAX));
        out.extend_from_slice(bytes);
    }
    out
}

/// What the claims grant. A claim that is not listed here makes the token invalid: it might be a
/// restriction.
fn grant(claims: &Value<'_>, keys: &Keys) -> Result<Grant, Refusal> {
    let Value::Map(pairs) = claims else { return Err(Refusal::Malformed) };
    let mut grant = Grant::default();
    let mut expires = None;
    for (key, value) in pairs {
        let Value::Int(key) = key else { return Err(Refusal::Unsupported("an unknown claim")) };
        let value = || value.clone().untagged();
        match *key {
            // Issuer, subject and time of issue say who signed; catif and catifdata, what a refusal may be;
            // catr, how to renew the token, which this node does not: the token holds until it expires.
            1 | 2 | 6 | 320 | 322 | 323 => {}
            3 => check_audience(&value(), keys)?,
            4 => expires = Some(seconds(&value())?),
            5 => grant.not_before = seconds(&value())?,
            7 => grant.id = Some(id(&value())?),
            308 if value() == Value::Int(0) => {}
            308 => return Err(Refusal::Unsupported("catreplay")),
            310 if value() == Value::Int(1) => {}
            310 => return Err(Refusal::Unsupported("another version of catv")),
            311 => grant.networks = networks(value())?,
            312 => grant.scope = uris(value())?,
            313 => grant.methods = texts(value())?,
            316 => grant.countries = texts(value())?,
            _ => return Err(Refusal::Unsupported("an unknown claim")),
        }
    }
    grant.expires = expires.ok_or(Refusal::Malformed)?;
    Ok(grant)
}

fn check_audience(value: &Value<'_>, keys: &Keys) -> Result<(), Refusal> {
    let is_own = |value: &Value<'_>| value.as_text().is_some_and(|name| keys.accepts_audience(name));
    let accepted = match value {
        Value::Array(names) => names.iter().any(is_own),
        name => is_own(name),
    };
    if accepted { Ok(()) } else { Err(Refusal::Audience) }
}

fn seconds(value: &Value<'_>) -> Result<u64, Refusal> {
    match value {
        Value::Int(seconds) => u64::try_from(*seconds).map_err(|_error| Refusal::Malformed),
        _ => Err(Refusal::Malformed),
    }
}

/// The id of a token is a string of bytes: a text as it is, other bytes in base64url.
fn id(value: &Value<'_>) -> Result<Box<str>, Refusal> {
    let bytes = match value {
        Value::Text(text) => return Ok((*text).into()),
        Value::Bytes(bytes) => bytes,
        _ => return Err(Refusal::Malformed),
    };
    let text =
        std::str::from_utf8(bytes).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
    Ok(text.map_or_else(|| base64url::encode(bytes).into(), Into::into))
}

/// One text or a list of texts. An empty list grants nothing, and is refused.
fn texts(value: Value<'_>) -> Result<Vec<Box<str>>, Refusal> {
    let values = match value {
        Value::Array(values) if !values.is_empty() => values,
        Value::Text(_) => vec![value],
        _ => return Err(Refusal::Malformed),
    };
    values.iter().map(|value| value.as_text().map(Into::into).ok_or(Refusal::Malformed)).collect()
}

/// Addresses and networks (RFC 9164), or their texts.
fn networks(value: Value<'_>) -> Result<Vec<Network>, Refusal> {
    match value {
        Value::Array(values) if !values.is_empty() => values.into_iter().map(network).collect(),
        _ => Err(Refusal::Malformed),
    }
}

fn network(value: Value<'_>) -> Result<Network, Refusal> {
    let (tag, value) = match value {
        Value::Text(text) => return text.parse(),
        Value::Tag(tag @ (TAG_IPV4 | TAG_IPV6), value) => (tag, *value),
        Value::Int(_) => return Err(Refusal::Unsupported("catnip with a number of a network")),
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
            address(bytes).map(Network::exact).ok_or(Refusal::Malformed)
        }
        Value::Array(parts) => match parts.as_slice() {
            [Value::Int(len), Value::Bytes(bytes)] => {
                let len = u8::try_from(*len).map_err(|_error| Refusal::Malformed)?;
                address(bytes).and_then(|address| Network::new(address, len)).ok_or(Refusal::Malformed)
            }
            _ => Err(Refusal::Malformed),
        },
        _ => Err(Refusal::Malformed),
    }
}

/// The patterns for the parts of the URI, all of which must match.
fn uris(value: Value<'_>) -> Result<Scope, Refusal> {
    let Value::Map(components) = value else { return Err(Refusal::Malformed) };
    let mut rules = Vec::new();
    for (component, patterns) in components {
        let component = match component {
            Value::Int(0) => Component::Scheme,
            Value::Int(1) => Component::Host,
            Value::Int(3) => Component::Path,
            Value::Int(4) => Component::Query,
            Value::Int(5) => Component::ParentPath,
            Value::Int(6) => Component::Filename,
            Value::Int(7) => Component::Stem,
            Value::Int(8) => Component::Extension,
            _ => return Err(Refusal::Unsupported("this part of catu")),
        };
        let Value::Map(patterns) = patterns else { return Err(Refusal::Malformed) };
        for (kind, value) in patterns {
            rules.push((component, pattern(&kind, &value)?));
        }
    }
    Ok(Scope::Components(rules))
}

fn pattern(kind: &Value<'_>, value: &Value<'_>) -> Result<Pattern, Refusal> {
    let text = || value.as_text().map(Into::into).ok_or(Refusal::Malformed);
    Ok(match kind {
        Value::Int(0) => Pattern::Exact(text()?),
        Value::Int(1) => Pattern::Prefix(text()?),
        Value::Int(2) => Pattern::Suffix(text()?),
        Value::Int(3) => Pattern::Contains(text()?),
        Value::Int(4) => match value {
            // The expression may be the first of a list; the others name its groups.
            Value::Array(values) => {
                Pattern::regex(values.first().and_then(Value::as_text).ok_or(Refusal::Malformed)?)?
            }
            value => Pattern::regex(value.as_text().ok_or(Refusal::Malformed)?)?,
        },
        Value::Int(-1) => Pattern::Sha256(value.as_bytes().ok_or(Refusal::Malformed)?.into()),
        _ => return Err(Refusal::Unsupported("this kind of match in catu")),
    })
}

const TAG_MAC0: u64 = 17;
const TAG_SIGN1: u64 = 18;
const TAG_CWT: u64 = 61;
/// RFC 9164.
const TAG_IPV4: u64 = 52;
const TAG_IPV6: u64 = 54;
const HEADER_ALGORITHM: i64 = 1;
const HEADER_CRITICAL: i64 = 2;
const HEADER_KEY: i64 = 4;
const ALGORITHM_HS256: i64 = 5;
const ALGORITHM_ES256: i64 = -7;
