//! Which requests can be answered at once: those for what is held fresh and whole, asked for plainly.

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
    pub(crate) place: Arc<Place>,
    pub(crate) cmcd: Option<String>,
    pub(crate) object: Arc<Object>,
    /// What is known of the playlist that it asks for.
    pub(crate) stream: Option<Arc<Stream>>,
}

/// Where a plain target leads.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) site: Arc<Site>,
    pub(crate) kind: Kind,
    pub(crate) key: Key,
}

/// The hit that a request is, if nothing has to be waited for, filled or refused. It goes through the same
/// steps as `serve`, and wherever one of them would do more than look, the request is none of these.
pub(crate) fn try_hit(tier: &Tier, simple_head: &SimpleHead<'_>, now: Instant) -> Option<Hit> {
    if hop::loops(&simple_head.deciding, tier.node()) {
        return None;
    }
    let (place, cmcd) = place(tier, simple_head)?;
    let is_slice = Slice::asked(&simple_head.method, &simple_head.deciding).is_some();
    if is_slice && tier.streams().lists_slices_of(&place.key) {
        return None;
    }
    let object = tier.cache().fresh(&place.key, now)?;
    if object.head.status != StatusCode::OK || !object.body.is_complete() {
        return None;
    }
    let stream = tier.streams().of_kind(place.kind, &place.key);
    Some(Hit { place, cmcd, object, stream })
}

/// Where a target leads, and what it says of its player. Reading a target takes longer than finding what it
/// names, and players ask for the same few again and again.
fn place(tier: &Tier, simple_head: &SimpleHead<'_>) -> Option<(Arc<Place>, Option<String>)> {
    if let Some(place) = PLACES.with_borrow(|places| places.find(tier, simple_head)) {
        return Some((place, None));
    }
    let site = site(tier, &target::host_name(simple_head.host), simple_head.host, simple_head.target)?;
    let resource = Resource::parse(simple_head.host, simple_head.target, &site.query).ok()?;
    if resource.directives != Directives::default() {
        return None;
    }
    let key = Key::new(&site.name, &resource.path_and_query());
    let place = Arc::new(Place { site: Arc::clone(site), kind: resource.kind, key });
    if resource.cmcd.is_none() {
        PLACES.with_borrow_mut(|places| places.keep(tier, simple_head, &place));
    }
    Some((place, resource.cmcd))
}

/// The places to which the targets led that this thread has read lately. What a target means does not change
/// while its tier lives.
struct Places {
    hasher: ahash::RandomState,
    kept: Vec<Option<Kept>>,
}

struct Kept {
    tier: u64,
    host: Box<str>,
    target: Box<str>,
    place: Arc<Place>,
}

impl Places {
    fn find(&self, tier: &Tier, simple_head: &SimpleHead<'_>) -> Option<Arc<Place>> {
        let kept = self.kept.get(self.index(simple_head))?.as_ref()?;
        let is_same =
            *kept.target == *simple_head.target && *kept.host == *simple_head.host && kept.tier == tier.id();
        is_same.then(|| Arc::clone(&kept.place))
    }

    /// Two targets that fall on one index take it from each other.
    fn keep(&mut self, tier: &Tier, simple_head: &SimpleHead<'_>, place: &Arc<Place>) {
        let index = self.index(simple_head);
        if simple_head.host.len() + simple_head.target.len() > TARGET_MAX {
            return;
        }
        self.kept.resize_with(PLACES_MAX, || None);
        if let Some(kept) = self.kept.get_mut(index) {
            let (host, target) = (simple_head.host.into(), simple_head.target.into());
            *kept = Some(Kept { tier: tier.id(), host, target, place: Arc::clone(place) });
        }
    }

    fn index(&self, simple_head: &SimpleHead<'_>) -> usize {
        let hash = self.hasher.hash_one((simple_head.host, simple_head.target));
        usize::try_from(hash % PLACES_MAX as u64).unwrap_or_default()
    }
}

/// So many places are kept per thread.
const PLACES_MAX: usize = 1024;
/// Longer targets are read each time.
const TARGET_MAX: usize = 512;

thread_local! {
    static PLACES: RefCell<Places> =
        RefCell::new(Places { hasher: ahash::RandomState::new(), kept: Vec::new() });
}
