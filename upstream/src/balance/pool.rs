//! The servers that serve the same resources, in the order in which they are tried.
//!
//! A pool is an edge's shields, or the origins of a site. An upstream that is out ([`State`]) stays in the
//! list, at its end: a wrong belief must not cost a response.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::balance::bounded::{self, Bound, Load};
use crate::balance::geography::{Geography, World};
use crate::balance::hash;
use crate::balance::peers::Peers;
use crate::balance::regions::{RoundTrip, healthy_share};
use crate::connect::dns::Watch;
use crate::fetch::budget::Budget;
use crate::health::State;
use crate::health::probe;
use crate::spec::Spec;
use crate::upstream::{Report, Upstream};

/// How the members of a pool are ordered.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// The nearest region first; in it, one owner for each folder, then its successors, with bounded loads.
    /// For an edge's shields.
    Hash(Bound, World),
    /// The first group while one of its members is available, then the next. For origins.
    Groups,
}

/// Servers that serve the same resources.
#[derive(Debug)]
pub struct Pool {
    order: Order,
    specs: Vec<Spec>,
    members: ArcSwap<Vec<Member>>,
    peers: Arc<Peers>,
    budget: Arc<Budget>,
    /// Wakes when the members change.
    changed: Notify,
    /// Locked while the members change.
    replacing: Mutex<()>,
    /// Where probes run, once the pool has started.
    running: Mutex<Option<(TaskTracker, CancellationToken)>>,
}

/// The pools of a site. A later pool is used only while no member of the earlier ones is available.
#[derive(Debug, Clone)]
pub struct SitePools(Vec<Arc<Pool>>);

#[derive(Debug, Clone)]
struct Member {
    upstream: Arc<Upstream>,
    seed: u64,
    /// Ends the probes when the member leaves.
    _probes: Arc<DropGuard>,
}

/// The members for one key: those that are available, and those that are the last resort.
#[derive(Debug, Default)]
struct Ranked {
    available: Vec<Arc<Upstream>>,
    unavailable: Vec<Arc<Upstream>>,
}

impl Pool {
    /// A pool of `specs`. Its members are probed once the pool has started.
    pub fn new(order: Order, specs: Vec<Spec>, budget: Budget) -> Arc<Self> {
        let geography = match &order {
            Order::Hash(_, world) => {
                Some(Geography::new(world, specs.iter().map(|spec| spec.region.as_ref())))
            }
            Order::Groups => None,
        };
        let pool = Self {
            order,
            members: ArcSwap::default(),
            peers: Arc::new(Peers::new(geography)),
            budget: Arc::new(budget),
            changed: Notify::new(),
            replacing: Mutex::new(()),
            running: Mutex::new(None),
            specs,
        };
        let listed = pool.specs.iter().filter(|spec| spec.address.discover().is_none());
        let members = listed.map(|spec| pool.member(spec.clone())).collect();
        pool.members.store(Arc::new(members));
        Arc::new(pool)
    }

    /// Starts to probe the members, until `stop` or [`Pool::stop`]. A pool starts only one time.
    pub fn start(self: &Arc<Self>, tasks: &TaskTracker, stop: &CancellationToken) {
        let stop = stop.child_token();
        {
            let mut running = self.running.lock();
            if running.is_some() {
                return;
            }
            *running = Some((tasks.clone(), stop.clone()));
        }
        let members = self.members.load().iter().map(|member| self.start_probes(&member.upstream)).collect();
        self.members.store(Arc::new(members));
        for spec in &self.specs {
            if let Some(name) = spec.address.discover() {
                let watch = Watch::new(spec.options.dns.clone(), name);
                tasks.spawn(Arc::clone(self).follow_name(spec.clone(), watch, stop.clone()));
            }
        }
    }

    /// Ends the probes, because no site uses the pool any more. Requests in flight end as usual.
    pub fn stop(&self) {
        if let Some((_tasks, stop)) = &*self.running.lock() {
            stop.cancel();
        }
    }

