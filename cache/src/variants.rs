//! Answers that vary: the slot of the key itself then only says by what, and each variant has a slot of its own.
//!
//! What the answers vary by carries a generation, which is part of the variants' keys. A purge of the key, or a
//! change of what its answers vary by, ends the generation: all its variants are out of reach at once, and whatever
//! their fills still bring is not stored. Their slots go when eviction comes to them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::fill::Fill;
use crate::object::Variant;
use crate::slot::{Held, Slot, Vary};
use crate::store::Inner;

impl Inner {
    /// Moves a fill to the slot that its answer belongs to, now that it is known whether and how it varies. A fill
    /// whose key has been purged since it was asked for belongs nowhere.
    pub(crate) fn move_home(&self, fill: &Arc<Fill>, variant: Option<&Variant>) {
        let home = Arc::clone(&fill.home.lock());
        let of = home.key.variant_of();
        if of.is_none() && variant.is_none() {
            return;
        }
        let _one_at_a_time = self.moving.lock();
        let target = match (of, variant) {
            (Some((primary, generation)), Some(variant)) => {
                self.vary_on(&home, &self.slot(&primary), fill, generation, variant)
            }
            (Some((primary, generation)), None) => self.vary_no_more(&self.slot(&primary), fill, generation),
            (None, Some(variant)) => self.vary_by(&home, fill, variant, |held| held.is_filled_by(fill)),
            (None, None) => None,
        };
        if target.as_ref().is_some_and(|target| Arc::ptr_eq(target, &home)) {
            return;
        }
        home.held.lock().settle(fill, |_| {});
        self.unregister(&home);
        self.hold(&home);
        if let Some(target) = target {
            *fill.home.lock() = target;
        }
    }

    /// The answers for a key vary already: as this one does, or differently from now on.
    fn vary_on(
        &self,
        home: &Arc<Slot>,
        primary: &Arc<Slot>,
        fill: &Arc<Fill>,
        generation: u64,
        variant: &Variant,
    ) -> Option<Arc<Slot>> {
        let agrees = primary.held.lock().vary_of(generation).map(|vary| vary.names == variant.names)?;
        if !agrees {
            return self.vary_by(primary, fill, variant, |held| held.vary_of(generation).is_some());
        }
        let key = primary.key.variant(generation, &variant.values);
        if key == home.key {
            return Some(Arc::clone(home));
        }
        let target = self.slot(&key);
        self.attach(&target, fill, |_| true).then_some(target)
    }

    /// From now on the answers for a key vary as `variant` does. The fill is in its new slot before anybody is sent
    /// there; `still` tells whether its answer is wanted after all.
    fn vary_by(
        &self,
        primary: &Arc<Slot>,
        fill: &Arc<Fill>,
        variant: &Variant,
        still: impl FnOnce(&Held) -> bool,
    ) -> Option<Arc<Slot>> {
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        let target = Arc::new(Slot::new(primary.key.variant(generation, &variant.values)));
        self.attach(&target, fill, |_| true);
        let wanted = {
            let mut held = primary.held.lock();
            let wanted = still(&held);
            if wanted {
                held.object = None;
                held.vary = Some(Arc::new(Vary { names: Arc::clone(&variant.names), generation }));
            }
            wanted
        };
        if !wanted {
            target.held.lock().settle(fill, |_| {});
            self.unregister(&target);
            return None;
        }
        self.hold(primary);
        Some(target)
    }

    /// From now on the answers for a key do not vary: the fill is everybody's.
    fn vary_no_more(&self, primary: &Arc<Slot>, fill: &Arc<Fill>, generation: u64) -> Option<Arc<Slot>> {
        let attached = self.attach(primary, fill, |held| {
            let varied = held.vary_of(generation).is_some();
            if varied {
                held.vary = None;
            }
            varied
        });
        attached.then(|| Arc::clone(primary))
    }
}
