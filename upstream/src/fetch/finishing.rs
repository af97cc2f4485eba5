//! Fills that no reader wants any more and that continue all the same, because little is missing.
//!
//! Each of them holds memory and a connection to an upstream. Their number is bounded, because a client that
//! starts and resets requests would otherwise have all of them made.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One fill among those of a tier.
#[derive(Debug)]
pub(crate) struct Finishing {
    others: Arc<Semaphore>,
    place: Option<OwnedSemaphorePermit>,
}

impl Finishing {
    /// A fill that readers want. `others` has a permit for each fill that may continue without readers.
    pub(crate) fn new(others: &Arc<Semaphore>) -> Self {
        Self { others: Arc::clone(others), place: None }
    }

    /// Whether it may continue without readers.
    pub(crate) fn admit(&mut self) -> bool {
        if self.place.is_none() {
            self.place = Arc::clone(&self.others).try_acquire_owned().ok();
        }
        self.place.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fill_takes_one_place_until_it_ends() {
        let places = Arc::new(Semaphore::new(1));
        let (mut one, mut two) = (Finishing::new(&places), Finishing::new(&places));
        assert!(one.admit() && one.admit() && !two.admit());
        drop(one);
        assert!(two.admit());
    }
}
