//! How much is fetched ahead at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What the fetches ahead of a tier may have under way together.
#[derive(Debug)]
pub(super) struct Budget {
    objects: Arc<Semaphore>,
    kibibytes: Arc<Semaphore>,
    kibibytes_max: u32,
}

/// What one fetch has of it, until it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    _object: OwnedSemaphorePermit,
    _kibibytes: OwnedSemaphorePermit,
}

impl Budget {
    /// So many objects, and bytes that are expected of them.
    pub(super) fn new(objects: usize, bytes: u64) -> Self {
        let kibibytes_max = u32::try_from(bytes / 1024).unwrap_or(u32::MAX).min(KIBIBYTES_MAX);
        Self {
            objects: Arc::new(Semaphore::new(objects.min(Semaphore::MAX_PERMITS))),
            kibibytes: Arc::new(Semaphore::new(kibibytes_max as usize)),
            kibibytes_max,
        }
    }

    /// A share for a fetch of which so many bytes are expected; `None` if the budget is used up. What is larger than the
    /// whole budget is fetched when nothing else is.
    pub(super) fn take(&self, bytes: u64) -> Option<Share> {
        let kibibytes = u32::try_from(bytes / 1024).unwrap_or(u32::MAX).clamp(1, self.kibibytes_max.max(1));
        Some(Share {
            _object: Arc::clone(&self.objects).try_acquire_owned().ok()?,
            _kibibytes: Arc::clone(&self.kibibytes).try_acquire_many_owned(kibibytes).ok()?,
        })
    }
}

/// As many as fit a semaphore on every machine.
const KIBIBYTES_MAX: u32 = 1 << 28;

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn objects_and_bytes_are_both_bounded() {
        let budget = Budget::new(3, 4 * MIB);
        let (_one, two) = (budget.take(MIB).unwrap(), budget.take(2 * MIB).unwrap());
        assert!(budget.take(2 * MIB).is_none(), "too many bytes");
        let _three = budget.take(MIB / 2).unwrap();
        assert!(budget.take(0).is_none(), "too many objects");
        drop(two);
        assert!(budget.take(2 * MIB).is_some());
    }

    #[test]
    fn what_is_larger_than_the_budget_goes_alone() {
        let budget = Budget::new(3, MIB);
        let alone = budget.take(64 * MIB).unwrap();
        assert!(budget.take(1).is_none());
        drop(alone);
        assert!(budget.take(1).is_some());
        assert!(Budget::new(3, 0).take(1).is_none() && Budget::new(0, MIB).take(1).is_none());
    }
}
