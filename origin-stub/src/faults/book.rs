//! The faults in force, in the order of their injection.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

use super::effects::Effects;
use super::gate::{Gate, Gates};
use super::{Down, Fault, FaultError, FaultId};

/// The list of the faults in force.
#[derive(Debug)]
pub(crate) struct Book {
    pages: Mutex<Pages>,
    pub(crate) gates: Gates,
    /// How the data listener is down, if it is.
    down: watch::Sender<Option<Down>>,
    /// Notified when faults are put in force or end.
    changes: watch::Sender<()>,
    faults_max: u64,
}

#[derive(Debug, Default)]
struct Pages {
    entries: BTreeMap<FaultId, Entry>,
    last_id: u64,
    epochs: u64,
}

#[derive(Debug)]
struct Entry {
    fault: Fault,
    since: Duration,
    epoch: u64,
    gate: Option<Gate>,
    skipped: u64,
    /// The number of matching requests that chance has decided on.
    drawn: u64,
    used: u64,
}

/// A fault in the list.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Listed {
    id: FaultId,
    used: u64,
    fault: Fault,
}

impl Book {
    pub(crate) fn new(faults_max: u64) -> Self {
        Self {
            pages: Mutex::default(),
            gates: Gates::default(),
            down: watch::Sender::new(None),
            changes: watch::Sender::new(()),
            faults_max,
        }
    }

    pub(crate) fn add(&self, fault: Fault, now: Duration) -> Result<FaultId, FaultError> {
        fault.check()?;
        let mut pages = self.pages.lock();
        if pages.entries.len() as u64 >= self.faults_max {
            return Err(FaultError::TooMany { max: self.faults_max });
        }
        pages.last_id += 1;
        pages.epochs += u64::from(fault.sequence_reset);
        let (id, epoch) = (FaultId(pages.last_id), pages.epochs);
        let gate = fault.hold.as_deref().map(|name| self.gates.closed(name));
        pages.entries.insert(id, Entry { fault, since: now, epoch, gate, skipped: 0, drawn: 0, used: 0 });
        self.notify(&pages);
        Ok(id)
    }

    /// Ends a fault and releases its hold. False if there is no such fault.
    pub(crate) fn remove(&self, id: FaultId) -> bool {
        let mut pages = self.pages.lock();
        let removed = pages.entries.remove(&id);
        self.notify(&pages);
        removed.inspect(|entry| self.release(&pages, entry)).is_some()
    }

    /// Ends all faults and releases all holds, also those of spent faults.
    pub(crate) fn clear(&self) {
        let mut pages = self.pages.lock();
        pages.entries.clear();
        self.notify(&pages);
        for (name, _) in self.gates.list() {
            self.gates.release(&name);
        }
    }

    pub(crate) fn list(&self) -> Vec<Listed> {
        let pages = self.pages.lock();
        let listed = |(id, entry): (&FaultId, &Entry)| Listed {
            id: *id,
            used: entry.used,
            fault: entry.fault.clone(),
        };
        pages.entries.iter().map(listed).collect()
    }

    /// The effects on a request for `path`; uses up one time of each fault that affects it.
    pub(crate) fn meet(&self, path: &str) -> Effects {
        let mut effects = Effects::default();
        let mut pages = self.pages.lock();
        for entry in pages.entries.values_mut() {
            if entry.fault.is_host_down() || !entry.fault.pattern.matches(path) || !entry.use_up() {
                continue;
            }
            effects.add(&entry.fault, entry.since, entry.epoch, entry.gate.as_ref());
        }
        // A spent hold still blocks the requests that wait at it: its gate stays in the list of gates.
        pages.entries.retain(|_, entry| !entry.is_spent());
        effects
    }

    /// Updates the encoder's state for a blocked request: applies the lasting faults without using them up.
    pub(crate) fn look_again(&self, path: &str, effects: &mut Effects) {
        if effects.is_passing {
            return;
        }
        (effects.frozen_since, effects.epoch) = (None, None);
        for entry in self.pages.lock().entries.values() {
            if entry.lasts() && entry.fault.pattern.matches(path) {
                effects.add_encoder(&entry.fault, entry.since, entry.epoch);
            }
        }
    }

    /// Notified when faults are put in force or end.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Follows the state of the listener.
    pub(crate) fn down(&self) -> watch::Receiver<Option<Down>> {
        self.down.subscribe()
    }

