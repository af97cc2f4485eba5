//! How many requests one upstream may have in flight, and how many may wait in its queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::error::UpstreamError;

/// The limits of one upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests in flight; as many again may be blocked until there is something new.
    pub requests_max: usize,
    /// Requests in the queue; further ones are refused immediately.
    pub queue_max: usize,
    /// The longest wait in the queue.
    pub queue_timeout: Duration,
}

/// The permits of one upstream.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Limits,
    permits: Arc<Semaphore>,
    /// For requests that the upstream may block, so that they leave room for the others.
    held: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// The permit of a request in flight, until it is dropped.
#[derive(Debug)]
pub struct Permit(#[expect(dead_code, reason = "it is only dropped")] OwnedSemaphorePermit);

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        let limits = Limits { requests_max: limits.requests_max.min(Semaphore::MAX_PERMITS), ..limits };
        let permits = || Arc::new(Semaphore::new(limits.requests_max));
        Self { limits, permits: permits(), held: permits(), waiting: AtomicUsize::new(0) }
    }

    /// Waits for a permit. `is_blocking`: the upstream may block the request, which is no load meanwhile.
    pub(crate) async fn acquire(&self, is_blocking: bool) -> Result<Permit, UpstreamError> {
        let permits = if is_blocking { &self.held } else { &self.permits };
        match Arc::clone(permits).try_acquire_owned() {
            Ok(permit) => Ok(Permit(permit)),
            Err(_none_left) => self.queue(permits).await.map(Permit),
        }
    }

    async fn queue(&self, permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, UpstreamError> {
        let place = Place(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= self.limits.queue_max {
            return Err(UpstreamError::Full);
        }
        let waited = timeout(self.limits.queue_timeout, Arc::clone(permits).acquire_owned()).await;
        drop(place);
        match waited {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(UpstreamError::Full),
        }
    }

    /// Requests in flight, blocked ones included.
    pub(crate) fn in_flight(&self) -> usize {
        self.taken(&self.permits) + self.taken(&self.held)
    }

    /// Requests in flight, without blocked ones.
    pub(crate) fn load(&self) -> usize {
        self.taken(&self.permits)
    }

    fn taken(&self, permits: &Semaphore) -> usize {
        self.limits.requests_max.saturating_sub(permits.available_permits())
    }

    /// Requests in the queue.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// A place in the queue, which ends with a permit, a timeout or cancellation.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { requests_max: 2, queue_max: 1, queue_timeout: Duration::from_secs(1) };

    #[tokio::test(start_paused = true)]
    async fn a_request_is_refused_immediately_when_the_queue_is_full() {
        let limiter = Limiter::new(LIMITS);
        let (one, _two) = (limiter.acquire(false).await.unwrap(), limiter.acquire(false).await.unwrap());
        let _held = limiter.acquire(true).await.unwrap();
        assert_eq!((limiter.in_flight(), limiter.load()), (3, 2));
        let (third, fourth) = tokio::join!(limiter.acquire(false), limiter.acquire(false));
        assert_eq!(third.unwrap_err(), UpstreamError::Full, "no permit in time");
        assert_eq!(fourth.unwrap_err(), UpstreamError::Full);
        let began = tokio::time::Instant::now();
        let (third, ()) = tokio::join!(limiter.acquire(false), async { drop(one) });
        third.unwrap();
        assert_eq!((began.elapsed(), limiter.waiting(), limiter.load()), (Duration::ZERO, 0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_leaves_the_queue_makes_room() {
        let limiter = Limiter::new(LIMITS);
        let (_one, _two) = (limiter.acquire(false).await.unwrap(), limiter.acquire(false).await.unwrap());
        for _ in 0..3 {
            let left = timeout(Duration::from_millis(10), limiter.acquire(false)).await;
            assert!(left.is_err(), "it waited, and was not refused");
        }
        assert_eq!(limiter.waiting(), 0);
    }
}
