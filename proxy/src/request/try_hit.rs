//! The requests that the fast path can answer: simple requests for objects that are fresh and complete in the
//! cache.

use std::cell::RefCell;
use std::sync::Arc;

use http::StatusCode;
use tidegate_cache::{Key, Object};
use tidegate_headers::hop;
use tidegate_hls::{Directives, Kind, Resource};
use tokio::time::Instant;

use super::read::site;
use super::slice::Slice;
use super::target;
use crate::live::stream::Stream;
use crate::site::Site;
use crate::tier::Tier;
use crate::viewer::fast_path::simple_head::SimpleHead;

/// A request whose fate is a hit.
#[derive(Debug)]
pub(crate) struct Hit {
    pub(crate) target: Arc<ResolvedTarget>,
    pub(crate) cmcd: Option<String>,
    pub(crate) object: Arc<Object>,
    /// The stream, if the object is a playlist.
    pub(crate) stream: Option<Arc<Stream>>,
}

/// A target without delivery directives, normalised.
#[derive(Debug)]
pub(crate) struct ResolvedTarget {
    pub(crate) site: Arc<Site>,
    pub(crate) kind: Kind,
    pub(crate) key: Key,
}

/// The hit for a request, if the request needs no wait, fill or refusal. The steps are those of `serve`; a
/// request for which one of them would do more than look takes the slow path.
pub(crate) fn try_hit(tier: &Tier, simple_head: &SimpleHead<'_>, now: Instant) -> Option<Hit> {
    if hop::loops(&simple_head.deciding, tier.node()) {
        return None;
    }
    let (target, cmcd) = resolve(tier, simple_head)?;
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
    Some(Hit { target, cmcd, object, stream })
}

/// Resolves a target, and returns its CMCD. Parsing a target takes longer than the lookup of its object, and
/// players request the same few targets again and again.
fn resolve(tier: &Tier, simple_head: &SimpleHead<'_>) -> Option<(Arc<ResolvedTarget>, Option<String>)> {
    if let Some(target) = TARGETS.with_borrow(|targets| targets.find(tier, simple_head)) {
        return Some((target, None));
    }
    let site = site(tier, &target::host_name(simple_head.host), simple_head.host, simple_head.target)?;
    let resource = Resource::parse(simple_head.host, simple_head.target, &site.query).ok()?;
    if resource.directives != Directives::default() {
        return None;
    }
    let key = Key::new(&site.name, &resource.path_and_query());
    let target = Arc::new(ResolvedTarget { site: Arc::clone(site), kind: resource.kind, key });
    if resource.cmcd.is_none() {
        TARGETS.with_borrow_mut(|targets| targets.insert(tier, simple_head, &target));
    }
    Some((target, resource.cmcd))
}

/// The targets that this thread has resolved lately. The meaning of a target does not change while its tier
/// lives.
struct TargetCache {
    hasher: ahash::RandomState,
    entries: Vec<Option<Entry>>,
}

struct Entry {
    tier: u64,
    host: Box<str>,
    target: Box<str>,
    resolved: Arc<ResolvedTarget>,
}

impl TargetCache {
    fn find(&self, tier: &Tier, simple_head: &SimpleHead<'_>) -> Option<Arc<ResolvedTarget>> {
        let entry = self.entries.get(self.index(simple_head))?.as_ref()?;
        let is_same = *entry.target == *simple_head.target
            && *entry.host == *simple_head.host
            && entry.tier == tier.id();
        is_same.then(|| Arc::clone(&entry.resolved))
    }

    /// Replaces another target with the same index.
    fn insert(&mut self, tier: &Tier, simple_head: &SimpleHead<'_>, resolved: &Arc<ResolvedTarget>) {
        let index = self.index(simple_head);
        if simple_head.host.len() + simple_head.target.len() > TARGET_BYTES_MAX {
            return;
        }
        self.entries.resize_with(TARGETS_MAX, || None);
        if let Some(entry) = self.entries.get_mut(index) {
            let (host, target) = (simple_head.host.into(), simple_head.target.into());
            *entry = Some(Entry { tier: tier.id(), host, target, resolved: Arc::clone(resolved) });
        }
    }

    fn index(&self, simple_head: &SimpleHead<'_>) -> usize {
        let hash = self.hasher.hash_one((simple_head.host, simple_head.target));
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
}
