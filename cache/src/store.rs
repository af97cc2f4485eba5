//! All slots of a tier, within one byte budget.
//!
//! Finished slots live in moka, which evicts the least recently used ones when the weights pass the budget. A slot
//! whose fill is under way also stands in a registry, so that eviction cannot make a second fill of the same key
//! possible. A fill's bytes are charged when its head arrives (all that was promised, or in growing steps), so the
//! budget holds while it grows.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderName;
use moka::policy::EvictionPolicy;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::body::Ledger;
use crate::fill::{Fill, Filling, Refused};
use crate::key::Key;
use crate::object::{Object, Variant};
use crate::slot::{Decision, Lookup, Slot, Vary};

/// The bounds of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that everything held may weigh: bodies, heads, keys, and fills under way.
    pub bytes: u64,
    /// Bytes that one object's body may have; larger ones are passed, not stored.
    pub object_max: u64,
}

/// What a cache holds, for status pages and metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Slots that are held.
    pub slots: u64,
    /// What they weigh, fills under way included.
    pub charged_bytes: u64,
    /// Body bytes that are alive, also those that only a reader still holds.
    pub body_bytes: u64,
    /// Fills under way.
    pub fills: u64,
    /// Bytes set aside for them.
    pub filling_bytes: u64,
    /// Tickets out for them.
    pub waiting: u64,
    /// Slots that were evicted to make room, ever.
    pub evictions: u64,
    /// The budget.
    pub budget_bytes: u64,
}

/// What a tier holds. Cheap to clone; all clones are one cache.
#[derive(Debug, Clone)]
pub struct Cache(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    slots: moka::sync::Cache<Key, Entry, ahash::RandomState>,
    filling: [Mutex<HashMap<Key, Arc<Slot>, ahash::RandomState>>; SHARDS],
    hasher: ahash::RandomState,
    filling_bytes: AtomicU64,
    generations: AtomicU64,
    evictions: Arc<AtomicU64>,
    ledger: Arc<Ledger>,
    limits: Limits,
}

/// moka asks for a weight once per insertion; a slot whose weight changes is inserted again.
#[derive(Debug, Clone)]
struct Entry {
    slot: Arc<Slot>,
    weight: u32,
}

const SHARDS: usize = 16;

/// How often a look-up may start over because a slot moved under it.
const LOOKUPS_MAX: usize = 16;