    /// Uses up one time of the fault that has the listener down, for a connection that was reset.
    pub(crate) fn connection_reset(&self) {
        let mut pages = self.pages.lock();
        if let Some(entry) = pages.entries.values_mut().rfind(|entry| entry.fault.is_host_down()) {
            entry.use_up();
        }
        pages.entries.retain(|_, entry| !entry.is_spent());
        self.notify_down(&pages);
    }

    fn notify(&self, pages: &Pages) {
        self.notify_down(pages);
        self.changes.send_replace(());
    }

    fn notify_down(&self, pages: &Pages) {
        let last = pages.entries.values().rfind(|entry| entry.fault.is_host_down());
        let down = last.and_then(|entry| entry.fault.down);
        self.down.send_if_modified(|before| std::mem::replace(before, down) != down);
    }

    fn release(&self, pages: &Pages, entry: &Entry) {
        let Some(name) = &entry.fault.hold else { return };
        if !pages.entries.values().any(|other| other.fault.hold.as_ref() == Some(name)) {
            self.gates.release(name);
        }
    }
}

impl Entry {
    /// False while the fault skips requests, or when it is spent.
    fn use_up(&mut self) -> bool {
        if self.skipped < self.fault.skip {
            self.skipped += 1;
            return false;
        }
        if let Some(percent) = self.fault.percent {
            self.drawn += 1;
            if chance(self.drawn) >= percent {
                return false;
            }
        }
        let unspent = !self.is_spent();
        self.used += u64::from(unspent);
        unspent
    }

    /// In force until it is removed.
    fn lasts(&self) -> bool {
        self.fault.times.is_none() && self.fault.percent.is_none() && self.skipped >= self.fault.skip
    }

    fn is_spent(&self) -> bool {
        self.fault.times.is_some_and(|times| self.used >= times)
    }
}

/// A number below a hundred for each draw, the same in every run: the finaliser of `SplitMix64`.
fn chance(draw: u64) -> u64 {
    let mut bits = draw.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (bits ^ (bits >> 31)) % 100
}

impl Fault {
    /// Whether the whole origin is down, not only some of its paths.
    fn is_host_down(&self) -> bool {
        self.down == Some(Down::Refuse) || (self.down.is_some() && self.pattern.is_any())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::effects::Ending;

    fn book(faults: impl IntoIterator<Item = Fault>) -> Book {
        let book = Book::new(4);
        for fault in faults {
            book.add(fault, Duration::ZERO).unwrap();
        }
        book
    }

    #[test]
    fn a_fault_applies_as_often_as_it_says_after_its_skipped_requests() {
        let book = book([Fault::on("/a*").cut_at(3).skip(1).times(2)]);
        let endings: Vec<_> = ["/a", "/b", "/a", "/a", "/a"].map(|path| book.meet(path).ending).to_vec();
        let cut = Ending::Reset(3);
        assert_eq!(endings, [Ending::Whole, Ending::Whole, cut, cut, Ending::Whole]);
        assert!(book.list().is_empty());
    }

    #[test]
    fn a_fault_applies_to_its_percentage_of_requests() {
        let book = book([Fault::on("/a*").status(500).percent(30)]);
        let hits: Vec<_> = (0..1000).map(|_| book.meet("/a").status.is_some()).collect();
        let count = hits.iter().filter(|hit| **hit).count();
        assert!((270..330).contains(&count), "{count} of 1000");
        assert!(hits.windows(2).any(|two| two == [true, true]), "also two in a row");
    }

    #[test]
    fn faults_add_up_and_the_later_one_wins() {
        let book = book([Fault::on("*").status(500).garbage(), Fault::on("*").status(404)]);
        let effects = book.meet("/x");
        assert_eq!(effects.status.map(|status| status.as_u16()), Some(404));
        assert!(effects.garbage);
    }

    #[test]
    fn an_origin_is_down_while_a_fault_on_every_path_says_so() {
        let book = book([Fault::on("/a").down()]);
        assert_eq!(*book.down().borrow(), None);
        assert!(book.meet("/a").down);
        let id = book.add(Fault::on("*").refuse(), Duration::ZERO).unwrap();
        assert_eq!(*book.down().borrow(), Some(Down::Refuse));
        assert!(book.remove(id));
        assert!(!book.remove(id));
        assert_eq!(*book.down().borrow(), None);
    }

    #[test]
    fn faults_are_bounded() {
        let book = book(std::iter::repeat_n(Fault::on("*").garbage(), 4));
        assert!(matches!(
            book.add(Fault::on("*").garbage(), Duration::ZERO),
            Err(FaultError::TooMany { max: 4 })
        ));
    }
}
