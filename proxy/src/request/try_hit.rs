//! The requests that the fast path can answer: simple requests for objects that are fresh and complete in the
//! cache.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use tidegate_access::token::Carrier;
use tidegate_cache::{Key, Object};
use tidegate_headers::hop;
use tidegate_hls::{Directives, Kind, Resource};
use tokio::time::Instant;

use super::link::Link;
use super::read::site;
use super::slice::Slice;
use super::target;
use super::token;
use crate::clock;
use crate::limits::Usage;
use crate::live::stream::Stream;
use crate::site::{Gate, Site, Sites};
use crate::tier::Tier;
use crate::viewer::fast_path::simple_head::SimpleHead;
use crate::viewer::peer::Peer;

/// A request whose fate is a hit.
#[derive(Debug)]
pub(crate) struct Hit<'a> {
    pub(crate) target: Arc<ResolvedTarget>,
    pub(crate) cmcd: Option<String>,
    pub(crate) object: Arc<Object>,
    /// The stream, if the object is a playlist.
    pub(crate) stream: Option<Arc<Stream>>,
    /// The viewer's token, and where it was.
    pub(crate) token: Option<Token<'a>>,
    /// The use of the viewer's token, if that is limited.
    pub(crate) token_usage: Option<Arc<Usage>>,
}

type Token<'a> = (Carrier, Cow<'a, str>);

impl Hit<'_> {
    /// What the links of a playlist get.
    pub(crate) fn link(&self) -> Option<Link> {
        let (carrier, token) = self.token.as_ref()?;
        Link::of(self.target.site.gate.as_deref()?, *carrier, token)
    }
}

/// A target without delivery directives, normalised.
#[derive(Debug)]
pub(crate) struct ResolvedTarget {
    pub(crate) site: Arc<Site>,
    pub(crate) kind: Kind,
    pub(crate) key: Key,
    /// Where its viewers count (`audience/recent.rs`).
    pub(crate) place: u64,
    /// The normal form of the target, on a site that checks tokens.
    resource: Option<Box<Resource>>,
}

/// The target of a request, and what is known of its viewer.
struct Resolved<'a> {
    target: Arc<ResolvedTarget>,
    cmcd: Option<String>,
    token: Option<Token<'a>>,
    token_usage: Option<Arc<Usage>>,
}

/// The hit for a request, if the request needs no wait, fill or refusal. The steps are those of `serve`; a
/// request for which one of them would do more than look takes the slow path.
pub(crate) fn try_hit<'a>(
    tier: &Tier,
    simple_head: &'a SimpleHead<'_>,
    peer: &Peer,
    now: Instant,
) -> Option<Hit<'a>> {
    if hop::loops(&simple_head.deciding, tier.node()) {
        return None;
    }
    let Resolved { target, cmcd, token, token_usage } = resolve(tier, simple_head, peer)?;
    let is_slice = Slice::requested(&simple_head.method, &simple_head.deciding).is_some();
    if is_slice && tier.streams().lists_slices_of(&target.key) {
        return None;
    }
    let object = tier.cache().fresh(&target.key, now)?;
    if object.head.status != StatusCode::OK || !object.body.is_complete() {
        return None;
    }
    let stream = tier.streams().of_kind(target.kind, &target.key);
    if stream.as_ref().is_some_and(|stream| stream.wants_follower()) {
        // The second use of a live playlist starts its follower.
        return None;
    }
    Some(Hit { target, cmcd, object, stream, token, token_usage })
}

/// Resolves a target, and returns its CMCD. Parsing a target takes longer than the lookup of its object, and
/// players request the same few targets again and again.
fn resolve<'a>(tier: &Tier, simple_head: &'a SimpleHead<'_>, peer: &Peer) -> Option<Resolved<'a>> {
    let (host, target) = (simple_head.host, simple_head.target);
    if let Some(target) = TARGETS.with_borrow(|targets| targets.find(tier.sites_id(), host, target)) {
        return Some(Resolved { target, cmcd: None, token: None, token_usage: None });
    }
    let sites = tier.sites();
    let site = site(&sites, &target::host_name(host), host, target)?;
    if let Some(gate) = &site.gate {
        return resolve_gated(tier, &sites, simple_head, site, gate, peer);
    }
    let (target, cmcd) = parse(tier, site, host, target)?;
    if cmcd.is_none() {
        TARGETS.with_borrow_mut(|targets| targets.insert(sites.id(), host, simple_head.target, &target));
    }
    Some(Resolved { target, cmcd, token: None, token_usage: None })
}

