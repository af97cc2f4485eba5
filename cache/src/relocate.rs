//! A fill of a part that turns out to be a fill of the whole.
//!
//! A part of a resource has a key of its own. When the upstream sends the whole resource in its place, the
//! fill becomes that of the resource: its readers stay, and later requests for any part find the whole.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::fill::Fill;
use crate::fill_writer::FillWriter;
use crate::key::Key;
use crate::object::State;
use crate::slot::{Slot, SlotState};
use crate::store::{Cache, Inner};

impl FillWriter {
    /// Makes this the fill of `whole`, in place of its own key. It replaces the object of `whole`. Returns
    /// whether that is possible: not while a fill of `whole` is under way, nor if its responses vary. Call it
    /// before the head is published: until then, requests for its own key join it, too.
    pub fn move_to(&mut self, whole: &Key) -> bool {
        let left = self.cache().move_to(self.fill(), whole);
        let has_moved = left.is_some();
        if let Some(slot) = left {
            self.leave(slot);
        }
        has_moved
    }
}

impl Cache {
    /// Whether the object of `whole` can serve the bytes up to `last`: it is fresh and that long, or a fill
    /// under way brings them. An object that is at most `settled` old can also say that there are no such
    /// bytes.
    pub fn covers(&self, whole: &Key, last: u64, settled: Duration) -> bool {
        self.0.slot(whole).state.lock().covers(last, settled, Instant::now())
    }
}

impl SlotState {
    fn covers(&self, last: u64, settled: Duration, now: Instant) -> bool {
        if self.vary.is_some() {
            return false;
        }
        let cached = self.object.as_ref().filter(|object| object.state(now) == State::Fresh);
        let is_cached = cached.is_some_and(|object| {
            let is_long = object.body.full_len().is_some_and(|length| last < length);
            object.head.status == http::StatusCode::OK
                && (is_long || now.saturating_duration_since(object.received) < settled)
        });
        is_cached || self.fill.as_ref().is_some_and(|fill| fill.brings_byte(last))
    }
}

impl Inner {
    /// Returns the slot that the fill has left. The fill is that slot's, too, until [`Inner::detach`].
    fn move_to(&self, fill: &Arc<Fill>, whole: &Key) -> Option<Arc<Slot>> {
        let _one_at_a_time = self.move_lock.lock();
        let current = Arc::clone(&fill.slot.lock());
        let target = self.slot(whole);
        let admits = |state: &mut SlotState| {
            let does_not_vary = state.vary.is_none();
            if does_not_vary {
                // It is shorter, or about to be replaced: requests join the fill.
                state.object = None;
            }
            does_not_vary
        };
        if !self.attach(&target, fill, admits) {
            return None;
        }
        *fill.slot.lock() = target;
        Some(current)
    }

    /// Detaches a fill from a slot that it has left.
    pub(crate) fn detach(&self, slot: &Arc<Slot>, fill: &Arc<Fill>) {
        slot.state.lock().detach(fill, |_| {});
        self.unregister(slot);
        self.insert(slot);
    }
}
