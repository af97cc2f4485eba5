//! All slots of a tier, within one byte budget.
//!
//! Slots without a fill live in moka, which evicts the least recently used ones when the weights exceed the
//! budget. A slot whose fill is under way is also in a registry, so that its eviction does not allow a second
//! fill of the same key. A fill's bytes are charged when its head arrives (the declared length, or in growing
//! steps), so the budget holds while the body grows.
//!
//! At any time a key has one slot. Whatever puts a slot into moka or into the registry does so under the lock
//! of the key's shard, and only if the key has no other slot. The order of locks is shard, then slot.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderName;
use moka::policy::EvictionPolicy;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::body::Ledger;
use crate::fill::{Fill, Refused};
use crate::fill_writer::FillWriter;
use crate::key::Key;
use crate::object::Object;
use crate::shortage::Shortage;
use crate::slot::{Decision, Lookup, Slot, SlotState};
use crate::vary::Vary;

mod walk;

/// The limits of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes for everything: bodies, heads, keys, and fills under way.
    pub bytes: u64,
    /// Bytes that one object's body may have. Larger objects pass and are not stored.
    pub object_max: u64,
    /// Variants of one object that are stored. Requests for further ones pass while these are in use.
    pub variants_max: usize,
}

/// The contents of a cache in numbers, for status pages and metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Slots.
    pub slots: u64,
    /// Their weight in bytes, fills under way included.
    pub charged_bytes: u64,
    /// Body bytes in memory, including evicted bodies that still have readers.
    pub body_bytes: u64,
    /// Fills under way.
    pub fills: u64,
    /// Bytes reserved for them.
    pub filling_bytes: u64,
    /// Readers of them.
    pub waiting: u64,
    /// Slots evicted to make room, ever.
    pub evictions: u64,
    /// Requests that passed because their object had too many variants, ever.
    pub variants_refused: u64,
    /// The budget in bytes.
    pub budget_bytes: u64,
}

/// The cache of a tier. Cheap to clone; all clones are one cache.
#[derive(Debug, Clone)]
pub struct Cache(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    slots: moka::sync::Cache<Key, Entry, ahash::RandomState>,
    registry: [Mutex<Shard>; SHARDS],
    hasher: ahash::RandomState,
    filling_bytes: AtomicU64,
    /// The part of them that has not arrived.
    unarrived_bytes: AtomicU64,
    /// Signalled when readers of evicted bodies keep so much memory that fills will soon be refused.
    shortage: Shortage,
    /// Held while a fill moves to the slot of its variant.
    pub(crate) move_lock: Mutex<()>,
    pub(crate) generations: AtomicU64,
    evictions: Arc<AtomicU64>,
    pub(crate) variants_refused: AtomicU64,
    ledger: Arc<Ledger>,
    limits: Limits,
}

/// moka computes a weight once per insertion; a slot whose weight changes is inserted again.
#[derive(Debug, Clone)]
struct Entry {
    slot: Arc<Slot>,
    weight: u32,
}

/// Slots whose fill is under way.
type Shard = HashMap<Key, Arc<Slot>, ahash::RandomState>;

const SHARDS: usize = 16;

/// moka books a light slot later, once it has 64 of them. A slot is light if it weighs at most `SMALL` bytes
/// and at most 1/`SMALL_SHARE` of the budget, so that 64 of them exceed the budget by a sixty-fourth of it at
/// most.
const SMALL: u64 = 64 * 1024;
const SMALL_SHARE: u64 = 4096;

/// How often a look-up may start over because another slot took the key.
const LOOKUPS_MAX: usize = 16;

