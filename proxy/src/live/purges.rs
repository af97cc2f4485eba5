//! The purges of one live playlist: its follower ends, and blocked requests look up again.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// The purges of one stream.
#[derive(Debug)]
pub(crate) struct Purges {
    count: watch::Sender<u64>,
    is_forgotten: AtomicBool,
}

impl Default for Purges {
    fn default() -> Self {
        Self { count: watch::Sender::new(0), is_forgotten: AtomicBool::new(false) }
    }
}

impl Purges {
    /// The purges from now on: the follower ends at the next one, and blocked requests look up again.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }

    /// Whether the tier has forgotten the stream: another one may have taken its place.
    pub(super) fn is_forgotten(&self) -> bool {
        self.is_forgotten.load(Ordering::Acquire)
    }

    pub(super) fn mark_forgotten(&self) {
        self.is_forgotten.store(true, Ordering::Release);
    }

    /// Ends the follower, and releases blocked requests.
    pub(crate) fn announce(&self) {
        self.count.send_modify(|count| *count += 1);
    }
}
