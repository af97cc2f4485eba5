//! The marks of every response: Cache-Status, X-Cache, Via, and CORS where a site allows it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tidegate_cache::{Failure, Object};
use tidegate_headers::cache_status::{self, Member, Reason};
use tidegate_headers::cors::Cors;
use tidegate_headers::hop;
use tidegate_upstream::UpstreamError;
use tokio::time::Instant;

use crate::fate::Fate;
use crate::refusal;
use crate::site::Site;
use crate::tier::{Role, Tier};

/// How a request was handled, for the marks of its response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handling<'a> {
    pub(crate) fate: Fate,
    /// Why it was forwarded, if it was.
    pub(crate) reason: Option<Reason>,
    /// The failure of its fill.
    pub(crate) failure: Option<&'a Failure>,
    /// The error that prevents a newer version of a live playlist.
    pub(crate) error: Option<UpstreamError>,
}

impl Handling<'_> {
    /// This node handled it alone.
    pub(crate) const fn here(fate: Fate) -> Self {
        Self { fate, reason: None, failure: None, error: None }
    }

    /// It was forwarded.
    pub(crate) const fn forward(fate: Fate, reason: Reason) -> Self {
        Self { fate, reason: Some(reason), failure: None, error: None }
    }
}

/// Adds the marks of every response: Cache-Status, X-Cache, Via; or removes them all, if the tier hides them.
pub(crate) fn add(tier: &Tier, headers: &mut HeaderMap, handling: Handling<'_>, object: Option<&Object>) {
    if !tier.is_exposed() {
        return hide(headers);
    }
    let now = Instant::now();
    let ttl = object.map(|object| ttl(object, object.age(now)));
    let received = handling.failure.and_then(refusal::received_status);
    let status = match (handling.fate, handling.failure) {
        (Fate::Revalidated, _) => Some(StatusCode::NOT_MODIFIED.as_u16()),
        (_, Some(_)) => received,
        (_, None) => object.map(|object| object.head.status.as_u16()),
    };
    let failed = handling.failure.filter(|_| received.is_none()).map(|failure| failure.reason);
    let detail = failed.or_else(|| handling.error.map(UpstreamError::token));
    let outcome = handling.fate.outcome(handling.reason, status, object.is_some());
    cache_status::append(headers, &Member { node: tier.node(), outcome, ttl, detail });
    cache_status::append_x_cache(headers, handling.fate.x_cache());
    hop::append_via(headers, tier.settings().upstream.http.http(), tier.node());
}

/// Removes the marks of this tier and of those before it.
fn hide(headers: &mut HeaderMap) {
    for name in ["cache-status", "x-cache", "via", "proxy-status", "server-timing"] {
        headers.remove(name);
    }
}

/// The text of an error for viewers: with its reason, unless the tier hides it. `headers` are those of the
/// text.
pub(crate) fn error_text(tier: &Tier, status: StatusCode, text: Bytes, headers: &mut HeaderMap) -> Bytes {
    if tier.is_exposed() {
        return text;
    }
    let text = format!("{status}\n");
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
    text.into()
}

/// Lets players on other web sites read the response to `viewer`, the header fields of a request. Only the
/// edge does so, because viewers connect to it.
pub(crate) fn allow_reading(tier: &Tier, site: &Site, viewer: &HeaderMap, headers: &mut HeaderMap) {
    if let Some(cors) = cors(tier, site) {
        cors.apply(headers, viewer.get(header::ORIGIN));
    }
}

/// The fields of `allow_reading` that are the same for all requests.
pub(crate) fn allow_reading_shared(tier: &Tier, site: &Site, headers: &mut HeaderMap) {
    if let Some(cors) = cors(tier, site) {
        cors.apply_shared(headers);
    }
}

/// The CORS fields of a site whose responses differ by the page that reads them.
pub(crate) fn cors_by_page<'a>(tier: &Tier, site: &'a Site) -> Option<&'a Cors> {
    cors(tier, site).filter(|cors| cors.varies())
}

fn cors<'a>(tier: &Tier, site: &'a Site) -> Option<&'a Cors> {
    site.cors.as_ref().filter(|_| tier.role() == Role::Edge)
}

/// The seconds of an age for the field `Age`: the nearest whole number. Each tier adds to the number of the
/// tier before it, and if each of them left out the fraction, two tiers would be wrong by two seconds.
pub(crate) fn seconds_of_age(age: Duration) -> u64 {
    age.as_secs().saturating_add(u64::from(age.subsec_millis() >= 500))
}

/// `allow_reading` for an error before a site is found: a page may read that its request was refused if one
/// of the sites allows reading.
pub(crate) fn allow_reading_error(tier: &Tier, viewer: &HeaderMap, headers: &mut HeaderMap) {
    if let Some(site) = tier.sites().all().iter().find(|site| site.cors.is_some()) {
        allow_reading(tier, site, viewer, headers);
    }
}

/// The seconds for which an object of this age is still fresh; negative if it is stale.
pub(crate) fn ttl(object: &Object, age: Duration) -> i64 {
    let seconds = |period: Duration| i64::try_from(period.as_secs()).unwrap_or(i64::MAX);
    seconds(object.lifetimes.ttl) - seconds(age)
}
