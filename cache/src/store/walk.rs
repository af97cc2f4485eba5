//! Walks over all slots: what a cache contains, and what a purge selects.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Cache, Inner, SHARDS, Totals};
use crate::key::Key;
use crate::object::Object;
use crate::slot::Slot;

/// Slots that a purge removes from moka under one lock.
const REMOVED_TOGETHER: usize = 256;

impl Cache {
    /// The contents of the cache in numbers.
    pub fn totals(&self) -> Totals {
        self.0.totals()
    }

    /// The fills under way, at most `max`: key, bytes so far, readers.
    pub fn fills(&self, max: usize) -> Vec<(Key, u64, usize)> {
        let mut fills = Vec::new();
        for shard in &self.0.registry {
            for slot in shard.lock().values() {
                if fills.len() == max {
                    return fills;
                }
                if let Some(fill) = &slot.state.lock().fill {
                    fills.push((slot.key.clone(), fill.bytes(), fill.readers()));
                }
            }
        }
        fills
    }

    /// Cached objects, at most `max`: key and object.
    pub fn objects(&self, max: usize) -> Vec<(Key, Arc<Object>)> {
        let objects = self.0.slots.iter().filter_map(|(key, entry)| {
            let object = entry.slot.state.lock().object.clone()?;
            Some((Key::clone(&key), object))
        });
        objects.take(max).collect()
    }
}

impl Inner {
    /// The slots whose fill is under way and whose key is `wanted`.
    pub(crate) fn filling(&self, wanted: impl Fn(&Key) -> bool) -> Vec<Arc<Slot>> {
        let mut slots = Vec::new();
        for shard in &self.registry {
            let shard = shard.lock();
            slots.extend(shard.values().filter(|slot| wanted(&slot.key)).map(Arc::clone));
        }
        slots
    }

    /// The slots in moka whose key is `wanted`.
    pub(crate) fn stored(&self, wanted: impl Fn(&Key) -> bool) -> Vec<Arc<Slot>> {
        self.slots.iter().filter(|(key, _)| wanted(key)).map(|(_, entry)| entry.slot).collect()
    }

    /// Removes those of these slots from moka that are empty now. [`Inner::remove`] books pending weights
    /// for each slot; this does so for a group of them.
    pub(crate) fn remove_empty(&self, slots: &[Arc<Slot>]) {
        let mut by_shard: [Vec<&Arc<Slot>>; SHARDS] = Default::default();
        for slot in slots {
            if let Some(shard) = by_shard.get_mut(self.shard_index(&slot.key)) {
                shard.push(slot);
            }
        }
        for (shard, slots) in self.registry.iter().zip(by_shard) {
            // Fills that start wait for the lock of the shard, so that no group is long.
            for group in slots.chunks(REMOVED_TOGETHER) {
                let shard = shard.lock();
                self.slots.run_pending_tasks();
                for slot in group {
                    if self.other_slot(&shard, slot).is_none() && slot.weight() == 0 {
                        self.slots.invalidate(slot.key.as_str());
                    }
                }
            }
        }
        self.slots.run_pending_tasks();
    }

    fn totals(&self) -> Totals {
        self.slots.run_pending_tasks();
        let (mut fills, mut waiting) = (0, 0);
        for shard in &self.registry {
            for slot in shard.lock().values() {
                // A fill that moves has two slots for a moment.
                let fill = slot.state.lock().fill.clone();
                if let Some(fill) = fill.filter(|fill| Arc::ptr_eq(&fill.slot.lock(), slot)) {
                    fills += 1;
                    waiting += fill.readers() as u64;
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
            variants_refused: self.variants_refused.load(Ordering::Relaxed),
            budget_bytes: self.limits.bytes,
        }
    }
}
