//! Responses that vary: the slot of the key itself only records by which fields, and each variant has a slot
//! of its own.
//!
//! The record carries a generation, which is part of the variants' keys. A purge of the key, or a change of
//! the fields, ends the generation: all its variants become unreachable in one step, and the responses of
//! their fills are not stored. Eviction removes their slots in time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use crate::fill::Fill;
use crate::key::Key;
use crate::object::Variant;
use crate::slot::{Slot, SlotState};
use crate::store::Inner;
use crate::vary::{Place, Vary};

impl Inner {
    /// Whether a fill may start in the slot with this key, of a variant of a response that varies. The slot
    /// of the variant that loses its place is removed.
    pub(crate) fn admits_variant(&self, vary: Option<&Vary>, key: &Key, now: Instant) -> bool {
        let Some(vary) = vary else { return true };
        match vary.admit(key, self.limits().variants_max, now) {
            Place::Taken(oldest) => {
                if let Some(oldest) = oldest {
                    self.purge(&oldest);
                }
                true
            }
            Place::None => {
                self.variants_refused.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }

    /// Moves a fill to the slot that its response belongs to, now that its head shows whether and how it
    /// varies. A fill whose key has been purged since it started belongs to no slot.
    pub(crate) fn move_to_variant(&self, fill: &Arc<Fill>, variant: Option<&Variant>) {
        let current = Arc::clone(&fill.slot.lock());
        let variant_of = current.key.split_variant();
        if variant_of.is_none() && variant.is_none() {
            return;
        }
        let _one_at_a_time = self.move_lock.lock();
        let target = match (variant_of, variant) {
            (Some((primary, generation)), Some(variant)) => {
                self.keep_vary(&current, &self.slot(&primary), fill, generation, variant)
            }
            (Some((primary, generation)), None) => self.clear_vary(&self.slot(&primary), fill, generation),
            (None, Some(variant)) => self.set_vary(&current, fill, variant, |state| state.is_filled_by(fill)),
            (None, None) => None,
        };
        if target.as_ref().is_some_and(|target| Arc::ptr_eq(target, &current)) {
            return;
        }
        current.state.lock().detach(fill, |_| {});
        self.unregister(&current);
        self.insert(&current);
        if let Some(target) = target {
            *fill.slot.lock() = target;
        }
    }

    /// The responses for a key vary already: by the same fields as this one, or by others from now on.
    fn keep_vary(
        &self,
        current: &Arc<Slot>,
        primary: &Arc<Slot>,
        fill: &Arc<Fill>,
        generation: u64,
        variant: &Variant,
    ) -> Option<Arc<Slot>> {
        let agrees = primary.state.lock().vary_of(generation).map(|vary| vary.names == variant.names)?;
        if !agrees {
            return self.set_vary(primary, fill, variant, |state| state.vary_of(generation).is_some());
        }
        let key = primary.key.variant(generation, &variant.values);
        if key == current.key {
            return Some(Arc::clone(current));
        }
        let target = self.slot(&key);
        self.attach(&target, fill, |_| true).then_some(target)
    }

    /// From now on the responses for a key vary as `variant` does. The fill is in its new slot before a
    /// request looks there. `is_wanted` decides, under the lock of the primary slot, whether the response
    /// still belongs to it.
    fn set_vary(
        &self,
        primary: &Arc<Slot>,
        fill: &Arc<Fill>,
        variant: &Variant,
        is_wanted: impl FnOnce(&SlotState) -> bool,
    ) -> Option<Arc<Slot>> {
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        let target = Arc::new(Slot::new(primary.key.variant(generation, &variant.values)));
        self.attach(&target, fill, |_| true);
        let wanted = {
            let mut state = primary.state.lock();
            let wanted = is_wanted(&state);
            if wanted {
                state.object = None;
                state.vary = Some(Arc::new(Vary::new(Arc::clone(&variant.names), generation)));
            }
            wanted
        };
        if !wanted {
            target.state.lock().detach(fill, |_| {});
            self.unregister(&target);
            return None;
        }
        self.insert(primary);
        Some(target)
    }

    /// From now on the responses for a key do not vary: the fill is for every request.
    fn clear_vary(&self, primary: &Arc<Slot>, fill: &Arc<Fill>, generation: u64) -> Option<Arc<Slot>> {
        let attached = self.attach(primary, fill, |state| {
            let varied = state.vary_of(generation).is_some();
            if varied {
                state.vary = None;
            }
            varied
        });
        attached.then(|| Arc::clone(primary))
    }
}
