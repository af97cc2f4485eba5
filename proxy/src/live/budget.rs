//! The limits on concurrent prefetches.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The objects and bytes that all prefetches of a tier may have in flight.
#[derive(Debug)]
pub(super) struct Budget {
    objects: Arc<Semaphore>,
    kibibytes: Arc<Semaphore>,
    kibibytes_max: u32,
}

/// The share of one prefetch, until it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    _object: OwnedSemaphorePermit,
    _kibibytes: OwnedSemaphorePermit,
}

impl Budget {
    /// `objects` in flight, of which `bytes` are expected.
    pub(super) fn new(objects: usize, bytes: u64) -> Self {
        let kibibytes_max = u32::try_from(bytes / 1024).unwrap_or(u32::MAX).min(KIBIBYTES_MAX);
        Self {
            objects: Arc::new(Semaphore::new(objects.min(Semaphore::MAX_PERMITS))),
            kibibytes: Arc::new(Semaphore::new(kibibytes_max as usize)),
            kibibytes_max,
        }
    }

    /// A share for an object with this expected size; `None` if the budget is exhausted. An object that is
    /// larger than the whole budget is fetched alone.
    pub(super) fn try_acquire(&self, bytes: u64) -> Option<Share> {
        let kibibytes = u32::try_from(bytes / 1024).unwrap_or(u32::MAX).clamp(1, self.kibibytes_max.max(1));
        Some(Share {
            _object: Arc::clone(&self.objects).try_acquire_owned().ok()?,
            _kibibytes: Arc::clone(&self.kibibytes).try_acquire_many_owned(kibibytes).ok()?,
        })
    }
}

/// Fits a semaphore on every platform.
const KIBIBYTES_MAX: u32 = 1 << 28;

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn objects_and_bytes_are_both_bounded() {
        let budget = Budget::new(3, 4 * MIB);
        let (_one, two) = (budget.try_acquire(MIB).unwrap(), budget.try_acquire(2 * MIB).unwrap());
        assert!(budget.try_acquire(2 * MIB).is_none(), "too many bytes");
        let _three = budget.try_acquire(MIB / 2).unwrap();
        assert!(budget.try_acquire(0).is_none(), "too many objects");
        drop(two);
        assert!(budget.try_acquire(2 * MIB).is_some());
    }

    #[test]
    fn an_object_larger_than_the_budget_is_fetched_alone() {
        let budget = Budget::new(3, MIB);
        let alone = budget.try_acquire(64 * MIB).unwrap();
        assert!(budget.try_acquire(1).is_none());
        drop(alone);
        assert!(budget.try_acquire(1).is_some());
        assert!(Budget::new(3, 0).try_acquire(1).is_none() && Budget::new(0, MIB).try_acquire(1).is_none());
    }
}
