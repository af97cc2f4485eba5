//! A sliding window in two halves: one that fills, and the one before it.

use std::time::Duration;

use tokio::time::Instant;

/// Counts over between one and two halves.
#[derive(Debug)]
pub(crate) struct Window<T> {
    half: Duration,
    began: Instant,
    now: T,
    before: T,
}

impl<T: Default> Window<T> {
    /// An empty window.
    pub(crate) fn new(half: Duration, now: Instant) -> Self {
        Self { half, began: now, now: T::default(), before: T::default() }
    }

    /// The half that fills now, and the one before it.
    pub(crate) fn at(&mut self, now: Instant) -> (&mut T, &T) {
        let passed = now.saturating_duration_since(self.began);
        if passed >= self.half {
            let ended = std::mem::take(&mut self.now);
            self.before = if passed < self.half * 2 { ended } else { T::default() };
            self.began = now;
        }
        (&mut self.now, &self.before)
    }
}
