//! Who is asked next: the candidates of one request, in order, as far as their state and the budget allow.

use std::sync::Arc;

use crate::budget::Budget;
use crate::fetch::{Desk, Event};
use crate::source::Source;
use crate::trouble::Trouble;

/// The candidates of one request that have not been asked in this round.
#[derive(Debug)]
pub struct Line<'a> {
    all: &'a [Arc<Source>],
    next: usize,
    tries_left: usize,
    /// Whether somebody has been asked already: whoever is asked after that is paid for from the budget.
    is_begun: bool,
    budget: &'a Budget,
}

impl<'a> Line<'a> {
    /// A line of `candidates`, of whom `tries_max` are asked in a round.
    pub fn of(candidates: &'a [Arc<Source>], tries_max: usize, budget: &'a Budget) -> Self {
        budget.deposit();
        Self { all: candidates, next: 0, tries_left: tries_max, is_begun: false, budget }
    }

    /// The next one to ask.
    pub fn next(&mut self, desk: &dyn Desk) -> Option<&'a Arc<Source>> {
        loop {
            let source = self.all.get(self.next)?;
            if self.tries_left == 0 {
                return None;
            }
            // Before anybody's trial is used up.
            if self.is_begun && !self.budget.affords() {
                self.gives_up(desk);
                return None;
            }
            self.next += 1;
            if source.admits() {
                return self.pay(desk).then_some(source);
            }
        }
    }

    /// One to ask beside the one that is late: only if it is believed to be well.
    pub(crate) fn second(&mut self, desk: &dyn Desk) -> Option<&'a Arc<Source>> {
        if !self.has_second() || !self.pay(desk) {
            return None;
        }
        let source = self.all.get(self.next)?;
        self.next += 1;
        Some(source)
    }

    /// Whether there is one for [`Line::second`].
    pub(crate) fn has_second(&self) -> bool {
        self.tries_left > 0 && self.all.get(self.next).is_some_and(|source| source.state().is_in())
    }

    /// Begins another round. How many there are is bounded, and what is asked for again is known to come: its first
    /// request is free.
    pub(crate) fn again(&mut self, tries_max: usize) {
        (self.next, self.tries_left, self.is_begun) = (0, tries_max, false);
    }

    /// How many of the candidates have had their turn.
    pub(crate) fn passed(&self) -> usize {
        self.next
    }

    /// What is wrong when nobody could be asked: whatever put the first candidate out.
    pub fn nobody(&self) -> (Trouble, Option<&'a Arc<Source>>) {
        let first = self.all.first();
        (first.and_then(|source| source.why()).unwrap_or(Trouble::Nobody), first)
    }

    /// Nobody else can be paid for in this round.
    fn gives_up(&mut self, desk: &dyn Desk) {
        self.tries_left = 0;
        desk.note(Event::Unaffordable);
    }

    fn pay(&mut self, desk: &dyn Desk) -> bool {
        if self.is_begun && !self.budget.withdraw() {
            self.gives_up(desk);
            return false;
        }
        self.tries_left -= 1;
        self.is_begun = true;
        true
    }
}
