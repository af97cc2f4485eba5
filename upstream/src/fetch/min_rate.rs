//! Whether a body comes as fast as it must.
//!
//! A server that sends at a few kilobytes per second does not stall, and costs viewers as much. Only a body whose length is
//! known is held against the clock: whoever knows the length has all of it, while a segment that is still being made comes
//! as it is made.

use std::time::Duration;

use tokio::time::Instant;

/// How slowly a body of known length may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinRate {
    /// So many bytes in each `window`.
    pub bytes: u64,
    /// The time over which they are counted.
    pub window: Duration,
}

/// Counts the bytes of one body.
#[derive(Debug)]
pub(crate) struct Meter {
    min_rate: MinRate,
    began: Instant,
    bytes: u64,
}

impl Meter {
    pub(crate) fn new(min_rate: MinRate, now: Instant) -> Self {
        Self { min_rate, began: now, bytes: 0 }
    }

    /// The moment at which [`Meter::is_slow`] can tell next.
    pub(crate) fn due(&self) -> Instant {
        self.began + self.min_rate.window
    }

    /// So many bytes have come.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Whether fewer bytes came in a window than must; a new one begins when it is over.
    pub(crate) fn is_slow(&mut self, now: Instant) -> bool {
        if now < self.due() {
            return false;
        }
        let is_slow = self.bytes < self.min_rate.bytes;
        (self.began, self.bytes) = (now, 0);
        is_slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_window_must_bring_its_bytes() {
        let window = Duration::from_secs(1);
        let began = Instant::now();
        let mut meter = Meter::new(MinRate { bytes: 100, window }, began);
        meter.add(60);
        assert!(!meter.is_slow(began + window / 2));
        meter.add(40);
        assert!(!meter.is_slow(began + window));
        meter.add(99);
        assert!(!meter.is_slow(began + window * 3 / 2));
        assert!(meter.is_slow(began + window * 2));
    }
}
