//! The latency of an upstream: quantiles of the last minute, in a fixed amount of memory.

use std::time::Duration;

use tokio::time::Instant;

use crate::health::window::Window;

/// Response times of the last 30 to 60 s, by size.
#[derive(Debug)]
pub struct Latency(Window<Counts>);

/// Four steps to each doubling, from a quarter of a millisecond to more than a minute: a quantile has an
/// error of a fifth at most.
const STEPS: usize = 72;
const SMALLEST: f64 = 0.000_25;
const STEPS_PER_DOUBLING: f64 = 4.0;

/// One half of the window.
const HALF: Duration = Duration::from_secs(30);

/// The number of responses in each step.
#[derive(Debug)]
struct Counts(Box<[u32; STEPS]>);

impl Default for Counts {
    fn default() -> Self {
        Self(Box::new([0; STEPS]))
    }
}

impl Latency {
    /// Without responses.
    pub fn new(now: Instant) -> Self {
        Self(Window::new(HALF, now))
    }

    /// Records the time of a response.
    pub fn observe(&mut self, took: Duration, now: Instant) {
        if let Some(count) = self.0.at(now).0.0.get_mut(step(took)) {
            *count = count.saturating_add(1);
        }
    }

    /// The number of responses in the window.
    pub fn count(&mut self, now: Instant) -> u64 {
        let (now, before) = self.0.at(now);
        now.0.iter().chain(before.0.iter()).map(|count| u64::from(*count)).sum()
    }

    /// The time of the share `quantile` of all responses; `None` if there were none.
    #[expect(clippy::cast_precision_loss, reason = "a count of one minute's answers is exact in an f64")]
    pub fn quantile(&mut self, quantile: f64, now: Instant) -> Option<Duration> {
        let all = self.count(now);
        let mut left = (all as f64 * quantile).ceil().max(1.0);
        let (now, before) = self.0.at(now);
        for (step, (now, before)) in now.0.iter().zip(before.0.iter()).enumerate() {
            left -= f64::from(*now) + f64::from(*before);
            if all > 0 && left <= 0.0 {
                return Some(upper_end(step));
            }
        }
        None
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the steps there are")]
fn step(took: Duration) -> usize {
    let doublings = (took.as_secs_f64() / SMALLEST).max(1.0).log2();
    ((doublings * STEPS_PER_DOUBLING).ceil() as usize).min(STEPS - 1)
}

fn upper_end(step: usize) -> Duration {
    let doublings = f64::from(u32::try_from(step).unwrap_or(u32::MAX)) / STEPS_PER_DOUBLING;
    Duration::from_secs_f64(SMALLEST * doublings.exp2())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_within_a_fifth() {
        let now = Instant::now();
        let mut latency = Latency::new(now);
        for millis in 1..=1000 {
            latency.observe(Duration::from_millis(millis), now);
        }
        for (quantile, exact) in [(0.5, 0.5), (0.95, 0.95), (0.99, 0.99)] {
            let estimate = latency.quantile(quantile, now).unwrap().as_secs_f64();
            assert!((exact..exact * 1.2).contains(&estimate), "{quantile}: {estimate}");
        }
    }

    #[test]
    fn no_samples_have_no_quantile_and_extremes_have_a_place() {
        let now = Instant::now();
        let mut latency = Latency::new(now);
        assert_eq!(latency.quantile(0.5, now), None);
        latency.observe(Duration::ZERO, now);
        assert_eq!(latency.quantile(0.5, now), Some(Duration::from_micros(250)));
        latency.observe(Duration::from_hours(1), now);
        assert!(latency.quantile(1.0, now).unwrap() > Duration::from_secs(50));
    }

    #[test]
    fn what_is_older_than_a_minute_is_forgotten() {
        let began = Instant::now();
        let mut latency = Latency::new(began);
        latency.observe(Duration::from_secs(1), began);
        assert_eq!(latency.count(began + Duration::from_secs(31)), 1);
        assert_eq!(latency.count(began + Duration::from_secs(62)), 0);
        latency.observe(Duration::from_secs(1), began + Duration::from_secs(62));
        assert_eq!(latency.count(began + Duration::from_secs(200)), 0);
    }
}
