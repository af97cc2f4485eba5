//! The signal that memory is short: readers of evicted bodies keep what fills need.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Wakes those that may give memory back.
#[derive(Debug, Default)]
pub(crate) struct Shortage {
    changed: Notify,
    signalled: Mutex<Option<Instant>>,
}

impl Shortage {
    /// Signals a shortage, unless that was done a moment ago: thousands of readers may wait for it.
    pub(crate) fn signal(&self) {
        let now = Instant::now();
        {
            let mut signalled = self.signalled.lock();
            if signalled.is_some_and(|last| now.saturating_duration_since(last) < INTERVAL) {
                return;
            }
            *signalled = Some(now);
        }
        self.changed.notify_waiters();
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&self) {
        self.changed.notified().await;
    }
}

/// The least time between two signals.
const INTERVAL: Duration = Duration::from_millis(250);