impl Cache {
    /// An empty cache.
    pub fn new(limits: Limits) -> Self {
        let evictions = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&evictions);
        let slots = moka::sync::Cache::builder()
            .max_capacity(limits.bytes)
            .weigher(|_, entry: &Entry| entry.weight)
            // The object at the live edge is new to the cache: a policy that admits an object on its second
            // request would refuse segments at the moment when they are most in demand.
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(move |_, entry: Entry, cause| {
                if cause.was_evicted() {
                    counted.fetch_add(1, Ordering::Relaxed);
                    entry.slot.drop_object();
                }
            })
            .build_with_hasher(ahash::RandomState::new());
        Self(Arc::new(Inner {
            slots,
            registry: std::array::from_fn(|_| Mutex::default()),
            hasher: ahash::RandomState::new(),
            filling_bytes: AtomicU64::new(0),
            unarrived_bytes: AtomicU64::new(0),
            shortage: Shortage::default(),
            move_lock: Mutex::default(),
            generations: AtomicU64::new(0),
            evictions,
            variants_refused: AtomicU64::new(0),
            ledger: Arc::default(),
            limits,
        }))
    }

    /// Decides what a request for `key` gets. `variant` returns the request's values of the header fields
    /// that a response may vary by, in canonical form.
    pub fn look_up(&self, key: &Key, variant: &dyn Fn(&[HeaderName]) -> String) -> Lookup {
        let now = Instant::now();
        let mut slot = self.0.slot(key);
        let mut varies: Option<Arc<Vary>> = None;
        for _ in 0..LOOKUPS_MAX {
            let decision = match slot.decide(now) {
                Decision::Elect if !self.0.admits_variant(varies.as_deref(), &slot.key, now) => break,
                Decision::Elect => match self.0.elect(&slot, now) {
                    Ok(decision) => decision,
                    Err(other) => {
                        slot = other;
                        continue;
                    }
                },
                decision => decision,
            };
            match decision {
                Decision::Final(lookup) => return lookup,
                Decision::Varies(vary) => {
                    slot = self.0.slot(&key.variant(vary.generation, &variant(&vary.names)));
                    varies = Some(vary);
                }
                Decision::Elect => {}
            }
        }
        Lookup::Pass
    }

    /// What a request gets that must cause no upstream request (RFC 9111 section 5.2.1.7): an object, which
    /// may still grow. `None` if there is none. A fill without a head yet may turn out to be for one viewer.
    pub fn look_up_cached(&self, key: &Key, variant: &dyn Fn(&[HeaderName]) -> String) -> Option<Lookup> {
        self.look_up_without_fill(key, variant).filter(|lookup| match lookup {
            Lookup::Failed { stale: None, .. } => false,
            Lookup::Join(reader) => reader.has_object(),
            _ => true,
        })
    }

    /// What a request gets that must cause no upstream request, but may wait for one under way: an object, a
    /// fill to join, or a remembered failure. `None` if there is none of them.
    pub fn look_up_without_fill(
        &self,
        key: &Key,
        variant: &dyn Fn(&[HeaderName]) -> String,
    ) -> Option<Lookup> {
        let now = Instant::now();
        let mut slot = self.0.slot(key);
        for _ in 0..LOOKUPS_MAX {
            match slot.decide(now) {
                Decision::Varies(vary) => {
                    slot = self.0.slot(&key.variant(vary.generation, &variant(&vary.names)));
                }
                Decision::Final(Lookup::Pass) => return None,
                Decision::Final(lookup) => return Some(lookup),
                Decision::Elect => {
                    let object = slot.stale_while_revalidate(now)?;
                    return Some(Lookup::Stale { object, refresh: None });
                }
            }
        }
        None
    }

    /// The cached object for `key`, if it is fresh at `now` and its responses do not vary: it can be served
    /// without an election. Counts as a use.
    pub fn fresh(&self, key: &Key, now: Instant) -> Option<Arc<Object>> {
        self.0.slots.get(key.as_str())?.slot.fresh(now)
    }

    /// The writer for the next version of the object for `key`, even while the present one is fresh. The
    /// present one is served until the next one is complete. `None` while a fill is under way, and if the
    /// responses vary.
    pub fn fill_early(&self, key: &Key) -> Option<FillWriter> {
        self.0.elect_early(&self.0.slot(key))
    }

    /// Ends the freshness of the object for `key`: the next request waits until it is revalidated. It may
    /// still be served if no upstream can answer.
    pub fn expire(&self, key: &Key) {
        self.0.slot(key).expire();
    }

    /// Prolongs the freshness of the object for `key`, if it is fresh now, to `ttl` from now on.
    pub fn prolong(&self, key: &Key, ttl: Duration) {
        self.0.slot(key).prolong(Instant::now(), ttl);
    }

    /// Removes a remembered failure or a cached 4xx for `key`: the next request causes a fill.
    pub fn purge_negative(&self, key: &Key) {
        let slot = self.0.slot(key);
        if slot.purge_negative() {
            self.0.insert(&slot);
        }
    }

    /// Removes the object for `key` in all its variants. A fill under way continues for its readers, but its
    /// response is not stored.
    pub fn purge(&self, key: &Key) {
        self.0.purge(key);
    }

    /// Weighs a slot again after a form was derived from its object.
    pub fn weigh_again(&self, key: &Key) {
        if let Some(entry) = self.0.slots.get(key.as_str()) {
            self.0.insert(&entry.slot);
        }
    }

    /// The limits.
    pub fn limits(&self) -> Limits {
        self.0.limits
    }

    /// Resolves when a fill needs memory that readers of evicted bodies keep. Readers that are stalled should
    /// end then.
    pub async fn until_short_of_memory(&self) {
        self.0.shortage.next().await;
    }

    /// A complete body whose bytes are counted by this cache.
    pub fn body(&self, bytes: bytes::Bytes) -> Arc<crate::Body> {
        Arc::new(crate::Body::from_bytes(bytes, self.0.ledger()))
    }
}

