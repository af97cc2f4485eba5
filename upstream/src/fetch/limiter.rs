//! How many requests one source may have at once, and how many more may wait for their turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::error::UpstreamError;

/// The limits of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests in flight; as many again may be held until there is something new.
    pub requests_max: usize,
    /// Requests that wait for their turn; further ones are refused at once.
    pub queue_max: usize,
    /// How long one waits at most.
    pub queue_timeout: Duration,
}

/// Who may pass.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Limits,
    permits: Arc<Semaphore>,
    /// For requests that are held, so that they leave the others their places.
    held: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A request that is in flight, until this goes.
#[derive(Debug)]
pub struct Permit(#[expect(dead_code, reason = "it is held, and not looked at")] OwnedSemaphorePermit);

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        let limits = Limits { requests_max: limits.requests_max.min(Semaphore::MAX_PERMITS), ..limits };
        let permits = || Arc::new(Semaphore::new(limits.requests_max));
        Self { limits, permits: permits(), held: permits(), waiting: AtomicUsize::new(0) }
    }

    /// Waits for its turn. `is_blocking`: the request is one that waits by its nature, and is no load meanwhile.
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

    /// Requests in flight, those that are held included.
    pub(crate) fn in_flight(&self) -> usize {
        self.taken(&self.permits) + self.taken(&self.held)
    }

    /// Requests in flight that are work.
    pub(crate) fn load(&self) -> usize {
        self.taken(&self.permits)
    }

    fn taken(&self, permits: &Semaphore) -> usize {
        self.limits.requests_max.saturating_sub(permits.available_permits())
    }

    /// Requests that wait for their turn.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// A place in the queue, given up by whoever has its turn, has waited for too long, or has left.
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
    async fn whoever_finds_the_queue_full_is_refused_at_once() {
        let limiter = Limiter::new(LIMITS);
        let (one, _two) = (limiter.acquire(false).await.unwrap(), limiter.acquire(false).await.unwrap());
        let _held = limiter.acquire(true).await.unwrap();
        assert_eq!((limiter.in_flight(), limiter.load()), (3, 2));
        let (third, fourth) = tokio::join!(limiter.acquire(false), limiter.acquire(false));
        assert_eq!(third.unwrap_err(), UpstreamError::Full, "nobody left in time");
        assert_eq!(fourth.unwrap_err(), UpstreamError::Full);
        let began = tokio::time::Instant::now();
        let (third, ()) = tokio::join!(limiter.acquire(false), async { drop(one) });
        third.unwrap();
        assert_eq!((began.elapsed(), limiter.waiting(), limiter.load()), (Duration::ZERO, 0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_leaves_the_queue_makes_room() {
        let limiter = Limiter::new(LIMITS);
        let (_one, _two) = (limiter.acquire(false).await.unwrap(), limiter.acquire(false).await.unwrap());
        for _ in 0..3 {
            let left = timeout(Duration::from_millis(10), limiter.acquire(false)).await;
            assert!(left.is_err(), "it waited, and was not refused");
        }
        assert_eq!(limiter.waiting(), 0);
    }
}
