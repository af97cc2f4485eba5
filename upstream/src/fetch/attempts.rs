//! The next upstream to try: the candidates of one request, in order, as far as their state and the budget
//! allow.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::error::UpstreamError;
use crate::fetch::budget::Budget;
use crate::fetch::fetch_job::FetchJob;
use crate::policy::{Event, Recorder};
use crate::upstream::Upstream;

/// The candidates of one request that have not been tried in this round.
#[derive(Debug)]
pub struct Attempts<'a> {
    all: &'a [Arc<Upstream>],
    next: usize,
    requests_left: usize,
    budget: &'a Budget,
    recorder: &'a dyn Recorder,
    folder: &'a str,
    /// Path and query.
    target: &'a str,
    /// Requests sent in this round. Each one after the first is charged to the budget.
    in_round: usize,
    /// Requests sent in all rounds.
    sent: usize,
    /// When the last of them was sent.
    last_sent: Instant,
    /// Whether the last upstream reported a failure behind it.
    is_reported: bool,
}

impl<'a> Attempts<'a> {
    /// The candidates of `job`, whose first request pays into the budget.
    pub fn of(job: &'a FetchJob) -> Self {
        job.budget.deposit();
        let attempts = Self::for_rescue(job, &job.candidates, job.attempts_max);
        Self { in_round: 0, ..attempts }
    }

    /// The candidates for a rescue, whose round has begun with another upstream.
    pub(crate) fn for_rescue(
        job: &'a FetchJob,
        candidates: &'a [Arc<Upstream>],
        requests_left: usize,
    ) -> Self {
        Self {
            all: candidates,
            next: 0,
            requests_left,
            budget: &job.budget,
            recorder: &*job.recorder,
            folder: &job.request.folder,
            target: &job.request.path_and_query,
            in_round: 1,
            sent: 0,
            last_sent: Instant::now(),
            is_reported: false,
        }
    }

    /// Takes the next upstream that may receive a request: charges the budget, and counts it as sent.
    pub fn next_candidate(&mut self) -> Option<&'a Arc<Upstream>> {
        loop {
            let upstream = self.all.get(self.next)?;
            if self.requests_left == 0 {
                return None;
            }
            // Before a trial of an upstream that is out is used up.
            if self.in_round > 0 && !self.budget.can_withdraw() {
                self.give_up();
                return None;
            }
            self.next += 1;
            let rest = self.all.get(self.next..).unwrap_or_default();
            if self.is_reported && self.has_reported_failure(upstream) {
                continue;
            }
            if upstream.pauses().of(self.target, Instant::now()).is_some() {
                continue;
            }
            if upstream.admit_request(rest) {
                return self.charge().then_some(upstream);
            }
        }
    }

    /// The last upstream failed; `is_reported`: it reported a failure behind it.
    pub(crate) fn note_failure(&mut self, is_reported: bool) {
        self.is_reported = is_reported;
    }

    /// Whether this upstream recently reported failures behind it for this stream.
    fn has_reported_failure(&self, upstream: &Upstream) -> bool {
        upstream.reported_failures().has_recent(self.folder, Instant::now())
    }

    /// Whether the current request is sent in place of another, or beside it.
    pub(crate) fn is_backup(&self) -> bool {
        self.in_round > 1
    }

    /// Requests sent so far.
    pub(crate) fn sent(&self) -> usize {
        self.sent
    }

    /// When the last request was sent.
    pub(crate) fn last_sent(&self) -> Instant {
        self.last_sent
    }

    /// An upstream for a hedge beside the late `first`, only if it is available.
    pub(crate) fn next_hedge(&mut self, first: &Upstream) -> Option<&'a Arc<Upstream>> {
        let upstream = self.all.get(self.next).filter(|_| self.has_hedge(first))?;
        self.next += 1;
        self.charge().then_some(upstream)
    }

    /// Whether there is an upstream for [`Attempts::next_hedge`].
    pub(crate) fn has_hedge(&self, first: &Upstream) -> bool {
        let report_the_same =
            |second: &Upstream| self.has_reported_failure(first) && self.has_reported_failure(second);
        let may_help = |second: &Arc<Upstream>| second.state().is_available() && !report_the_same(second);
        self.requests_left > 0 && self.all.get(self.next).is_some_and(may_help)
    }

    /// Starts another round. The number of rounds is bounded, and the object is about to exist: the first
    /// request is not charged.
    pub(crate) fn start_round(&mut self, attempts_max: usize) {
        (self.next, self.requests_left, self.in_round, self.is_reported) = (0, attempts_max, 0, false);
    }

    /// Requests that this round may still send.
    pub(crate) fn requests_left(&self) -> usize {
        self.requests_left
    }

    /// How many of the candidates have been passed.
    pub(crate) fn position(&self) -> usize {
        self.next
    }

    /// The response of the first candidate that has asked for a pause, if one has: its status, and the rest
    /// of the pause.
    pub(crate) fn pause(&self) -> Option<(StatusCode, Duration)> {
        self.all.iter().find_map(|upstream| upstream.pauses().of(self.target, Instant::now()))
    }

    /// The error when no candidate received a request: the one that put the first candidate out.
    pub fn no_candidate(&self) -> (UpstreamError, Option<&'a Arc<Upstream>>) {
        let first = self.all.first();
        (first.and_then(|upstream| upstream.why()).unwrap_or(UpstreamError::NoCandidate), first)
    }

    /// The budget allows no more requests in this round.
    fn give_up(&mut self) {
        self.requests_left = 0;
        self.recorder.record(Event::BudgetExhausted);
    }

    fn charge(&mut self) -> bool {
        if self.in_round > 0 && !self.budget.try_withdraw() {
            self.give_up();
            return false;
        }
        self.requests_left -= 1;
        self.in_round += 1;
        self.sent += 1;
        self.last_sent = Instant::now();
        true
    }
}

#[cfg(test)]
mod tests;
