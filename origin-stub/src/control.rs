//! Controls the stub in process. The admin listener offers the same over HTTP.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::counts::{Counted, Seen};
use crate::faults::book::Listed;
use crate::faults::{Fault, FaultError, FaultId};
use crate::pattern::Pattern;
use crate::shared::Shared;

/// Injects faults, releases holds, and reports the requests that the origin received. Cheap to clone;
/// outlives the stub.
#[derive(Clone, Debug)]
pub struct Control(Arc<Shared>);

/// The data listener's connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Connections {
    /// Accepted since the start.
    pub accepted: u64,
    /// Open now.
    pub open: u64,
    /// Reset on command since the start.
    pub reset: u64,
}

impl Control {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Puts a fault in force for requests that arrive from now on. `frozen` and `sequence_reset` count from
    /// now.
    pub fn fault(&self, fault: Fault) -> Result<FaultId, FaultError> {
        self.0.faults.add(fault, self.0.clock.now())
    }

    /// Ends one fault and releases its hold; false if it is not in force (any more).
    pub fn remove(&self, id: FaultId) -> bool {
        self.0.faults.remove(id)
    }

    /// Ends all faults and releases all holds.
    pub fn clear(&self) {
        self.0.faults.clear();
    }

    /// Waits until the listener matches the faults: closed for "refuse", open again without it.
    pub async fn listener_updated(&self) {
        let down = self.0.faults.down();
        let mut applied = self.0.applied.subscribe();
        // The sender lives in the shared state, so that the wait ends only when both agree.
        let agreed = applied.wait_for(|applied| *applied == *down.borrow()).await.is_ok();
        debug_assert!(agreed, "this control owns the sender");
    }

    pub(crate) fn faults(&self) -> Vec<Listed> {
        self.0.faults.list()
    }

    /// Releases all responses that this hold blocks, now and later; returns how many were blocked.
    pub fn release(&self, hold: &str) -> u64 {
        self.0.faults.gates.release(hold).unwrap_or(0)
    }

    /// Waits until `count` responses are blocked at this hold.
    pub async fn waiting(&self, hold: &str, count: u64) {
        self.0.faults.gates.until_waiting(hold, count).await;
    }

    pub(crate) fn holds(&self) -> Vec<(String, u64)> {
        self.0.faults.gates.list()
    }

    /// The number of requests for paths like `pattern` (`/live/ch1/*`, `*.m3u8`, or one path), by any method.
    pub fn requests(&self, pattern: &str) -> u64 {
        self.0.ledger.requests(&Pattern::from(pattern))
    }

    /// The number of all requests.
    pub fn total(&self) -> u64 {
        self.requests(Pattern::ANY)
    }

    /// All counts.
    pub fn counted(&self) -> Counted {
        self.0.ledger.counted()
    }

    /// The latest requests for paths like `pattern`, oldest first, as far as they are recorded.
    pub fn seen(&self, pattern: &str) -> Vec<Seen> {
        self.0.ledger.seen(&Pattern::from(pattern))
    }

    /// Waits until `count` requests for paths like `pattern` have arrived.
    pub async fn arrived(&self, pattern: &str, count: u64) {
        self.0.ledger.until(&Pattern::from(pattern), count).await;
    }

    /// Waits until `count` requests for paths like `pattern` have a response: their status is known.
    pub async fn answered(&self, pattern: &str, count: u64) {
        self.0.ledger.until_response(&Pattern::from(pattern), count).await;
    }

    /// Waits until `count` requests are blocked because their object does not exist yet: the next part of a
    /// low-latency stream, or the playlist that lists it.
    pub async fn blocked(&self, count: u64) {
        let mut blocked = self.0.blocked.subscribe();
        // The sender lives in the shared state, so that the wait ends only by the count.
        let reached = blocked.wait_for(|blocked| *blocked >= count).await.is_ok();
        debug_assert!(reached, "this control owns the sender");
    }

    /// The number of requests that are blocked because their object does not exist yet.
    pub fn blocked_now(&self) -> u64 {
        *self.0.blocked.borrow()
    }

    /// Forgets all requests.
    pub fn forget(&self) {
        self.0.ledger.reset();
    }

    /// The data listener's connections.
    pub fn connections(&self) -> Connections {
        let load = |number: &std::sync::atomic::AtomicU64| number.load(Ordering::Relaxed);
        Connections {
            accepted: load(&self.0.accepted),
            open: load(&self.0.open),
            reset: load(&self.0.resets),
        }
    }

    /// Stops the origin's clock: streams move by [`Control::advance`] only.
    pub fn stop_clock(&self) {
        self.0.clock.stop();
    }

    /// Moves the origin's clock forward, stopped or not; a segment lasts 2 s.
    pub fn advance(&self, by: Duration) {
        self.0.clock.advance(by);
    }

    /// Sets the origin's clock to the wall clock and lets it run.
    pub fn run_clock(&self) {
        self.0.clock.run();
    }

    /// The time on the origin's clock, since the Unix epoch.
    pub fn now(&self) -> Duration {
        self.0.clock.now()
    }
}