    /// Waits for the first member, where all members are behind names.
    pub async fn wait_for_members(&self) {
        loop {
            let changed = self.changed.notified();
            if self.specs.is_empty() || !self.members.load().is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// Adds and removes the servers that appear and disappear behind a name, until `stop`.
    async fn follow_name(self: Arc<Self>, spec: Spec, mut watch: Watch, stop: CancellationToken) {
        let mut mine: Vec<Arc<str>> = Vec::new();
        loop {
            let found = tokio::select! {
                () = stop.cancelled() => return,
                found = watch.changed() => found,
            };
            let specs: Vec<Spec> = found.iter().map(|member| spec.found(member)).collect();
            let names: Vec<Arc<str>> = specs.iter().map(|spec| spec.address.to_string().into()).collect();
            self.replace(&mine, specs);
            mine = names;
        }
    }

    /// Replaces the members with the names `old` by `specs`. A member that is in both stays as it is, with
    /// what is known of it. A member that leaves receives no more requests, and requests in flight end as
    /// usual.
    fn replace(&self, old: &[Arc<str>], specs: Vec<Spec>) {
        let _one_at_a_time = self.replacing.lock();
        let before = self.members.load();
        let (ours, mut members): (Vec<Member>, Vec<Member>) =
            before.iter().cloned().partition(|member| old.contains(member.upstream.name()));
        for spec in specs {
            let is_same = |member: &&Member| {
                let known = member.upstream.spec();
                known.address == spec.address && known.weight == spec.weight && known.group == spec.group
            };
            let member = ours.iter().find(is_same).cloned();
            members.push(member.unwrap_or_else(|| self.member(spec)));
        }
        self.members.store(Arc::new(members));
        self.changed.notify_waiters();
    }

    /// Its members.
    pub fn upstreams(&self) -> Vec<Arc<Upstream>> {
        self.members.load().iter().map(|member| Arc::clone(&member.upstream)).collect()
    }

    /// The reports of its members.
    pub fn reports(&self) -> Vec<Report> {
        self.members.load().iter().map(|member| member.upstream.report()).collect()
    }

    /// The regions in the order in which they are tried, each with its round-trip time.
    pub fn regions(&self) -> Vec<(Arc<str>, RoundTrip)> {
        self.peers.geography.as_ref().map(Geography::ranking).unwrap_or_default()
    }

    /// The retry budget: it pays for every request after the first.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    fn member(&self, spec: Spec) -> Member {
        self.start_probes(&Upstream::new(spec, &self.peers))
    }

    fn start_probes(&self, upstream: &Arc<Upstream>) -> Member {
        let ends = match &*self.running.lock() {
            Some((tasks, stop)) => {
                let ends = stop.child_token();
                tasks.spawn(probe::keep_probing(Arc::clone(upstream), ends.clone()));
                ends
            }
            None => CancellationToken::new(),
        };
        Member {
            upstream: Arc::clone(upstream),
            seed: hash::seed(upstream.name()),
            _probes: Arc::new(ends.drop_guard()),
        }
    }

    fn rank(&self, key: &str) -> Ranked {
        let members: Vec<Snapshot> = self.members.load().iter().map(Snapshot::of).collect();
        match (&self.order, &self.peers.geography) {
            (Order::Hash(bound, _), Some(geography)) => by_region(key, members, bound, geography),
            _ => by_group(key, &members),
        }
    }
}

/// The nearest region first, unless it is impaired; in each, the key's owner and its successors.
fn by_region(key: &str, members: Vec<Snapshot>, bound: &Bound, geography: &Geography) -> Ranked {
    let key = folder_of(key);
    let mut regions: Vec<Vec<Snapshot>> = Vec::new();
    regions.resize_with(geography.count(), Vec::new);
    for member in members {
        let region = geography.id(member.upstream.spec().region.as_ref());
        if let Some(region) = region.and_then(|region| regions.get_mut(region)) {
            region.push(member);
        }
    }
    let share = |region: &Vec<Snapshot>| {
        healthy_share(region.iter().map(|member| (member.state.is_available(), member.weight())))
    };
    let plan = geography.plan(&regions.iter().map(share).collect::<Vec<_>>());
    let mut ranked = Ranked::default();
    for region in plan.order_for(hash::point(key)) {
        let members = regions.get_mut(region).map(std::mem::take).unwrap_or_default();
        let (available, unavailable): (Vec<_>, Vec<_>) =
            members.into_iter().partition(|member| member.state.is_available());
        let loads =
            available.iter().map(|member| Load { in_flight: member.upstream.load(), weight: member.trusted });
        let order = bounded::arrange(
            hash::order(key, available.iter().map(|member| (member.seed, member.trusted))),
            &loads.collect::<Vec<_>>(),
            bound,
        );
        ranked
            .available
            .extend(order.iter().filter_map(|&index| available.get(index)).map(Snapshot::upstream));
        let order = hash::order(key, unavailable.iter().map(|member| (member.seed, member.weight())));
        ranked
            .unavailable
            .extend(order.iter().filter_map(|&index| unavailable.get(index)).map(Snapshot::upstream));
    }
    ranked
}

/// The first group first; in each, the members share the streams by weight.
fn by_group(key: &str, members: &[Snapshot]) -> Ranked {
    let mut order = hash::order(folder_of(key), members.iter().map(|member| (member.seed, member.weight())));
    order.sort_by_key(|&index| {
        // A returning upstream comes behind those that are up until it has been good for a while.
        let place = |member: &Snapshot| (member.state != State::Up, member.upstream.spec().group);
        members.get(index).map(place)
    });
    let mut ranked = Ranked::default();
    for member in order.into_iter().filter_map(|index| members.get(index)) {
        let side = if member.state.is_available() { &mut ranked.available } else { &mut ranked.unavailable };
        side.push(member.upstream());
    }
    ranked
}

/// A member and its state, read one time for each ranking.
struct Snapshot {
    upstream: Arc<Upstream>,
    seed: u64,
    state: State,
    /// Its weight, reduced while it is returning.
    trusted: f64,
}

impl Snapshot {
    fn of(member: &Member) -> Self {
        let upstream = Arc::clone(&member.upstream);
        let state = upstream.state();
        let trusted = f64::from(upstream.spec().weight) * upstream.share();
        Self { upstream, seed: member.seed, state, trusted }
    }

