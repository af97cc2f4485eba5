//! What answers mean is not decided here: the questions that a fill asks its [`FillPolicy`], and the events that it tells it.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tidegate_cache::{Failure, FillWriter, Head, Lifetimes, Object, Variant};

use crate::error::UpstreamError;
use crate::upstream::Upstream;

/// What to do with an answer, judged by its head.
#[derive(Debug, Clone)]
pub enum Ruling {
    /// Store it and stream it on while it arrives.
    Store {
        /// How long it may live.
        lifetimes: Lifetimes,
        /// What it varies by.
        variant: Option<Variant>,
    },
    /// Read all of it first, then ask [`FillPolicy::inspect`]: a playlist tells its lifetime inside.
    Collect {
        /// Bytes that it may have.
        max: u64,
    },
    /// It cannot be shared.
    Pass {
        /// For how long the key is remembered as such.
        remember: Duration,
    },
    /// It is a failure: try the next candidate.
    Refuse(UpstreamError),
}

/// What to do with an answer that was read to its end first.
#[derive(Debug, Clone)]
pub enum Inspection {
    /// Store it.
    Store(Box<StoredResponse>),
    /// It is a failure: try the next candidate.
    Refuse(UpstreamError),
}

/// A collected answer as it is kept.
#[derive(Debug, Clone)]
pub struct StoredResponse {
    /// Its head.
    pub head: Head,
    /// Its body: the one that came, or another in its place.
    pub body: Bytes,
    /// How long it may live.
    pub lifetimes: Lifetimes,
    /// What it varies by.
    pub variant: Option<Variant>,
}

/// Something worth counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A source is asked.
    Requested,
    /// That request is over.
    Finished(Outcome),
    /// The next candidate is asked because of it.
    FailedOver(UpstreamError),
    /// A body that broke went on at another source.
    Rescued(UpstreamError),
    /// A source was late, and another was asked as well.
    Hedged,
    /// That other one answered first.
    HedgeWon,
    /// Another candidate would have been asked, and the budget for that is spent.
    BudgetExhausted,
    /// A fill ended; so many tickets were served by it.
    Ended(Ending, usize),
}

/// How a fill ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The object is stored.
    Stored,
    /// The old object was found to be current.
    Renewed,
    /// The answer cannot be shared.
    Passed,
    /// No source could answer.
    Failed,
    /// The body broke, and no source could go on.
    Broken,
    /// Nobody wanted it any more.
    Abandoned,
}

/// Who knows what answers mean. The proxy implements it for one request's site.
pub trait FillPolicy: Send + Sync {
    /// Rules on an answer by its head.
    fn rule(&self, head: &Head) -> Ruling;
    /// Rules on an answer that was collected.
    fn inspect(&self, head: &Head, body: Bytes) -> Inspection;
    /// The head and lifetimes of `stale` after a 304.
    ///
    /// # Errors
    /// When it cannot be given out all the same: try the next candidate.
    fn renew(&self, stale: &Object, head: &Head) -> Result<(Head, Lifetimes), UpstreamError>;
    /// The head as it is kept: end-to-end fields only.
    fn stored_head(&self, head: &Head) -> Head;
    /// All candidates were asked `rounds` times in vain, the last one with this trouble, and were `waited` for between
    /// that: how long to wait at most before they are asked once more, if they are. How much of that is waited is drawn
    /// (full jitter).
    fn retry_pause(&self, error: UpstreamError, rounds: usize, waited: Duration) -> Option<Duration>;
    /// What came from `upstream` is of no use, though nothing is wrong with the source itself.
    fn record_unusable(&self, upstream: &Upstream, error: UpstreamError);
    /// The failure that viewers are told of and that is remembered.
    fn failure(&self, error: UpstreamError, upstream: Option<&Upstream>, head: Option<&Head>) -> Failure;
    /// Counts an event.
    fn note(&self, event: Event);
}

/// What came of a request to a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered, to the last byte.
    Answered(StatusCode),
    /// It was not, or with something of no use.
    Failed(UpstreamError),
    /// It was given up before its end: nobody wanted the rest any more, or there was no room for it.
    Abandoned,
}

/// Counts how a fill ends, and how many it has served.
pub(crate) fn note_end(policy: &impl FillPolicy, fill_writer: &FillWriter, ending: Ending) {
    policy.note(Event::Ended(ending, fill_writer.served()));
}
