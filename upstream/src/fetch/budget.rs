//! How many requests may be made beyond the first one: a share of what is asked anyway.
//!
//! A count of retries per request multiplies the load on whoever is in trouble already. A share of the traffic does
//! not: however bad things are, upstreams see at most so much more than without retries. A few each second are always
//! allowed, or a quiet site could never be helped.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The budget of one pool.
#[derive(Debug)]
pub struct Budget {
    share: f64,
    per_second: f64,
    bucket: Mutex<TokenBucket>,
}

#[derive(Debug)]
struct TokenBucket {
    /// Retries that may be made now.
    left: f64,
    at: Instant,
}

/// What is not withdrawn is kept for as long as this many seconds, and no longer.
const KEPT_SECONDS: f64 = 10.0;
/// So many requests' shares are kept at most.
const KEPT_REQUESTS: f64 = 1000.0;

impl Budget {
    /// `share` of the requests, and `per_second` besides.
    pub fn new(share: f64, per_second: f64) -> Self {
        let left = per_second * KEPT_SECONDS;
        Self { share, per_second, bucket: Mutex::new(TokenBucket { left, at: Instant::now() }) }
    }

    /// A request is made that would have been made anyway.
    pub fn deposit(&self) {
        self.at(Instant::now(), |bucket| bucket.left += self.share);
    }

    /// Whether one more may be made, which is counted.
    pub fn try_withdraw(&self) -> bool {
        self.at(Instant::now(), |bucket| {
            let may = bucket.can_withdraw();
            bucket.left -= if may { 1.0 } else { 0.0 };
            may
        })
    }

    /// Whether one more might be made, without counting it.
    pub fn can_withdraw(&self) -> bool {
        self.at(Instant::now(), |bucket| bucket.can_withdraw())
    }

    /// How many may be made now.
    pub fn left(&self) -> f64 {
        self.at(Instant::now(), |bucket| bucket.left)
    }

    fn at<T>(&self, now: Instant, change: impl FnOnce(&mut TokenBucket) -> T) -> T {
        let mut bucket = self.bucket.lock();
        let passed: Duration = now.saturating_duration_since(bucket.at);
        bucket.at = now;
        let kept = self.per_second * KEPT_SECONDS + self.share * KEPT_REQUESTS;
        bucket.left = (bucket.left + passed.as_secs_f64() * self.per_second).min(kept);
        let result = change(&mut bucket);
        bucket.left = bucket.left.min(kept);
        result
    }
}

impl TokenBucket {
    fn can_withdraw(&self) -> bool {
        // Shares add up to a whole but for the last digit.
        self.left > 1.0 - 1e-6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn withdrawn(budget: &Budget) -> usize {
        (0..10_000).take_while(|_| budget.try_withdraw()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_of_the_requests_may_be_made_again() {
        let budget = Budget::new(0.2, 0.0);
        assert_eq!(withdrawn(&budget), 0);
        for _ in 0..100 {
            budget.deposit();
        }
        assert_eq!(withdrawn(&budget), 20);
        for _ in 0..1_000_000 {
            budget.deposit();
        }
        assert_eq!(withdrawn(&budget), 200, "what was saved long ago is not there any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_are_allowed_each_second() {
        let budget = Budget::new(0.0, 3.0);
        assert_eq!(withdrawn(&budget), 30);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(withdrawn(&budget), 6);
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(withdrawn(&budget), 30);
    }
}
