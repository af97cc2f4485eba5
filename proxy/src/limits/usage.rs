//! What one address, or one token, uses of the limits.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tidegate_access::Bucket;

/// The use of the limits by one address or one token.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    pub(super) connections: AtomicU32,
    pub(super) requests: Bucket,
    pub(super) fills: Bucket,
}

impl Usage {
    /// Whether there is nothing to remember.
    pub(super) fn is_idle(&self, now: Duration) -> bool {
        self.connections.load(Ordering::Relaxed) == 0 && self.requests.is_full(now) && self.fills.is_full(now)
    }
}
