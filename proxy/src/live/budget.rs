//! The limits on concurrent prefetches.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config;

/// The objects and bytes that all prefetches of a tier, and those of one playlist, may have in flight.
#[derive(Debug)]
pub(super) struct Budget {
    per_playlist_max: usize,
    objects: Arc<Semaphore>,
    kibibytes: Arc<Semaphore>,
    kibibytes_max: u32,
}

/// The prefetches in flight of one playlist.
#[derive(Debug, Clone, Default)]
pub(super) struct InFlight(Arc<AtomicUsize>);

/// The share of one prefetch, until it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    _of_playlist: Counted,
    _object: OwnedSemaphorePermit,
    _kibibytes: OwnedSemaphorePermit,
}

/// One prefetch of a playlist, counted until it is dropped.
#[derive(Debug)]
struct Counted(InFlight);

impl Budget {
    /// The limits of a tier.
    pub(super) fn new(settings: &config::Cache) -> Self {
        let kibibytes = settings.prefetch_bytes_max.bytes() / 1024;
        let kibibytes_max = u32::try_from(kibibytes).unwrap_or(u32::MAX).min(KIBIBYTES_MAX);
        Self {
            per_playlist_max: settings.prefetch_per_playlist_max,
            objects: Arc::new(Semaphore::new(settings.prefetch_max.min(Semaphore::MAX_PERMITS))),
            kibibytes: Arc::new(Semaphore::new(kibibytes_max as usize)),
            kibibytes_max,
        }
    }

    /// A share for an object with this expected size, beside those that its playlist has; `None` if the
    /// budget is exhausted. An object that is larger than the whole budget is fetched alone.
    pub(super) fn try_acquire(&self, bytes: u64, of_playlist: &InFlight) -> Option<Share> {
        // Its count comes back with the drop.
        let counted = Counted(of_playlist.clone());
        if of_playlist.0.fetch_add(1, Ordering::Relaxed) >= self.per_playlist_max {
            return None;
        }
        let kibibytes = u32::try_from(bytes / 1024).unwrap_or(u32::MAX).clamp(1, self.kibibytes_max.max(1));
        Some(Share {
            _of_playlist: counted,
            _object: Arc::clone(&self.objects).try_acquire_owned().ok()?,
            _kibibytes: Arc::clone(&self.kibibytes).try_acquire_many_owned(kibibytes).ok()?,
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Fits a semaphore on every platform.
const KIBIBYTES_MAX: u32 = 1 << 28;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::units::Size;

    const MIB: u64 = 1 << 20;

    fn budget(objects: usize, bytes: Size) -> Budget {
        let cache = config::Cache::default();
        Budget::new(&config::Cache { prefetch_max: objects, prefetch_bytes_max: bytes, ..cache })
    }

    #[test]
    fn objects_and_bytes_are_both_bounded() {
        let (budget, all) = (budget(3, Size::mib(4)), InFlight::default());
        let try_acquire = |bytes| budget.try_acquire(bytes, &all);
        let (_one, two) = (try_acquire(MIB).unwrap(), try_acquire(2 * MIB).unwrap());
        assert!(try_acquire(2 * MIB).is_none(), "too many bytes");
        let _three = try_acquire(MIB / 2).unwrap();
        assert!(try_acquire(0).is_none(), "too many objects");
        drop(two);
        assert!(try_acquire(2 * MIB).is_some());
    }

    #[test]
    fn one_playlist_leaves_room_for_others() {
        let settings = config::Cache { prefetch_per_playlist_max: 2, ..config::Cache::default() };
        let (budget, one, other) = (Budget::new(&settings), InFlight::default(), InFlight::default());
        let first = budget.try_acquire(0, &one).unwrap();
        let _second = budget.try_acquire(0, &one).unwrap();
        for _ in 0..2 {
            assert!(budget.try_acquire(0, &one).is_none());
        }
        assert!(budget.try_acquire(0, &other).is_some());
        drop(first);
        assert!(budget.try_acquire(0, &one).is_some());
    }

    #[test]
    fn an_object_larger_than_the_budget_is_fetched_alone() {
        let all = InFlight::default();
        let one_mib = budget(3, Size::mib(1));
        let alone = one_mib.try_acquire(64 * MIB, &all).unwrap();
        assert!(one_mib.try_acquire(1, &all).is_none());
        drop(alone);
        assert!(one_mib.try_acquire(1, &all).is_some());
        assert!(budget(3, Size::kib(0)).try_acquire(1, &all).is_none());
        assert!(budget(0, Size::mib(1)).try_acquire(1, &all).is_none());
    }
}
