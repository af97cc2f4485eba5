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
use crate::slot::SlotState;
use crate::store::{Cache, Inner};

impl FillWriter {
    /// Makes this the fill of `whole`, in place of its own key. It replaces the object of `whole`. Returns
    /// whether that is possible: not while a fill of `whole` is under way, nor if its responses vary. Call it
    /// before the head is published.
    pub fn move_to(&mut self, whole: &Key) -> bool {
        let has_moved = self.cache().move_to(self.fill(), whole);
        if has_moved {
            self.forget_stale();
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
    fn move_to(&self, fill: &Arc<Fill>, whole: &Key) -> bool {
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
            return false;
        }
        current.state.lock().detach(fill, |_| {});
        self.unregister(&current);
        self.insert(&current);
        *fill.slot.lock() = target;
        true
    }
}