    fn weight(&self) -> f64 {
        f64::from(self.upstream.spec().weight)
    }

    fn upstream(&self) -> Arc<Upstream> {
        Arc::clone(&self.upstream)
    }
}

/// The folder of a key. A playlist and its segments share a folder and so an upstream, because two origins of
/// a group may be a segment apart. A shield that follows a playlist prefetches what others would fetch again,
/// and knows which origin to avoid.
pub fn folder_of(key: &str) -> &str {
    let path = key.split('?').next().unwrap_or(key);
    path.rsplit_once('/').map_or(path, |(folder, _)| folder)
}

impl SitePools {
    /// These pools, the preferred one first.
    pub fn of(pools: Vec<Arc<Pool>>) -> Self {
        Self(pools)
    }

    /// The upstreams to try for `key`, in order; empty where there is none.
    pub fn for_key(&self, key: &str) -> Vec<Arc<Upstream>> {
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for pool in &self.0 {
            let Ranked { available, unavailable } = pool.rank(key);
            // Another pool serves when no member of this one is available, and not when one is late or fails.
            let place = if first.is_empty() { &mut first } else { &mut last };
            place.extend(available);
            last.extend(unavailable);
        }
        first.extend(last);
        first
    }

    /// The number of upstreams.
    pub fn count(&self) -> usize {
        self.0.iter().map(|pool| pool.members.load().len()).sum()
    }

    /// The pools, for status and readiness.
    pub fn pools(&self) -> &[Arc<Pool>] {
        &self.0
    }

    /// The retry budget: it pays for every request after the first.
    pub fn budget(&self) -> Arc<Budget> {
        self.0.first().map_or_else(|| Arc::new(Budget::new(0.0, 0.0)), |pool| Arc::clone(&pool.budget))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_what_lies_in_one_folder() {
        for (key, stream) in [
            ("live/ch1/index.m3u8?token=a/b", "live/ch1"),
            ("live/ch1/seg7.ts", "live/ch1"),
            ("live", "live"),
        ] {
            assert_eq!(folder_of(key), stream);
        }
    }
}
