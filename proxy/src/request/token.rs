//! Admission by token.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use tidegate_access::ClientAddress;
use tidegate_access::token::{Carried, Refusal, Visit};
use tidegate_hls::Resource;

use crate::site::{Gate, Site};
use crate::tier::Tier;

/// Checks the token of a request for `resource`.
///
/// # Errors
/// When the token does not admit the request.
pub(crate) fn admit(
    tier: &Tier,
    gate: &Gate,
    carried: &Carried<'_>,
    method: &str,
    resource: &Resource,
    address: ClientAddress,
    now: SystemTime,
) -> Result<(), Refusal> {
    let visit = Visit {
        method,
        host: &resource.host,
        path: &resource.path,
        query: resource.query.as_deref(),
        address: address.ip(),
        country: None,
    };
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    gate.check(carried, &visit, || tier.access().countries().of(address), now)
}

/// The `Cookie` fields of a request.
pub(crate) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes)
}

/// Removes the token, and what may repeat it, from the header fields of a request to an upstream.
pub(crate) fn remove(site: &Site, headers: &mut HeaderMap) {
    let Some(gate) = &site.gate else { return };
    if let Some(field) = headers.remove(header::COOKIE)
        && let Some(rest) = field.to_str().ok().and_then(|field| gate.without_cookie(field))
        && let Ok(rest) = HeaderValue::from_str(&rest)
    {
        headers.insert(header::COOKIE, rest);
    }
    // The URL of the page or playlist before, and the player's report of the object that it requests next.
    headers.remove(header::REFERER);
    headers.remove(CMCD_REQUEST);
}

const CMCD_REQUEST: HeaderName = HeaderName::from_static("cmcd-request");