impl Inner {
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.ledger)
    }

    /// The slot of the key, or a new one that is in neither moka nor the registry yet.
    pub(crate) fn slot(&self, key: &Key) -> Arc<Slot> {
        if let Some(entry) = self.slots.get(key.as_str()) {
            return entry.slot;
        }
        let filling = self.shard(key).lock().get(key).map(Arc::clone);
        filling.unwrap_or_else(|| Arc::new(Slot::new(key.clone())))
    }

    fn shard(&self, key: &Key) -> &Mutex<Shard> {
        let [first, ..] = &self.registry;
        self.registry.get(self.shard_index(key)).unwrap_or(first)
    }

    fn shard_index(&self, key: &Key) -> usize {
        usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or_default()
    }

    /// The slot of the same key, if it is another one than `slot`.
    fn other_slot(&self, shard: &Shard, slot: &Arc<Slot>) -> Option<Arc<Slot>> {
        let current = shard.get(&slot.key).map(Arc::clone);
        let current = current.or_else(|| self.slots.get(slot.key.as_str()).map(|entry| entry.slot));
        current.filter(|current| !Arc::ptr_eq(current, slot))
    }

    /// Elects the request, unless the key has another slot. Election and registration are one step: between
    /// them a fill of this key could end and leave an elected request unregistered.
    fn elect(self: &Arc<Self>, slot: &Arc<Slot>, now: Instant) -> Result<Decision, Arc<Slot>> {
        let mut shard = self.shard(&slot.key).lock();
        if let Some(other) = self.other_slot(&shard, slot) {
            return Err(other);
        }
        let decision = slot.elect(now, |fill, stale| FillWriter::new(Arc::clone(self), fill, stale));
        if matches!(decision, Decision::Final(Lookup::Miss(..) | Lookup::Stale { refresh: Some(_), .. })) {
            shard.insert(slot.key.clone(), Arc::clone(slot));
        }
        Ok(decision)
    }

    fn elect_early(self: &Arc<Self>, slot: &Arc<Slot>) -> Option<FillWriter> {
        let mut shard = self.shard(&slot.key).lock();
        if self.other_slot(&shard, slot).is_some() {
            return None;
        }
        let fill_writer = slot.elect_early(|fill, stale| FillWriter::new(Arc::clone(self), fill, stale))?;
        shard.insert(slot.key.clone(), Arc::clone(slot));
        Some(fill_writer)
    }

    /// Makes `fill`, which started in another slot, the fill of this slot too, if the key has no other slot
    /// and `admits` allows it.
    pub(crate) fn attach(
        &self,
        slot: &Arc<Slot>,
        fill: &Arc<Fill>,
        admits: impl FnOnce(&mut SlotState) -> bool,
    ) -> bool {
        let mut shard = self.shard(&slot.key).lock();
        if self.other_slot(&shard, slot).is_some() {
            return false;
        }
        let mut state = slot.state.lock();
        let attached = state.fill.is_none() && admits(&mut state);
        if attached {
            state.fill = Some(Arc::clone(fill));
            shard.insert(slot.key.clone(), Arc::clone(slot));
        }
        attached
    }

    /// Removes the slot from the registry, unless a fill is under way in it.
    pub(crate) fn unregister(&self, slot: &Arc<Slot>) {
        let mut shard = self.shard(&slot.key).lock();
        let mine = shard.get(&slot.key).is_some_and(|other| Arc::ptr_eq(other, slot));
        if mine && slot.state.lock().fill.is_none() {
            shard.remove(&slot.key);
        }
    }

    /// Reserves memory for a fill whose body reaches `bytes`, `more` of them new. The last part of the room
    /// is for small bodies: large ones that nothing reads must not keep playlists out.
    pub(crate) fn reserve(&self, bytes: u64, more: u64) -> Result<(), Refused> {
        let max = self.limits.object_max;
        if bytes > max {
            return Err(Refused::TooLarge { max });
        }
        let eighth = self.limits.bytes / 8;
        let room = if bytes <= SMALL { eighth * 7 } else { eighth * 6 };
        let reserved = self.filling_bytes.fetch_add(more, Ordering::AcqRel) + more;
        let unarrived = self.unarrived_bytes.fetch_add(more, Ordering::AcqRel) + more;
        // Evicted bodies stay in memory as long as they have readers, who may read very slowly. What a fill
        // has reserved is in the weights and not in the ledger until it arrives.
        let evicted = (self.ledger.bytes() + unarrived).saturating_sub(self.slots.weighted_size());
        if evicted > eighth * 4 {
            self.shortage.signal();
        }
        if reserved.max(evicted) > room {
            self.release(more, more);
            return Err(Refused::NoRoom);
        }
        Ok(())
    }

    /// Bytes that were reserved have arrived.
    pub(crate) fn arrived(&self, bytes: u64) {
        self.unarrived_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Ends the reservation of `bytes`, `unarrived` of which have not arrived.
    pub(crate) fn release(&self, bytes: u64, unarrived: u64) {
        self.filling_bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.arrived(unarrived);
    }

    /// Puts the slot into moka under its present weight. After a heavy slot moka makes room immediately;
    /// after a light one it does so by itself once it has some of them.
    pub(crate) fn insert(&self, slot: &Arc<Slot>) {
        let weight = {
            // Weighing and inserting are one step, so that the last weight is the one that counts.
            let shard = self.shard(&slot.key).lock();
            if self.other_slot(&shard, slot).is_some() {
                return;
            }
            let weight = u32::try_from(slot.weight()).unwrap_or(u32::MAX);
            if weight == 0 {
                self.remove(&slot.key);
            } else {
                self.slots.insert(slot.key.clone(), Entry { slot: Arc::clone(slot), weight });
            }
            u64::from(weight)
        };
        if weight > SMALL.min(self.limits.bytes / SMALL_SHARE) {
            self.slots.run_pending_tasks();
        }
    }

    /// Removes the slot of the key from moka; the shard is locked. A new weight that moka has not booked yet
    /// is booked first: a removal that overtakes it would leave the sum of the weights wrong for good.
    fn remove(&self, key: &Key) -> Option<Arc<Slot>> {
        if !self.slots.contains_key(key.as_str()) {
            return None;
        }
        self.slots.run_pending_tasks();
        self.slots.remove(key.as_str()).map(|entry| entry.slot)
    }

    /// Ends a fill: its result is inserted if the fill was still attached, and the slot leaves the registry.
    pub(crate) fn finish_fill(&self, slot: &Arc<Slot>, detached: bool) {
        if detached {
            self.insert(slot);
        }
        self.unregister(slot);
    }

    pub(crate) fn purge(&self, key: &Key) {
        let mut shard = self.shard(key).lock();
        let filling = shard.remove(key);
        let stored = self.remove(key);
        for slot in filling.into_iter().chain(stored) {
            *slot.state.lock() = SlotState::default();
        }
    }
}
