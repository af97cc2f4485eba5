//! Admission by token: from a carried token to the links that it gives to a playlist, or to a refusal.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use tidegate_access::ClientAddress;
use tidegate_access::token::{Refusal, Visit};
use tidegate_hls::{Addition, Resource};

use crate::site::Site;
use crate::site::config::token::Carrier;
use crate::site::gate::{Carried, Gate};
use crate::tier::Tier;

/// What the links of a playlist get, so that the next requests of its viewer have the token as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// A query parameter.
    Parameter(String),
    /// The first component of the path. Relative links have it already.
    Path(String),
}

impl Link {
    pub(crate) fn addition(&self) -> Addition<'_> {
        match self {
            Self::Parameter(text) => Addition::Parameter(text),
            Self::Path(text) => Addition::Path(text),
        }
    }

    /// A cookie reaches all resources of its site without a change of their links.
    fn of(gate: &Gate, carried: &Carried<'_>) -> Option<Arc<Self>> {
        let (carrier, token) = carried.token.as_ref()?;
        match carrier {
            Carrier::Path => Some(Arc::new(Self::Path(format!("/~{token}")))),
            Carrier::Query => Some(Arc::new(Self::Parameter(format!("{}={token}", gate.parameter())))),
            Carrier::Cookie => None,
        }
    }
}

/// Checks the token of a request for `resource`. Returns what the links of a playlist get.
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
) -> Result<Option<Arc<Link>>, Refusal> {
    let country = tier.access().countries().of(address);
    let visit = Visit {
        method,
        host: &resource.host,
        path: &resource.path,
        query: resource.query.as_deref(),
        address: address.ip(),
        country: country.as_ref().map(|country| country.as_str()),
    };
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    gate.check(carried, &visit, now)?;
    Ok(Link::of(gate, carried))
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
