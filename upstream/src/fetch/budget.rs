//! The budget for retries: a share of the requests that are made anyway.
//!
//! A fixed number of retries per request multiplies the load on an upstream in trouble. A share of the
//! traffic does not: upstreams see at most that much more than without retries. A few each second are always
//! allowed, or else a quiet site could never retry.

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
    /// Retries that are allowed now.
    left: f64,
    at: Instant,
}

/// The allowance per second is saved for this many seconds.
const KEPT_SECONDS: f64 = 10.0;
/// The shares of this many requests are saved.
const KEPT_REQUESTS: f64 = 1000.0;

impl Budget {
    /// `share` of the requests, and `per_second` in addition.
    pub fn new(share: f64, per_second: f64) -> Self {
        let left = per_second * KEPT_SECONDS;
        Self { share, per_second, bucket: Mutex::new(TokenBucket { left, at: Instant::now() }) }
    }

    /// Adds the share of a request that is made anyway.
    pub fn deposit(&self) {
        self.at(Instant::now(), |bucket| bucket.left += self.share);
    }

    /// Takes one retry from the budget. Returns whether there was one.
    pub fn try_withdraw(&self) -> bool {
        self.at(Instant::now(), |bucket| {
            let may = bucket.can_withdraw();
            bucket.left -= if may { 1.0 } else { 0.0 };
            may
        })
    }

    /// Whether a retry is allowed now, without taking it.
    pub fn can_withdraw(&self) -> bool {
        self.at(Instant::now(), |bucket| bucket.can_withdraw())
    }

    /// The number of retries that are allowed now.
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
        // Shares add up to a whole except for the last digit.
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
