//! Purges by a rule: all slots whose key or head the rule selects, with their fills under way.
//!
//! A purge must not let through what was requested from an upstream before it. So it also reaches the fills
//! under way: they continue for readers that have their head, and their response is not stored. Readers that
//! still wait for the head look up again. A rule about heads marks the fills without a head, which are
//! purged when the head arrives.
//!
//! The order matters. The registry is walked before moka: a fill that ends leaves the registry only after
//! its object is in moka. A fill that enters the registry behind the walk has begun after the purge.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::time::Instant;

use crate::key::Key;
use crate::object::Head;
use crate::selection::Selection;
use crate::slot::Slot;
use crate::store::{Cache, Inner};

/// What becomes of the selected objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PurgeMode {
    /// They are removed (a hard purge).
    Remove,
    /// They expire (a soft purge): the next request waits until the object is revalidated, and receives the
    /// old one only if no upstream is available.
    Expire,
}

/// The result of a purge.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Purged {
    /// The keys of the purged objects, each variant and slice with its own key.
    pub objects: Vec<Key>,
    /// Fills under way whose responses are not stored.
    pub fills: u64,
}

impl Cache {
    /// Purges everything that `selection` selects. When it returns, no look-up finds a response that an
    /// upstream sent for a request from before the call. It walks all slots and may block the thread.
    pub fn purge_selected(&self, selection: &Arc<dyn Selection>, mode: PurgeMode) -> Purged {
        self.0.purge_selected(selection, mode)
    }
}

impl Inner {
    fn purge_selected(&self, selection: &Arc<dyn Selection>, mode: PurgeMode) -> Purged {
        let mut purged = Purged::default();
        let filling = {
            // A fill that moves to another slot must not move behind the walk.
            let _no_moves = self.move_lock.lock();
            let filling = self.filling(|key| selection.selects_key(key));
            for slot in &filling {
                self.purge_slot(slot, selection, mode, &mut purged);
            }
            filling
        };
        let walked: HashSet<*const Slot> = filling.iter().map(Arc::as_ptr).collect();
        let mut stored = self.stored(|key| selection.selects_key(key));
        let now = Instant::now();
        stored.retain(|slot| {
            let is_new = !walked.contains(&Arc::as_ptr(slot));
            is_new && slot.purge(selection, mode, now, &mut purged)
        });
        // An expired object keeps its weight.
        self.remove_empty(&stored);
        purged
    }

    fn purge_slot(
        &self,
        slot: &Arc<Slot>,
        selection: &Arc<dyn Selection>,
        mode: PurgeMode,
        purged: &mut Purged,
    ) {
        if slot.purge(selection, mode, Instant::now(), purged) {
            self.unregister(slot);
            self.insert(slot);
        }
    }
}

impl Slot {
    /// Returns whether the slot has changed.
    fn purge(
        &self,
        selection: &Arc<dyn Selection>,
        mode: PurgeMode,
        now: Instant,
        purged: &mut Purged,
    ) -> bool {
        let mut state = self.state.lock();
        let reads_heads = selection.reads_heads();
        let selects = |head: &Head| selection.selects_head(head).unwrap_or(true);
        let is_object_selected = state.object.as_ref().is_some_and(|object| selects(&object.head));
        // A fill that revalidates a selected object may store it again.
        let is_fill_selected = state
            .fill
            .as_ref()
            .is_some_and(|fill| !reads_heads || is_object_selected || fill.is_selected(selection));
        let is_memory_selected = !reads_heads && !state.is_empty();
        if !is_object_selected && !is_fill_selected && !is_memory_selected {
            return false;
        }
        let fill = state.fill.take_if(|_| is_fill_selected);
        if fill.is_some() {
            state.reserved = 0;
        }
        let object = state.object.take_if(|_| is_object_selected);
        if let Some(object) = &object {
            purged.objects.push(self.key.clone());
            if mode == PurgeMode::Expire {
                state.object = Some(Arc::new(object.expired(now)));
            }
        }
        if is_memory_selected {
            (state.failure, state.pass_until) = (None, None);
            if mode == PurgeMode::Remove {
                state.vary = None;
            }
        }
        drop(state);
        if let Some(fill) = fill {
            purged.fills += 1;
            fill.purge();
        }
        true
    }
}
