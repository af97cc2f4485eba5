//! The path to one region.

use std::time::Duration;

/// The round-trip time to a region, and how it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoundTrip {
    /// Smoothed over the latest samples.
    Measured(Duration),
    /// From the distance.
    Guessed(Duration),
    /// Neither samples nor coordinates.
    Unknown,
}

impl RoundTrip {
    /// The time, if any is known.
    pub const fn duration(self) -> Option<Duration> {
        match self {
            Self::Measured(duration) | Self::Guessed(duration) => Some(duration),
            Self::Unknown => None,
        }
    }
}

/// The path to one region.
#[derive(Debug, Clone)]
pub(super) struct Path {
    guess: Option<Duration>,
    listed: Option<usize>,
    measured: Option<Measured>,
}

#[derive(Debug, Clone, Copy)]
struct Measured {
    smoothed: Duration,
    samples: u32,
    last: Duration,
}

impl Path {
    /// Not measured yet; `listed` is its index in the configured order, if it has one.
    pub(super) fn new(guess: Option<Duration>, listed: Option<usize>) -> Self {
        Self { guess, listed, measured: None }
    }

    pub(super) fn guess(&self) -> Option<Duration> {
        self.guess
    }

    pub(super) fn listed(&self) -> Option<usize> {
        self.listed
    }

    /// Records a sample. The first few count alike, so that the very first does not weigh too much; after
    /// them a new sample counts for a part, and old ones fade.
    pub(super) fn observe(&mut self, rtt: Duration, now: Duration) {
        let rtt = rtt.min(RTT_MAX);
        let before = self.fresh(now);
        let samples = before.map_or(1, |before| before.samples.saturating_add(1));
        let part = samples.min(SMOOTHING);
        let smoothed = before.map_or(rtt, |before| (before.smoothed * (part - 1) + rtt) / part);
        self.measured = Some(Measured { smoothed, samples, last: now });
    }

    pub(super) fn round_trip(&self, now: Duration) -> RoundTrip {
        match (self.fresh(now), self.guess) {
            (Some(measured), _) => RoundTrip::Measured(measured.smoothed),
            (None, Some(guess)) => RoundTrip::Guessed(guess),
            (None, None) => RoundTrip::Unknown,
        }
    }

    /// Whether there are enough samples to act upon, or none, so that the guess is all there is.
    pub(super) fn has_enough_samples(&self, now: Duration) -> bool {
        self.fresh(now).is_none_or(|measured| measured.samples >= SAMPLES_MIN)
    }

    fn fresh(&self, now: Duration) -> Option<Measured> {
        self.measured.filter(|measured| now.saturating_sub(measured.last) < STALE)
    }
}

/// A quarter of each new sample: a real change shows after three of them, and a single outlier of a few times
/// the usual is forgotten within [`PATIENCE`](super::PATIENCE) at one sample a second.
const SMOOTHING: u32 = 4;
/// Two samples may both be outliers.
const SAMPLES_MIN: u32 = 3;
/// After a minute without a sample, routes and load may be anything.
const STALE: Duration = Duration::from_mins(1);
/// The longest round-trip time that counts; it keeps the arithmetic far from its limits.
const RTT_MAX: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_sample_is_taken_as_it_is() {
        let mut path = Path::new(Some(20 * MS), None);
        assert_eq!(path.round_trip(at(0)), RoundTrip::Guessed(20 * MS));
        path.observe(7 * MS, at(0));
        assert_eq!(path.round_trip(at(0)), RoundTrip::Measured(7 * MS));
    }

    #[test]
    fn the_first_four_samples_count_alike_and_later_ones_for_a_quarter() {
        let mut path = Path::new(None, None);
        for (rtt, smoothed) in [(8, 8.0), (4, 6.0), (12, 8.0), (8, 8.0), (16, 10.0), (2, 8.0), (0, 6.0)] {
            path.observe(rtt * MS, at(1));
            assert_eq!(path.round_trip(at(1)), RoundTrip::Measured(MS.mul_f64(smoothed)));
        }
    }

    #[test]
    fn after_a_minute_without_a_sample_the_guess_is_back_and_measuring_restarts() {
        let mut path = Path::new(Some(20 * MS), None);
        path.observe(80 * MS, at(10));
        assert_eq!(path.round_trip(at(69)), RoundTrip::Measured(80 * MS));
        assert_eq!(path.round_trip(at(70)), RoundTrip::Guessed(20 * MS));
        path.observe(6 * MS, at(71));
        assert_eq!(path.round_trip(at(71)), RoundTrip::Measured(6 * MS));
    }

    #[test]
    fn a_path_is_settled_by_its_third_sample() {
        let mut path = Path::new(None, None);
        let settled: Vec<_> = (0..4)
            .map(|second| {
                let settled = path.has_enough_samples(at(second));
                path.observe(MS, at(second));
                settled
            })
            .collect();
        assert_eq!(settled, [true, false, false, true], "without a sample there is nothing to wait for");
    }

    #[test]
    fn absurd_samples_do_no_harm() {
        let mut path = Path::new(None, None);
        for _ in 0..10 {
            path.observe(Duration::MAX, Duration::MAX);
        }
        assert_eq!(
            path.round_trip(at(0)),
            RoundTrip::Measured(RTT_MAX),
            "a clock that goes back is taken as it is"
        );
    }
}
