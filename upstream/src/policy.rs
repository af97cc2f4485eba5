//! The rules of a fill: the decisions that it leaves to its [`FillPolicy`], and the events that it reports.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tidegate_cache::freshness::UncacheableReason;
use tidegate_cache::{Failure, Head, Lifetimes, Object, Variant};
use tokio::time::Instant;

use crate::error::UpstreamError;
use crate::fetch::decode::Coding;
use crate::upstream::Upstream;

/// What to do with a response, by its head.
#[derive(Debug, Clone)]
pub enum Ruling {
    /// Store it and stream it while it arrives.
    Store {
        /// Its lifetimes.
        lifetimes: Lifetimes,
        /// What it varies by.
        variant: Option<Variant>,
    },
    /// Read all of it, then call [`FillPolicy::inspect`]: a playlist has its lifetime inside.
    Collect {
        /// The largest size in bytes.
        max: u64,
    },
    /// Its head does not show what it is. Read its first bytes, and do as [`FillPolicy::rule_beginning`]
    /// rules.
    Peek {
        /// What to do if they show nothing new.
        otherwise: Box<Self>,
    },
    /// It cannot be shared.
    Pass {
        /// How long the key is remembered as uncacheable.
        remember: Duration,
        /// Why.
        reason: UncacheableReason,
    },
    /// It is a failure: try the next candidate.
    Refuse(UpstreamError),
}

/// What the first bytes of a response tell.
#[derive(Debug, Clone)]
pub enum Peeked {
    /// Nothing yet: more bytes are needed.
    More,
    /// How to continue.
    Rule(Ruling),
    /// Nothing new.
    Otherwise,
}

/// What to do with a response that was read to its end first.
#[derive(Debug, Clone)]
pub enum Inspection {
    /// Store it.
    Store(Box<StoredResponse>),
    /// It is a failure: try the next candidate.
    Refuse(UpstreamError),
}

/// A collected response as it is stored.
#[derive(Debug, Clone)]
pub struct StoredResponse {
    /// Its head.
    pub head: Head,
    /// Its body, as it arrived or rewritten.
    pub body: Bytes,
    /// Its lifetimes.
    pub lifetimes: Lifetimes,
    /// What it varies by.
    pub variant: Option<Variant>,
}

/// A request that follows a redirect.
#[derive(Debug, Clone)]
pub struct Redirect {
    /// The upstream that receives it.
    pub upstream: Arc<Upstream>,
    /// Its target, as in [`UpstreamRequest`](crate::UpstreamRequest).
    pub target: String,
}

/// An event that is worth counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A request is about to be sent; it may still wait for a permit.
    Requested,
    /// That request has ended.
    Finished(Outcome),
    /// The next candidate receives the request because of this error.
    FailedOver(UpstreamError),
    /// A broken body was resumed, at another upstream if there was one.
    Rescued(UpstreamError),
    /// An upstream was late, and another one received the request as well.
    Hedged,
    /// That other one responded first.
    HedgeWon,
    /// Another candidate would have been tried, but the budget is exhausted.
    BudgetExhausted,
    /// A fill ended; it served this many readers.
    Ended(Ending, usize),
}

/// How a fill ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The object is stored.
    Stored,
    /// The old object is current.
    Renewed,
    /// The response cannot be shared, by its head for this reason. Without a reason, it is too large, or the
    /// cache has no room, or it has the whole in place of a slice.
    Passed(Option<UncacheableReason>),
    /// No upstream gave a usable response.
    Failed,
    /// The body broke, and no upstream could resume it.
    Broken,
    /// No reader wanted it any more.
    Abandoned,
}

/// The rules of one request's site. A policy keeps no state of its own between calls; `inspect` and `renew`
/// may update what the tier knows of a live stream.
pub trait FillPolicy: Send + Sync {
    /// The request that follows the redirect in `head`, which `upstream` sent for `target`. `None` if it is
    /// not one, or is not to be followed.
    fn redirect(&self, head: &Head, upstream: &Arc<Upstream>, target: &str) -> Option<Redirect>;
    /// The content codings to remove from the body, in the order of `Content-Encoding`. If there are any, the
    /// head becomes that of the decoded body.
    fn codings(&self, head: &mut Head) -> Vec<Coding>;
    /// Rules on a response by its head.
    fn rule(&self, head: &Head) -> Ruling;
    /// Rules on a response by its first bytes, after [`Ruling::Peek`]: all that have arrived, one at least.
    fn rule_beginning(&self, beginning: &[u8]) -> Peeked;
    /// Rules on a collected response.
    fn inspect(&self, head: &Head, body: Bytes, progress: &Progress) -> Inspection;
    /// The head and lifetimes of `stale` after a 304.
    ///
    /// # Errors
    /// When the stale object cannot be served all the same: the next candidate is tried.
    fn renew(
        &self,
        stale: &Object,
        head: &Head,
        progress: &Progress,
    ) -> Result<(Head, Lifetimes), UpstreamError>;
    /// The head as it is stored: end-to-end fields only.
    fn stored_head(&self, head: &Head) -> Head;
    /// Whether a resource that an upstream answers with this status is known to appear any moment.
    fn may_appear(&self, status: StatusCode) -> bool;
    /// Called when every candidate has failed, the last one with `error`. Returns the longest pause (full
    /// jitter) before the next round; `None` gives up.
    fn retry_pause(&self, error: UpstreamError, progress: &Progress) -> Option<Duration>;
    /// The failure that viewers receive and that the cache remembers.
    fn failure(
        &self,
        error: UpstreamError,
        upstream: Option<&Upstream>,
        response: Option<&FailedResponse>,
    ) -> Failure;
}

/// A response that is a failure.
#[derive(Debug, Clone)]
pub struct FailedResponse {
    /// Its head.
    pub head: Head,
    /// Its whole body, if that is short.
    pub body: Option<Bytes>,
}

/// How far a fill has come: all that a policy may consider beside a response.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Requests sent to upstreams.
    pub requests: usize,
    /// When the last of them was sent.
    pub last_sent: Instant,
    /// When the fill began.
    pub began: Instant,
    /// Rounds in which every candidate failed.
    pub rounds: usize,
    /// Whether an upstream was refused because its live playlist was frozen.
    pub was_frozen: bool,
    /// The last upstream whose response was unusable though the upstream itself is well.
    pub unusable: Option<(Arc<str>, UpstreamError)>,
    /// The target of the last redirect that was followed to the response.
    pub redirected: Option<Box<str>>,
}

impl Progress {
    /// Nothing has been sent yet.
    pub fn none(now: Instant) -> Self {
        let (requests, rounds) = (0, 0);
        let (unusable, redirected) = (None, None);
        Self { requests, last_sent: now, began: now, rounds, was_frozen: false, unusable, redirected }
    }

    /// The response of `upstream` is unusable, though nothing is wrong with the upstream itself.
    pub(crate) fn record_unusable(&mut self, upstream: &Upstream, error: UpstreamError) {
        self.was_frozen |= error == UpstreamError::Frozen;
        self.unusable = Some((Arc::clone(upstream.name()), error));
    }
}

/// Counts events. Nothing depends on what it does with them.
pub trait Recorder: std::fmt::Debug + Send + Sync {
    /// Counts an event.
    fn record(&self, event: Event);
}

/// The outcome of a request to an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The response is complete.
    Answered(StatusCode),
    /// No response, or an unusable one.
    Failed(UpstreamError),
    /// Dropped before its end: no reader wanted the rest any more, or there was no room for it.
    Abandoned,
}
