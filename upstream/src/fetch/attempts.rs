//! Who is asked next: the candidates of one request, in order, as far as their state and the budget allow.

use std::sync::Arc;

use tokio::time::Instant;

use crate::error::UpstreamError;
use crate::fetch::budget::Budget;
use crate::fetch::fill_request::FillRequest;
use crate::policy::{Event, FillPolicy};
use crate::upstream::Upstream;

/// The candidates of one request that have not been asked in this round.
#[derive(Debug)]
pub struct Attempts<'a> {
    all: &'a [Arc<Upstream>],
    next: usize,
    tries_left: usize,
    budget: &'a Budget,
    stream: &'a str,
    /// How many were asked in this round. Whoever is asked after the first is paid for from the budget.
    in_round: usize,
    /// How many were asked in all.
    asked: usize,
    /// Whoever was asked last has told that the fault is behind it.
    is_told: bool,
}

impl<'a> Attempts<'a> {
    /// The candidates of `job`.
    pub fn of(job: &'a FillRequest) -> Self {
        job.budget.deposit();
        let attempts = Self::behind(&job.candidates, job.tries_max, &job.budget, &job.ask.stream);
        Self { in_round: 0, ..attempts }
    }

    /// Those who may go on where another one has begun: that one was the first of the round.
    pub(crate) fn behind(
        all: &'a [Arc<Upstream>],
        tries_left: usize,
        budget: &'a Budget,
        stream: &'a str,
    ) -> Self {
        Self { all, next: 0, tries_left, budget, stream, in_round: 1, asked: 0, is_told: false }
    }

    /// The next one to ask.
    pub fn next(&mut self, policy: &dyn FillPolicy) -> Option<&'a Arc<Upstream>> {
        loop {
            let upstream = self.all.get(self.next)?;
            if self.tries_left == 0 {
                return None;
            }
            // Before anybody's trial is used up.
            if self.in_round > 0 && !self.budget.affords() {
                self.gives_up(policy);
                return None;
            }
            self.next += 1;
            let rest = self.all.get(self.next..).unwrap_or_default();
            if self.is_told && self.would_tell(upstream) {
                continue;
            }
            if upstream.admit_request(rest) {
                return self.pay(policy).then_some(upstream);
            }
        }
    }

    /// Whoever was asked last has failed; `is_told`: it tells that the fault is behind it.
    pub(crate) fn note_failure(&mut self, is_told: bool) {
        self.is_told = is_told;
    }

    /// Whether this one has told of late that those behind it fail with this stream.
    fn would_tell(&self, upstream: &Upstream) -> bool {
        upstream.reported_failures().has_recent(self.stream, Instant::now())
    }

    /// Whether the one that is asked now is asked in place of another, or beside it.
    pub(crate) fn is_backup(&self) -> bool {
        self.in_round > 1
    }

    /// How many were asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked
    }

    /// One to ask beside the one that is late: only if it is believed to be well.
    pub(crate) fn second(&mut self, first: &Upstream, policy: &dyn FillPolicy) -> Option<&'a Arc<Upstream>> {
        let upstream = self.all.get(self.next).filter(|_| self.has_second(first))?;
        self.next += 1;
        self.pay(policy).then_some(upstream)
    }

    /// Whether there is one for [`Attempts::second`].
    pub(crate) fn has_second(&self, first: &Upstream) -> bool {
        let tell_the_same = |second: &Upstream| self.would_tell(first) && self.would_tell(second);
        let may_help = |second: &Arc<Upstream>| second.state().is_available() && !tell_the_same(second);
        self.tries_left > 0 && self.all.get(self.next).is_some_and(may_help)
    }

    /// Begins another round. How many there are is bounded, and what is asked for again is known to come: its first
    /// request is free.
    pub(crate) fn again(&mut self, tries_max: usize) {
        (self.next, self.tries_left, self.in_round, self.is_told) = (0, tries_max, 0, false);
    }

    /// How many of the candidates have had their turn.
    pub(crate) fn passed(&self) -> usize {
        self.next
    }

    /// What is wrong when nobody could be asked: whatever put the first candidate out.
    pub fn no_candidate(&self) -> (UpstreamError, Option<&'a Arc<Upstream>>) {
        let first = self.all.first();
        (first.and_then(|upstream| upstream.why()).unwrap_or(UpstreamError::NoCandidate), first)
    }

    /// Nobody else can be paid for in this round.
    fn gives_up(&mut self, policy: &dyn FillPolicy) {
        self.tries_left = 0;
        policy.note(Event::BudgetExhausted);
    }

    fn pay(&mut self, policy: &dyn FillPolicy) -> bool {
        if self.in_round > 0 && !self.budget.withdraw() {
            self.gives_up(policy);
            return false;
        }
        self.tries_left -= 1;
        self.in_round += 1;
        self.asked += 1;
        true
    }
}

#[cfg(test)]
mod tests;
