//! The minimum rate of a body.
//!
//! A server that sends a few kilobytes per second does not stall, but it costs viewers as much. Only a body
//! of known length has a minimum rate: its server has all of it, while a segment in production arrives as it
//! is produced.

use std::time::Duration;

use tokio::time::Instant;

/// The minimum rate of a body of known length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinRate {
    /// This many bytes in each `window`.
    pub bytes: u64,
    /// The time over which bytes are counted.
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

    /// The next moment at which [`Meter::is_slow`] can say so.
    pub(crate) fn due(&self) -> Instant {
        self.began + self.min_rate.window
    }

    /// Counts received bytes.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Whether too few bytes arrived in a window; the next one begins when it ends.
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