impl Cache {
    /// An empty cache.
    pub fn new(limits: Limits) -> Self {
        let evictions = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&evictions);
        let slots = moka::sync::Cache::builder()
            .max_capacity(limits.bytes)
            .weigher(|_, entry: &Entry| entry.weight)
            // A live edge asks for an object once, then for the next: a policy that waits for a second request
            // would refuse segments at the very moment they become hot.
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(move |_, _, cause| {
                if cause.was_evicted() {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build_with_hasher(ahash::RandomState::new());
        Self(Arc::new(Inner {
            slots,
            filling: std::array::from_fn(|_| Mutex::default()),
            hasher: ahash::RandomState::new(),
            filling_bytes: AtomicU64::new(0),
            generations: AtomicU64::new(0),
            evictions,
            ledger: Arc::default(),
            limits,
        }))
    }

    /// Decides what a request for `key` gets; `variant` gives the request's values of the header fields that an
    /// answer may vary by, in canonical form.
    pub fn look_up(&self, key: &Key, variant: &dyn Fn(&[HeaderName]) -> String) -> Lookup {
        let now = Instant::now();
        let mut slot = self.0.slot(key);
        for _ in 0..LOOKUPS_MAX {
            let decision = match slot.decide(now) {
                Decision::Elect => match self.0.register(&slot) {
                    Ok(()) => self.elect(&slot, now),
                    Err(other) => {
                        slot = other;
                        continue;
                    }
                },
                decision => decision,
            };
            match decision {
                Decision::Settled(lookup) => return lookup,
                Decision::Varies(vary) => {
                    slot = self.0.slot(&key.variant(vary.generation, &variant(&vary.names)));
                }
                Decision::Elect => {}
            }
        }
        Lookup::Pass
    }

    /// Forgets what is held for `key`, in all its variants. A fill under way goes on for those who read it, but what
    /// it brings is not stored.
    pub fn purge(&self, key: &Key) {
        self.0.purge(key);
    }

    /// Weighs a slot again after something was derived from its object.
    pub fn weigh_again(&self, key: &Key) {
        if let Some(entry) = self.0.slots.get(key.as_str()) {
            self.0.hold(&entry.slot);
        }
    }

    /// What is held now.
    pub fn totals(&self) -> Totals {
        self.0.totals()
    }

    /// The bounds.
    pub fn limits(&self) -> Limits {
        self.0.limits
    }

    /// A body that is complete from the start, on this cache's account.
    pub fn body(&self, bytes: bytes::Bytes) -> Arc<crate::Body> {
        Arc::new(crate::Body::complete_with(bytes, self.0.ledger()))
    }

    /// The fills under way, at most `max`: key, bytes so far, tickets out.
    pub fn fills(&self, max: usize) -> Vec<(Key, u64, usize)> {
        let mut fills = Vec::new();
        for shard in &self.0.filling {
            for slot in shard.lock().values() {
                if fills.len() == max {
                    return fills;
                }
                if let Some(fill) = &slot.held.lock().fill {
                    fills.push((slot.key.clone(), fill.bytes(), fill.viewers()));
                }
            }
        }
        fills
    }

    /// Objects that are held, at most `max`: key and object.
    pub fn objects(&self, max: usize) -> Vec<(Key, Arc<Object>)> {
        let held = self.0.slots.iter().filter_map(|(key, entry)| {
            let object = entry.slot.held.lock().object.clone()?;
            Some((Key::clone(&key), object))
        });
        held.take(max).collect()
    }

    fn elect(&self, slot: &Arc<Slot>, now: Instant) -> Decision {
        let decision = slot.elect(now, |fill, stale| Filling::new(Arc::clone(&self.0), fill, stale));
        if !matches!(
            decision,
            Decision::Settled(Lookup::Miss(..) | Lookup::Stale { refresh: Some(_), .. } | Lookup::Join(_))
        ) {
            self.0.unregister(slot);
        }
        decision
    }
}

impl Inner {
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.ledger)
    }

    fn slot(&self, key: &Key) -> Arc<Slot> {
        if let Some(entry) = self.slots.get(key.as_str()) {
            return entry.slot;
        }
        let filling = self.shard(key).lock().get(key).map(Arc::clone);
        filling.unwrap_or_else(|| Arc::new(Slot::new(key.clone())))
    }

    fn shard(&self, key: &Key) -> &Mutex<HashMap<Key, Arc<Slot>, ahash::RandomState>> {
        let index = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or_default();
        let [first, ..] = &self.filling;
        self.filling.get(index).unwrap_or(first)
    }

    /// Claims the key for this slot's fill, or gives the slot that has the claim.
    fn register(&self, slot: &Arc<Slot>) -> Result<(), Arc<Slot>> {
        let mut shard = self.shard(&slot.key).lock();
        match shard.get(&slot.key) {
            Some(other) if !Arc::ptr_eq(other, slot) => Err(Arc::clone(other)),
            Some(_) => Ok(()),
            None => {
                shard.insert(slot.key.clone(), Arc::clone(slot));
                Ok(())
            }
        }
    }

    /// Gives the claim up, unless a fill is under way in the slot after all.
    fn unregister(&self, slot: &Arc<Slot>) {
        let mut shard = self.shard(&slot.key).lock();
        let mine = shard.get(&slot.key).is_some_and(|other| Arc::ptr_eq(other, slot));
        if mine && slot.held.lock().fill.is_none() {
            shard.remove(&slot.key);
        }
    }

