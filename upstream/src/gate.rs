//! How many requests one source may have at once, and how many more may wait for their turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::trouble::Trouble;

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
pub(crate) struct Gate {
    limits: Limits,
    permits: Arc<Semaphore>,
    /// For requests that are held, so that they leave the others their places.
    held: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Requests in flight that are work: not those that are held until there is something new.
    load: Arc<AtomicUsize>,
}

/// A request that is in flight, until this goes.
#[derive(Debug)]
pub(crate) struct Passed {
    _permit: OwnedSemaphorePermit,
    load: Option<Arc<AtomicUsize>>,
}

impl Gate {
    pub(crate) fn new(limits: Limits) -> Self {
        let permits = limits.requests_max.min(Semaphore::MAX_PERMITS);
        Self {
            limits,
            permits: Arc::new(Semaphore::new(permits)),
            held: Arc::new(Semaphore::new(permits)),
            waiting: AtomicUsize::new(0),
            load: Arc::default(),
        }
    }

    /// Waits for its turn. `is_held`: the request is one that waits by its nature, and is no load meanwhile.
    pub(crate) async fn pass(&self, is_held: bool) -> Result<Passed, Trouble> {
        let permits = if is_held { &self.held } else { &self.permits };
        let permit = match Arc::clone(permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_none_left) => self.queue(permits).await?,
        };
        let load = (!is_held).then(|| Arc::clone(&self.load));
        if let Some(load) = &load {
            load.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Passed { _permit: permit, load })
    }

    async fn queue(&self, permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Trouble> {
        let place = Place(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= self.limits.queue_max {
            return Err(Trouble::Full);
        }
        let waited = timeout(self.limits.queue_timeout, Arc::clone(permits).acquire_owned()).await;
        drop(place);
        match waited {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Trouble::Full),
        }
    }

    /// Requests in flight, those that are held included.
    pub(crate) fn in_flight(&self) -> usize {
        let free = self.permits.available_permits() + self.held.available_permits();
        (self.limits.requests_max * 2).saturating_sub(free)
    }

    /// Requests in flight that are work.
    pub(crate) fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
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

impl Drop for Passed {
    fn drop(&mut self) {
        if let Some(load) = &self.load {
            load.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { requests_max: 2, queue_max: 1, queue_timeout: Duration::from_secs(1) };

    #[tokio::test(start_paused = true)]
    async fn whoever_finds_the_queue_full_is_refused_at_once() {
        let gate = Gate::new(LIMITS);
        let (one, _two) = (gate.pass(false).await.unwrap(), gate.pass(false).await.unwrap());
        let _held = gate.pass(true).await.unwrap();
        assert_eq!((gate.in_flight(), gate.load()), (3, 2));
        let (third, fourth) = tokio::join!(gate.pass(false), gate.pass(false));
        assert_eq!(third.unwrap_err(), Trouble::Full, "nobody left in time");
        assert_eq!(fourth.unwrap_err(), Trouble::Full);
        let began = tokio::time::Instant::now();
        let (third, ()) = tokio::join!(gate.pass(false), async { drop(one) });
        third.unwrap();
        assert_eq!((began.elapsed(), gate.waiting(), gate.load()), (Duration::ZERO, 0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_leaves_the_queue_makes_room() {
        let gate = Gate::new(LIMITS);
        let (_one, _two) = (gate.pass(false).await.unwrap(), gate.pass(false).await.unwrap());
        for _ in 0..3 {
            let left = timeout(Duration::from_millis(10), gate.pass(false)).await;
            assert!(left.is_err(), "it waited, and was not refused");
        }
        assert_eq!(gate.waiting(), 0);
    }
}
