//! Whether a client may send a request, and whether it may cause an upstream request: the rules of the site,
//! and the limits for one address, for one token, and for the site.

use std::sync::Arc;

use http::{HeaderMap, Method};
use tidegate_access::Rules;
use tidegate_access::token::Carried;

use crate::limits::{Traffic, Usage};
use crate::refusal::Refusal;
use crate::site::{Gate, Site};
use crate::tier::{Role, Tier};
use crate::viewer::client::Client;
use crate::viewer::peer::Peer;

/// Judges a request, and counts it for its address. A preflight is not judged: browsers do not show its
/// status.
///
/// # Errors
/// Why it is refused.
pub(super) fn judge_and_count(tier: &Tier, client: &Client, site: &Site) -> Result<(), Refusal> {
    tier.access().judge_secret(client.headers()).map_err(Refusal::Denied)?;
    if let Some(rules) = rules_of(tier, site)
        && *client.method() != Method::OPTIONS
    {
        tier.access().judge(rules, client.address(), client.headers()).map_err(Refusal::Denied)?;
    }
    if tier.limits().limits_requests()
        && let Some(usage) = client.usage()
    {
        tier.limits().request(&usage).map_err(Refusal::Limited)?;
    }
    traffic_of(tier, site).map_or(Ok(()), Traffic::check).map_err(Refusal::Limited)
}

/// Counts a request for its token, which was verified.
///
/// # Errors
/// When there were too many with this token.
pub(super) fn count_token(gate: &Gate, carried: &Carried<'_>) -> Result<(), Refusal> {
    match gate.limit().zip(carried.token.as_ref()) {
        Some((limit, (_, token))) => limit.request(&limit.usage(token)).map_err(Refusal::Limited),
        None => Ok(()),
    }
}

/// Counts the body of a response for its site.
pub(crate) fn count_bytes(tier: &Tier, site: &Site, body_bytes: u64) {
    if let Some(traffic) = traffic_of(tier, site) {
        traffic.count(body_bytes);
    }
}

/// A request that the fast path may answer.
#[derive(Debug)]
pub(crate) struct Allowed(Option<Arc<Usage>>);

impl Allowed {
    /// Counts the request for its address and its token, and its response for its site. It was within the
    /// limits a moment ago.
    pub(crate) fn count(self, tier: &Tier, site: &Site, token_usage: Option<&Usage>, body_bytes: u64) {
        if let Self(Some(usage)) = self {
            let _late = tier.limits().request(&usage);
        }
        if let Some((limit, usage)) = site.gate.as_deref().and_then(Gate::limit).zip(token_usage) {
            let _late = limit.request(usage);
        }
        count_bytes(tier, site, body_bytes);
    }
}

/// Whether the fast path may answer a request; if not, the slow path judges it. `headers` makes the header
/// fields of the request, if a rule needs them.
pub(crate) fn may_answer(
    tier: &Tier,
    peer: &Peer,
    site: &Site,
    headers: impl FnOnce() -> HeaderMap,
) -> Option<Allowed> {
    if traffic_of(tier, site).is_some_and(|traffic| traffic.check().is_err()) {
        return None;
    }
    let rules = rules_of(tier, site);
    let limits_requests = tier.limits().limits_requests();
    let needs_secret = tier.access().needs_secret();
    if rules.is_none() && !limits_requests && !needs_secret {
        return Some(Allowed(None));
    }
    let needs_fields = peer.is_proxy() || needs_secret || rules.is_some_and(Rules::need_fields);
    let headers = if needs_fields { headers() } else { HeaderMap::new() };
    if tier.access().judge_secret(&headers).is_err() {
        return None;
    }
    let client = peer.client(tier, &headers);
    if rules.is_some_and(|rules| tier.access().judge(rules, client, &headers).is_err()) {
        return None;
    }
    let usage = if limits_requests { peer.usage_by(tier, client) } else { None };
    usage.as_ref().is_none_or(|usage| tier.limits().may_request(usage)).then(|| Allowed(usage.clone()))
}

/// Whether the client of a request may cause an upstream request now.
///
/// # Errors
/// When its address has caused too many.
pub(super) fn may_fill(tier: &Tier, client: &Client) -> Result<(), Refusal> {
    match client.usage() {
        Some(usage) => tier.limits().may_fill(&usage).map_err(Refusal::Limited),
        None => Ok(()),
    }
}

/// Counts an upstream request for the address that causes it.
pub(crate) fn count_fill(tier: &Tier, client: &Client) {
    if let Some(usage) = client.usage() {
        tier.limits().fill(&usage);
    }
}

/// The limit for the bytes of a site. Only an edge applies it: the peers of a shield are edges.
fn traffic_of<'a>(tier: &Tier, site: &'a Site) -> Option<&'a Traffic> {
    site.traffic.as_deref().filter(|_| tier.role() == Role::Edge)
}

/// The rules of a site. Only an edge applies them: the peers of a shield are edges.
fn rules_of<'a>(tier: &Tier, site: &'a Site) -> Option<&'a Rules> {
    site.access.as_ref().filter(|_| tier.role() == Role::Edge)
}