    /// Sets memory aside for a fill whose body reaches `bytes`, `more` of them new.
    pub(crate) fn reserve(&self, bytes: u64, more: u64) -> Result<(), Refused> {
        let max = self.limits.object_max;
        if bytes > max {
            return Err(Refused::TooLarge { max });
        }
        let room = self.limits.bytes / 4 * 3;
        let reserved = self.filling_bytes.fetch_add(more, Ordering::AcqRel) + more;
        if reserved > room {
            self.filling_bytes.fetch_sub(more, Ordering::AcqRel);
            return Err(Refused::NoRoom);
        }
        Ok(())
    }

    pub(crate) fn release(&self, bytes: u64) {
        self.filling_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Puts the slot into moka under its present weight and lets moka make room at once.
    pub(crate) fn hold(&self, slot: &Arc<Slot>) {
        let weight = u32::try_from(slot.weight()).unwrap_or(u32::MAX);
        if weight == 0 {
            self.slots.invalidate(slot.key.as_str());
        } else {
            self.slots.insert(slot.key.clone(), Entry { slot: Arc::clone(slot), weight });
        }
        self.slots.run_pending_tasks();
    }

    /// After a fill has ended: what it left is held, and the claim is given up.
    pub(crate) fn settle(&self, slot: &Arc<Slot>, settled: bool) {
        if settled {
            self.hold(slot);
        }
        self.unregister(slot);
    }

    /// Moves a fill to the slot that its answer belongs to, now that it is known whether and how it varies.
    pub(crate) fn move_home(&self, fill: &Arc<Fill>, variant: Option<&Variant>) {
        let home = Arc::clone(&fill.home.lock());
        let primary_key = primary(&home.key);
        let Some(variant) = variant else {
            if primary_key != home.key {
                self.purge(&primary_key);
            }
            return;
        };
        let primary_slot = if primary_key == home.key { Arc::clone(&home) } else { self.slot(&primary_key) };
        let vary = self.vary(&primary_slot, variant);
        self.hold(&primary_slot);
        let key = primary_key.variant(vary.generation, &variant.values);
        if key == home.key {
            return;
        }
        let target = self.slot(&key);
        let detached = home.held.lock().settle(fill, |_| {});
        if detached && self.register(&target).is_ok() {
            let mut held = target.held.lock();
            if held.fill.is_none() {
                held.fill = Some(Arc::clone(fill));
            }
        }
        *fill.home.lock() = target;
        self.unregister(&home);
    }

    /// What the answers for a key vary by, from now on.
    fn vary(&self, primary: &Arc<Slot>, variant: &Variant) -> Arc<Vary> {
        let mut held = primary.held.lock();
        if let Some(vary) = held.vary.as_ref().filter(|vary| vary.names == variant.names) {
            return Arc::clone(vary);
        }
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        let vary = Arc::new(Vary { names: Arc::clone(&variant.names), generation });
        held.object = None;
        held.vary = Some(Arc::clone(&vary));
        vary
    }

    fn purge(&self, key: &Key) {
        let slot = self.slot(key);
        {
            let mut held = slot.held.lock();
            *held = crate::slot::Held::default();
        }
        self.unregister(&slot);
        self.slots.invalidate(key.as_str());
    }

    fn totals(&self) -> Totals {
        self.slots.run_pending_tasks();
        let (mut fills, mut waiting) = (0, 0);
        for shard in &self.filling {
            for slot in shard.lock().values() {
                if let Some(fill) = &slot.held.lock().fill {
                    fills += 1;
                    waiting += fill.viewers() as u64;
                }
            }
        }
        Totals {
            slots: self.slots.entry_count(),
            charged_bytes: self.slots.weighted_size(),
            body_bytes: self.ledger.bytes(),
            fills,
            filling_bytes: self.filling_bytes.load(Ordering::Relaxed),
            waiting,
            evictions: self.evictions.load(Ordering::Relaxed),
            budget_bytes: self.limits.bytes,
        }
    }
}

/// The key without its variant.
fn primary(key: &Key) -> Key {
    match key.as_str().match_indices('\n').nth(1) {
        Some((end, _)) => Key::whole(key.as_str().get(..end).unwrap_or_default()),
        None => key.clone(),
    }
}
