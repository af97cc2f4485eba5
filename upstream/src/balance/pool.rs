//! The servers that can be asked for the same things, in the order in which they are to be tried.
//!
//! A pool is an edge's shields, or the origins of a site. Whoever is out ([`State`]) stays in the list, at its end: a
//! wrong belief must not cost an answer.

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

/// How the members of a pool are put in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// The nearest region first, and in it one owner for every stream, then its successors, none with much more to do than
    /// its share: for an edge's shields.
    Hash(Bound, World),
    /// The first group as long as somebody in it can be asked, then the next: for origins.
    Groups,
}

/// Servers that can be asked for the same things.
#[derive(Debug)]
pub struct Pool {
    order: Order,
    specs: Vec<Spec>,
    members: ArcSwap<Vec<Member>>,
    peers: Arc<Peers>,
    budget: Arc<Budget>,
    /// Woken when there are other members.
    changed: Notify,
    /// Held by whoever changes the members.
    replacing: Mutex<()>,
    /// Where probes run; not before the pool is started.
    running: Mutex<Option<(TaskTracker, CancellationToken)>>,
}

/// Whom a site may ask: a pool, and others for when nobody of the first can be asked.
#[derive(Debug, Clone)]
pub struct Candidates(Vec<Arc<Pool>>);

#[derive(Debug, Clone)]
struct Member {
    upstream: Arc<Upstream>,
    seed: u64,
    /// Ends its probes when it leaves.
    _probes: Arc<DropGuard>,
}

/// The members for one key: those to ask, and those to ask when there is nobody else.
#[derive(Debug, Default)]
struct Ranked {
    available: Vec<Arc<Upstream>>,
    unavailable: Vec<Arc<Upstream>>,
}

impl Pool {
    /// A pool of `specs`. Its members are probed once it is started.
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

    /// Begins to probe its members, until `stop`.
    pub fn start(self: &Arc<Self>, tasks: &TaskTracker, stop: &CancellationToken) {
        *self.running.lock() = Some((tasks.clone(), stop.clone()));
        let members = self.members.load().iter().map(|member| self.start_probes(&member.upstream)).collect();
        self.members.store(Arc::new(members));
        for spec in &self.specs {
            if let Some(name) = spec.address.discover() {
                let watch = Watch::new(spec.options.dns.clone(), name);
                tasks.spawn(Arc::clone(self).follow_name(spec.clone(), watch, stop.clone()));
            }
        }
    }

    /// Waits until somebody is found where all members are behind names.
    pub async fn wait_for_members(&self) {
        loop {
            let changed = self.changed.notified();
            if self.specs.is_empty() || !self.members.load().is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// Takes in and lets go whoever comes and goes behind a name, until `stop`.
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

    /// Puts `specs` in the place of the members with the names `old`. Who is in both stays as it is, with what is known
    /// of it; who has left is asked nothing any more, and what it was asked goes on to its end.
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

    /// What its members tell of themselves.
    pub fn reports(&self) -> Vec<Report> {
        self.members.load().iter().map(|member| member.upstream.report()).collect()
    }

    /// The regions in the order in which they are asked, and what is known of the way to each.
    pub fn regions(&self) -> Vec<(Arc<str>, RoundTrip)> {
        self.peers.geography.as_ref().map(Geography::ranking).unwrap_or_default()
    }

    /// What pays for asking more than one of them.
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

/// The nearest region first, unless it is hurt; in each, the key's owner and its successors.
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
        // Whoever returns is not asked before it has been good for a while, unless there is nobody else.
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

/// A member and where it stands, looked at once for each ranking.
struct Snapshot {
    upstream: Arc<Upstream>,
    seed: u64,
    state: State,
    /// The weight with which it is trusted now.
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

/// What is asked of one upstream together: a playlist and the segments beside it. Two origins of a group may be a segment
/// apart; and a shield that follows a playlist fetches ahead what others would fetch again, and knows which origin to go
/// round.
pub fn folder_of(key: &str) -> &str {
    let path = key.split('?').next().unwrap_or(key);
    path.rsplit_once('/').map_or(path, |(folder, _)| folder)
}

impl Candidates {
    /// The first of `pools`, and the others in their order when nobody of it can be asked.
    pub fn of(pools: Vec<Arc<Pool>>) -> Self {
        Self(pools)
    }

    /// The sources to try for `key`; empty where there is nobody.
    pub fn for_key(&self, key: &str) -> Vec<Arc<Upstream>> {
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for pool in &self.0 {
            let Ranked { available, unavailable } = pool.rank(key);
            // Another pool is for when nobody of this one can be asked, and not for what is late or fails there.
            let place = if first.is_empty() { &mut first } else { &mut last };
            place.extend(available);
            last.extend(unavailable);
        }
        first.extend(last);
        first
    }

    /// How many sources there are.
    pub fn count(&self) -> usize {
        self.0.iter().map(|pool| pool.members.load().len()).sum()
    }

    /// The pools, for status and readiness.
    pub fn pools(&self) -> &[Arc<Pool>] {
        &self.0
    }

    /// What pays for asking more than one of them.
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
