//! How many requests one upstream may have in flight, and how many may wait in its queue.
//!
//! A pass lasts as long as its one viewer wants, who may send a byte now and then, or read one. So passes
//! have a share of the permits and of the queue: the rest is for the fills that all other viewers wait for.

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
    /// Passes among the requests in flight, and among those in the queue. At least 1 of each is allowed.
    pub passes_max: usize,
    /// Requests in the queue; further ones are refused immediately.
    pub queue_max: usize,
    /// The longest wait in the queue.
    pub queue_timeout: Duration,
}

/// The limit that a request counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A request whose response many viewers may share.
    Fill,
    /// A request that the upstream may block until there is something new, which is no load meanwhile.
    Blocking,
    /// A request for one viewer alone, at its pace.
    Pass,
}

/// The permits of one upstream.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Limits,
    permits: Arc<Semaphore>,
    /// For requests that the upstream may block, so that they leave room for the others.
    blocking: Arc<Semaphore>,
    /// A pass needs one of these as well.
    passes: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_passes: AtomicUsize,
}

/// The permit of a request in flight, until it is dropped.
#[derive(Debug)]
pub struct Permit {
    _any: OwnedSemaphorePermit,
    pass: Option<OwnedSemaphorePermit>,
    passes: Arc<Semaphore>,
}

impl Permit {
    /// Makes it the permit of a pass: the response turned out to be for one viewer alone. False if there are
    /// too many passes.
    pub(crate) fn become_pass(&mut self) -> bool {
        if self.pass.is_none() {
            self.pass = Arc::clone(&self.passes).try_acquire_owned().ok();
        }
        self.pass.is_some()
    }
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        let limits = Limits { requests_max: limits.requests_max.min(Semaphore::MAX_PERMITS), ..limits };
        let passes_max = limits.passes_max.clamp(1, limits.requests_max.max(1));
        let limits = Limits { passes_max, ..limits };
        let permits = |count| Arc::new(Semaphore::new(count));
        Self {
            limits,
            permits: permits(limits.requests_max),
            blocking: permits(limits.requests_max),
            passes: permits(limits.passes_max),
            waiting: AtomicUsize::new(0),
            waiting_passes: AtomicUsize::new(0),
        }
    }

    /// Waits for a permit.
    pub(crate) async fn acquire(&self, class: Class) -> Result<Permit, UpstreamError> {
        if let Some(permit) = self.try_acquire(class) {
            return Ok(permit);
        }
        let _passes = match class {
            Class::Pass => Some(Place::take(&self.waiting_passes, self.passes_queue_max())?),
            Class::Fill | Class::Blocking => None,
        };
        let _place = Place::take(&self.waiting, self.limits.queue_max)?;
        let waited = timeout(self.limits.queue_timeout, self.wait(class)).await;
        waited.unwrap_or(None).ok_or(UpstreamError::Full)
    }

    fn try_acquire(&self, class: Class) -> Option<Permit> {
        let pass = match class {
            Class::Pass => Some(Arc::clone(&self.passes).try_acquire_owned().ok()?),
            Class::Fill | Class::Blocking => None,
        };
        let any = Arc::clone(self.any(class)).try_acquire_owned().ok()?;
        Some(Permit { _any: any, pass, passes: Arc::clone(&self.passes) })
    }

    /// A pass waits for its share first, so that it takes no permit that a fill could use meanwhile.
    async fn wait(&self, class: Class) -> Option<Permit> {
        let pass = match class {
            Class::Pass => Some(Arc::clone(&self.passes).acquire_owned().await.ok()?),
            Class::Fill | Class::Blocking => None,
        };
        let any = Arc::clone(self.any(class)).acquire_owned().await.ok()?;
        Some(Permit { _any: any, pass, passes: Arc::clone(&self.passes) })
    }

    fn any(&self, class: Class) -> &Arc<Semaphore> {
        match class {
            Class::Blocking => &self.blocking,
            Class::Fill | Class::Pass => &self.permits,
        }
    }

    /// Passes in the queue: the same share of it as of the requests in flight.
    fn passes_queue_max(&self) -> usize {
        let share = self.limits.queue_max.saturating_mul(self.limits.passes_max);
        share.div_ceil(self.limits.requests_max.max(1))
    }

    /// Requests in flight, blocked ones included.
    pub(crate) fn in_flight(&self) -> usize {
        self.taken(&self.permits) + self.taken(&self.blocking)
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

impl<'a> Place<'a> {
    /// Takes one of `max` places.
    fn take(taken: &'a AtomicUsize, max: usize) -> Result<Self, UpstreamError> {
        let place = Self(taken);
        if taken.fetch_add(1, Ordering::AcqRel) >= max { Err(UpstreamError::Full) } else { Ok(place) }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { requests_max: 2, passes_max: 1, queue_max: 1, queue_timeout: Duration::from_secs(1) };

    #[tokio::test(start_paused = true)]
    async fn a_request_is_refused_immediately_when_the_queue_is_full() {
        let limiter = Limiter::new(LIMITS);
        let (one, _two) =
            (limiter.acquire(Class::Fill).await.unwrap(), limiter.acquire(Class::Fill).await.unwrap());
        let _held = limiter.acquire(Class::Blocking).await.unwrap();
        assert_eq!((limiter.in_flight(), limiter.load()), (3, 2));
        let (third, fourth) = tokio::join!(limiter.acquire(Class::Fill), limiter.acquire(Class::Fill));
        assert_eq!(third.unwrap_err(), UpstreamError::Full, "no permit in time");
        assert_eq!(fourth.unwrap_err(), UpstreamError::Full);
        let began = tokio::time::Instant::now();
        let (third, ()) = tokio::join!(limiter.acquire(Class::Fill), async { drop(one) });
        third.unwrap();
        assert_eq!((began.elapsed(), limiter.waiting(), limiter.load()), (Duration::ZERO, 0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_leaves_the_queue_makes_room() {
        let limiter = Limiter::new(LIMITS);
        let (_one, _two) =
            (limiter.acquire(Class::Fill).await.unwrap(), limiter.acquire(Class::Fill).await.unwrap());
        for _ in 0..3 {
            let left = timeout(Duration::from_millis(10), limiter.acquire(Class::Fill)).await;
            assert!(left.is_err(), "it waited, and was not refused");
        }
        assert_eq!(limiter.waiting(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn passes_have_a_share_and_leave_the_rest_to_fills() {
        let limiter = Limiter::new(Limits { requests_max: 4, passes_max: 2, queue_max: 2, ..LIMITS });
        let pass = limiter.acquire(Class::Pass).await.unwrap();
        let _other = limiter.acquire(Class::Pass).await.unwrap();
        let (queued, refused) = tokio::join!(limiter.acquire(Class::Pass), limiter.acquire(Class::Pass));
        assert_eq!(queued.unwrap_err(), UpstreamError::Full, "no permit in time");
        assert_eq!(refused.unwrap_err(), UpstreamError::Full, "half of the queue is for passes");
        let mut fill = limiter.acquire(Class::Fill).await.unwrap();
        let _fill = limiter.acquire(Class::Fill).await.unwrap();
        assert_eq!((limiter.load(), limiter.waiting()), (4, 0));

        assert!(!fill.become_pass(), "there are two passes");
        drop(pass);
        assert!(fill.become_pass());
        drop(fill);
        limiter.acquire(Class::Pass).await.unwrap();
    }
}
