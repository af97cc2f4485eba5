//! Who is asked next: the candidates of one request, in order, as far as their state and the budget allow.

use std::sync::Arc;

use tokio::time::Instant;

use crate::budget::Budget;
use crate::fetch::{Desk, Event, Job};
use crate::source::Source;
use crate::trouble::Trouble;

/// The candidates of one request that have not been asked in this round.
#[derive(Debug)]
pub struct Line<'a> {
    all: &'a [Arc<Source>],
    next: usize,
    tries_left: usize,
    budget: &'a Budget,
    site: &'a str,
    /// Who was asked last in this round, and when. Whoever is asked after the first is paid for from the budget.
    asked: Option<(&'a Source, Instant)>,
}

impl<'a> Line<'a> {
    /// The candidates of `job`.
    pub fn of(job: &'a Job) -> Self {
        job.budget.deposit();
        Self {
            all: &job.candidates,
            next: 0,
            tries_left: job.tries_max,
            budget: &job.budget,
            site: &job.ask.site,
            asked: None,
        }
    }

    /// The next one to ask.
    pub fn next(&mut self, desk: &dyn Desk) -> Option<&'a Arc<Source>> {
        loop {
            let source = self.all.get(self.next)?;
            if self.tries_left == 0 {
                return None;
            }
            // Before anybody's trial is used up.
            if self.asked.is_some() && !self.budget.affords() {
                self.gives_up(desk);
                return None;
            }
            self.next += 1;
            let rest = self.all.get(self.next..).unwrap_or_default();
            if self.is_told() && self.would_tell(source) {
                continue;
            }
            if source.admits(rest) {
                return self.pay(source, desk).then_some(source);
            }
        }
    }

    /// Whether the one that was asked last has told that the fault is behind it.
    fn is_told(&self) -> bool {
        self.asked.is_some_and(|(source, at)| source.told().last(self.site) >= Some(at))
    }

    /// Whether this one has told the same lately.
    fn would_tell(&self, source: &Source) -> bool {
        source.told().lately(self.site, Instant::now())
    }

    /// One to ask beside the one that is late: only if it is believed to be well.
    pub(crate) fn second(&mut self, desk: &dyn Desk) -> Option<&'a Arc<Source>> {
        let source = self.all.get(self.next).filter(|_| self.has_second())?;
        self.next += 1;
        self.pay(source, desk).then_some(source)
    }

    /// Whether there is one for [`Line::second`].
    pub(crate) fn has_second(&self) -> bool {
        let is_well = |source: &Arc<Source>| source.state().is_in() && !self.would_tell(source);
        self.tries_left > 0 && self.all.get(self.next).is_some_and(is_well)
    }

    /// Begins another round. How many there are is bounded, and what is asked for again is known to come: its first
    /// request is free.
    pub(crate) fn again(&mut self, tries_max: usize) {
        (self.next, self.tries_left, self.asked) = (0, tries_max, None);
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

    fn pay(&mut self, source: &'a Source, desk: &dyn Desk) -> bool {
        if self.asked.is_some() && !self.budget.withdraw() {
            self.gives_up(desk);
            return false;
        }
        self.tries_left -= 1;
        self.asked = Some((source, Instant::now()));
        true
    }
}