/// The same on a site that checks tokens. The targets of such sites are remembered apart, without their
/// tokens: they resolve only after the token of the request was checked.
fn resolve_gated<'a>(
    tier: &Tier,
    sites: &Sites,
    simple_head: &'a SimpleHead<'_>,
    site: &Arc<Site>,
    gate: &Gate,
    peer: &Peer,
) -> Option<Resolved<'a>> {
    let carried = gate.take(simple_head.target, simple_head.cookies());
    let (host, target) = (simple_head.host, &*carried.target);
    let known = GATED_TARGETS.with_borrow(|targets| targets.find(sites.id(), host, target));
    let (resolved, cmcd) = if let Some(resolved) = known {
        (resolved, None)
    } else {
        let (resolved, cmcd) = parse(tier, site, host, target)?;
        if cmcd.is_none() {
            GATED_TARGETS.with_borrow_mut(|targets| targets.insert(sites.id(), host, target, &resolved));
        }
        (resolved, cmcd)
    };
    let headers = if peer.is_proxy() { simple_head.headers() } else { HeaderMap::new() };
    let (method, address) = (simple_head.method.as_str(), peer.client(tier, &headers));
    let resource = resolved.resource.as_deref()?;
    // The slow path answers a refusal.
    token::admit(tier, gate, &carried, method, resource, address, clock::now()).ok()?;
    let mut token_usage = None;
    if let Some((limit, (_, token))) = gate.limit().zip(carried.token.as_ref()) {
        let usage = limit.usage(token);
        if !limit.may_request(&usage) {
            return None;
        }
        token_usage = Some(usage);
    }
    Some(Resolved { target: resolved, cmcd, token: carried.token, token_usage })
}

/// Parses a target; `None` if it has delivery directives.
fn parse(
    tier: &Tier,
    site: &Arc<Site>,
    host: &str,
    target: &str,
) -> Option<(Arc<ResolvedTarget>, Option<String>)> {
    let mut resource = Resource::parse(host, target, &site.query).ok()?;
    if resource.directives != Directives::default() {
        return None;
    }
    let key = Key::new(&site.name, &resource.path_and_query());
    let (kind, cmcd) = (resource.kind, resource.cmcd.take());
    let place = tier.audience().place(&key, kind == Kind::Segment);
    let resource = site.gate.is_some().then(|| Box::new(resource));
    Some((Arc::new(ResolvedTarget { site: Arc::clone(site), kind, key, place, resource }), cmcd))
}

/// The targets that this thread has resolved lately. The meaning of a target does not change while its tier
/// has the same sites.
struct TargetCache {
    hasher: ahash::RandomState,
    entries: Vec<Option<Entry>>,
}

struct Entry {
    sites: u64,
    host: Box<str>,
    target: Box<str>,
    resolved: Arc<ResolvedTarget>,
}

impl TargetCache {
    fn find(&self, sites: u64, host: &str, target: &str) -> Option<Arc<ResolvedTarget>> {
        let entry = self.entries.get(self.index(host, target))?.as_ref()?;
        let is_same = *entry.target == *target && *entry.host == *host && entry.sites == sites;
        is_same.then(|| Arc::clone(&entry.resolved))
    }

    /// Replaces another target with the same index.
    fn insert(&mut self, sites: u64, host: &str, target: &str, resolved: &Arc<ResolvedTarget>) {
        let index = self.index(host, target);
        if host.len() + target.len() > TARGET_BYTES_MAX {
            return;
        }
        self.entries.resize_with(TARGETS_MAX, || None);
        if let Some(entry) = self.entries.get_mut(index) {
            let (host, target) = (host.into(), target.into());
            *entry = Some(Entry { sites, host, target, resolved: Arc::clone(resolved) });
        }
    }

    fn index(&self, host: &str, target: &str) -> usize {
        let hash = self.hasher.hash_one((host, target));
        usize::try_from(hash % TARGETS_MAX as u64).unwrap_or_default()
    }
}

/// Targets that a thread remembers.
const TARGETS_MAX: usize = 1024;
/// Longer targets, with their hosts, are parsed each time.
const TARGET_BYTES_MAX: usize = 512;

thread_local! {
    static TARGETS: RefCell<TargetCache> =
        RefCell::new(TargetCache { hasher: ahash::RandomState::new(), entries: Vec::new() });
    /// Those of sites that check tokens.
    static GATED_TARGETS: RefCell<TargetCache> =
        RefCell::new(TargetCache { hasher: ahash::RandomState::new(), entries: Vec::new() });
}
