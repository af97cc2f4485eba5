//! A rate with a burst, as one number: the generic cell rate algorithm, which is a token bucket without a
//! timer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A rate of events: some per second, and a number that may come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds per event.
    interval: u64,
    /// Nanoseconds of a whole burst.
    burst: u64,
}

/// The use of a rate by one client. Times are those since a moment that the caller chooses.
#[derive(Debug, Default)]
pub struct Bucket {
    /// The time, in nanoseconds, at which the bucket is full again.
    full_at: AtomicU64,
}

impl Rate {
    /// `per_second` events, of which `burst` may come together; `None` if `per_second` is 0: no limit.
    pub fn new(per_second: u32, burst: u32) -> Option<Self> {
        let interval = 1_000_000_000_u64.checked_div(u64::from(per_second))?.max(1);
        Some(Self { interval, burst: interval.saturating_mul(u64::from(burst.max(1))) })
    }
}

impl Bucket {
    /// Whether an event conforms to the rate; it is not counted.
    ///
    /// # Errors
    /// If not: the time until the next one does.
    pub fn check(&self, rate: Rate, now: Duration) -> Result<(), Duration> {
        next(self.full_at.load(Ordering::Relaxed), rate, nanos(now)).map(drop)
    }

    /// Counts an event, whether it conforms to the rate or not. Beyond a whole burst, events are forgotten.
    pub fn take(&self, rate: Rate, now: Duration) {
        let now = nanos(now);
        let taken = |full_at: u64| {
            Some(full_at.max(now).saturating_add(rate.interval).min(now.saturating_add(rate.burst)))
        };
        let _always = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken);
    }

    /// Counts many events, whether they conform to the rate or not. Beyond ten bursts, events are
    /// forgotten.
    pub fn take_many(&self, rate: Rate, events: u64, now: Duration) {
        let now = nanos(now);
        let taken = |full_at: u64| {
            let after = full_at.max(now).saturating_add(rate.interval.saturating_mul(events));
            Some(after.min(now.saturating_add(rate.burst.saturating_mul(BURSTS_MAX))))
        };
        let _always = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken);
    }

    /// Counts an event if it conforms to the rate.
    ///
    /// # Errors
    /// If not: the time until the next one does.
    pub fn try_take(&self, rate: Rate, now: Duration) -> Result<(), Duration> {
        let now = nanos(now);
        let taken = |full_at: u64| next(full_at, rate, now).ok();
        let result = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken);
        result.map(drop).or_else(|full_at| next(full_at, rate, now).map(drop))
    }

    /// Whether it is full: it remembers nothing of its client.
    pub fn is_full(&self, now: Duration) -> bool {
        self.full_at.load(Ordering::Relaxed) <= nanos(now)
    }
}

/// The bursts for which a bucket that is charged with many events may stay empty.
const BURSTS_MAX: u64 = 10;

/// The time at which the bucket is full after one more event.
fn next(full_at: u64, rate: Rate, now: u64) -> Result<u64, Duration> {
    let after = full_at.max(now).saturating_add(rate.interval);
    match after.checked_sub(now.saturating_add(rate.burst)) {
        None | Some(0) => Ok(after),
        Some(excess) => Err(Duration::from_nanos(excess)),
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let (bucket, rate) = (Bucket::default(), Rate::new(10, 5).unwrap());
        assert!(bucket.is_full(Duration::ZERO));
        for _ in 0..5 {
            assert_eq!(bucket.try_take(rate, SECOND), Ok(()));
        }
        assert_eq!(bucket.try_take(rate, SECOND), Err(Duration::from_millis(100)));
        assert_eq!(bucket.check(rate, SECOND), Err(Duration::from_millis(100)));
        assert_eq!(bucket.try_take(rate, SECOND * 2), Ok(()), "a second later");
        let passed =
            (0..1000).filter(|ms| bucket.try_take(rate, SECOND * 3 + Duration::from_millis(*ms)).is_ok());
        assert_eq!(passed.count(), 14, "five, and then one in each tenth of a second");
        assert!(!bucket.is_full(SECOND * 4) && bucket.is_full(SECOND * 5));
    }

    #[test]
    fn an_event_beyond_the_burst_is_forgotten() {
        let (bucket, rate) = (Bucket::default(), Rate::new(10, 5).unwrap());
        for _ in 0..100 {
            bucket.take(rate, SECOND);
        }
        assert_eq!(bucket.try_take(rate, SECOND), Err(Duration::from_millis(100)));
    }

    #[test]
    fn many_events_are_paid_for_by_those_that_follow() {
        let (bucket, rate) = (Bucket::default(), Rate::new(10, 10).unwrap());
        bucket.take_many(rate, 25, SECOND);
        assert_eq!(bucket.check(rate, SECOND), Err(Duration::from_millis(1600)));
        assert_eq!(bucket.check(rate, SECOND * 3), Ok(()));
        bucket.take_many(rate, u64::MAX, SECOND * 3);
        assert_eq!(bucket.check(rate, SECOND * 3), Err(Duration::from_millis(9100)), "ten bursts at most");
    }

    #[test]
    fn no_rate_is_no_limit() {
        assert_eq!(Rate::new(0, 5), None);
        assert!(Rate::new(u32::MAX, u32::MAX).is_some());
    }
}
