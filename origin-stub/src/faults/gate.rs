//! Holds: responses wait at a named gate until a test opens it. So a test needs no sleeps.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

/// A gate that blocks responses.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<watch::Sender<State>>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    open: bool,
    waiting: u64,
}

impl Gate {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new(State::default())))
    }

    /// Waits until the gate is open. Leaving early, as when the client has gone, is counted too.
    pub(crate) async fn pass(&self) {
        let waiting = Waiting::at(self);
        let mut state = self.0.subscribe();
        // The sender lives in `self`, so that the wait ends only by an open gate.
        let opened = state.wait_for(|state| state.open).await.is_ok();
        debug_assert!(opened, "a gate outlives the requests that wait at it");
        drop(waiting);
    }

    /// Opens the gate for all responses, now and later.
    pub(crate) fn open(&self) {
        self.0.send_modify(|state| state.open = true);
    }

    /// The number of waiting responses.
    pub(crate) fn waiting(&self) -> u64 {
        self.0.borrow().waiting
    }

    fn is_open(&self) -> bool {
        self.0.borrow().open
    }

    async fn until_waiting(&self, count: u64) {
        let mut state = self.0.subscribe();
        let reached = state.wait_for(|state| state.waiting >= count).await.is_ok();
        debug_assert!(reached, "a gate outlives its watchers");
    }
}

struct Waiting<'a>(&'a Gate);

impl<'a> Waiting<'a> {
    fn at(gate: &'a Gate) -> Self {
        gate.0.send_modify(|state| state.waiting += 1);
        Self(gate)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| state.waiting -= 1);
    }
}

/// The gates by name. There are at most as many as faults and callers that wait for one.
#[derive(Debug, Default)]
pub(crate) struct Gates(Mutex<BTreeMap<String, Gate>>);

impl Gates {
    /// The closed gate of a new fault; callers that already wait for the name watch the same gate.
    pub(crate) fn closed(&self, name: &str) -> Gate {
        let mut gates = self.0.lock();
        let gate = gates.entry(name.to_owned()).or_insert_with(Gate::new);
        if gate.is_open() {
            *gate = Gate::new();
        }
        gate.clone()
    }

    /// Opens the gate; returns the number of responses it releases.
    pub(crate) fn release(&self, name: &str) -> Option<u64> {
        let gate = self.0.lock().remove(name)?;
        let waiting = gate.waiting();
        gate.open();
        Some(waiting)
    }

    pub(crate) async fn until_waiting(&self, name: &str, count: u64) {
        let gate = self.0.lock().entry(name.to_owned()).or_insert_with(Gate::new).clone();
        gate.until_waiting(count).await;
    }

    /// The names of the gates, and the numbers of their waiting responses.
    pub(crate) fn list(&self) -> Vec<(String, u64)> {
        self.0.lock().iter().map(|(name, gate)| (name.clone(), gate.waiting())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_responses_are_counted_and_released() {
        let gates = Gates::default();
        let gate = gates.closed("a");
        tokio::join!(gate.pass(), gate.pass(), async {
            gates.until_waiting("a", 2).await;
            assert_eq!(gates.list(), [("a".to_owned(), 2)]);
            assert_eq!(gates.release("a"), Some(2));
        });
        assert_eq!(gate.waiting(), 0);
        assert_eq!(gates.release("a"), None);
        gate.pass().await;
    }
}
