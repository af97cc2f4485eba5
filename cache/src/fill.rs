//! A fill: one response on its way from an upstream to every request that wants it.
//!
//! A fill is independent of the request that caused it. The task that writes it holds the
//! [`FillWriter`](crate::FillWriter); every request that reads it, including the one that caused it, holds a
//! [`FillReader`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::body::Broken;
use crate::object::{Head, Object};
use crate::selection::Selection;
use crate::slot::Slot;

/// Why no upstream could answer, and what the viewer receives instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The status for the viewer.
    pub status: StatusCode,
    /// A token for logs, metrics and Proxy-Status.
    pub reason: &'static str,
    /// The upstream that failed, where one can be named.
    pub upstream: Option<Arc<str>>,
    /// The upstream's `Retry-After`.
    pub retry_after: Option<Duration>,
    /// How long the failure is remembered, so that a thousand requests cause one upstream request.
    pub lifetime: Duration,
    /// The upstream's response, if that was the failure and viewers may share it.
    pub response: Option<Arc<ErrorResponse>>,
}

/// An error response of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorResponse {
    /// Status and end-to-end fields.
    pub head: Head,
    /// The whole body.
    pub body: Bytes,
}

impl Failure {
    /// A failure that is not remembered.
    pub(crate) fn transient(reason: &'static str) -> Self {
        let (status, lifetime) = (StatusCode::BAD_GATEWAY, Duration::ZERO);
        Self { status, reason, upstream: None, retry_after: None, lifetime, response: None }
    }
}

/// What a [`FillReader`] receives.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The object. Its body may still be growing.
    Object(Arc<Object>),
    /// The response cannot be shared: make a request of your own.
    Pass,
    /// The key was purged before the head arrived: look up again.
    Purged,
    /// No upstream could answer.
    Failed {
        /// The failure.
        failure: Arc<Failure>,
        /// A stale object that may be served instead (stale-if-error).
        stale: Option<Arc<Object>>,
    },
}

/// Why the cache does not accept what an upstream sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The object is larger than one object may be.
    #[error("the object is larger than {max} bytes")]
    TooLarge {
        /// The limit in bytes.
        max: u64,
    },
    /// The fills under way have reserved all the memory that fills may have.
    #[error("the memory for fills is used up")]
    NoRoom,
    /// A purge since the fill began selects its response.
    #[error("the object was purged while it was on its way")]
    Purged,
}

impl Refused {
    pub(crate) fn broken(self) -> Broken {
        match self {
            Self::TooLarge { .. } => Broken("too_large"),
            Self::NoRoom => Broken("no_room"),
            Self::Purged => Broken("purged"),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Fill {
    progress: Mutex<Progress>,
    changed: Notify,
    /// Readers at the moment.
    readers_now: AtomicUsize,
    /// Readers ever.
    readers_total: AtomicUsize,
    unwanted: Notify,
    /// A refresh in the background, which is wanted without any reader.
    is_background: bool,
    /// A stale object exists, which the upstream may confirm.
    revalidates: bool,
    /// Whether its key or its response was purged.
    is_purged: AtomicBool,
    /// The slot that the response goes to. It changes when the response turns out to vary.
    pub(crate) slot: Mutex<Arc<Slot>>,
}

#[derive(Debug)]
enum Progress {
    /// No head yet. The purges since the fill began that depend on it.
    Pending(Vec<Arc<dyn Selection>>),
    Answered(Answer),
}

/// Purges that a fill remembers until its head arrives. One more purges the fill, whatever its head.
const PURGES_MAX: usize = 256;

impl Fill {
    pub(crate) fn new(slot: Arc<Slot>, is_background: bool, revalidates: bool) -> Self {
        Self {
            progress: Mutex::new(Progress::Pending(Vec::new())),
            changed: Notify::new(),
            readers_now: AtomicUsize::new(0),
            readers_total: AtomicUsize::new(0),
            unwanted: Notify::new(),
            is_background,
            revalidates,
            is_purged: AtomicBool::new(false),
            slot: Mutex::new(slot),
        }
    }

    /// Whether the head of a response that can be shared has arrived.
    pub(crate) fn has_object(&self) -> bool {
        matches!(&*self.progress.lock(), Progress::Answered(Answer::Object(_)))
    }

    /// Sets the answer, unless there is one, and wakes the readers.
    pub(crate) fn publish(&self, answer: Answer) {
        {
            let mut progress = self.progress.lock();
            if matches!(&*progress, Progress::Pending(_)) {
                *progress = Progress::Answered(answer);
            }
        }
        self.changed.notify_waiters();
    }

    /// Purges the fill: its response is not stored, and readers without a head look up again.
    pub(crate) fn purge(&self) {
        self.is_purged.store(true, Ordering::Release);
        self.publish(Answer::Purged);
    }

    pub(crate) fn is_purged(&self) -> bool {
        self.is_purged.load(Ordering::Acquire)
    }

    /// Whether a purge selects the response by its head. Without a head, the purge is remembered.
    pub(crate) fn is_selected(&self, purge: &Arc<dyn Selection>) -> bool {
        match &mut *self.progress.lock() {
            Progress::Pending(purges) if purges.len() < PURGES_MAX => {
                purges.push(Arc::clone(purge));
                false
            }
            Progress::Pending(_) => true,
            Progress::Answered(Answer::Object(object)) => purge.selects_head(&object.head).unwrap_or(true),
            Progress::Answered(_) => false,
        }
    }

    /// Whether a purge since the fill began selects a response with this head.
    pub(crate) fn was_selected(&self, head: &Head) -> bool {
        match &*self.progress.lock() {
            Progress::Pending(purges) => is_any_selecting(purges, head),
            Progress::Answered(_) => false,
        }
    }

    /// Sets the object as the answer, unless there is an answer or a purge selects it. Returns whether the
    /// fill may store it.
    pub(crate) fn publish_object(&self, object: Arc<Object>) -> bool {
        let is_selected = {
            let mut progress = self.progress.lock();
            match &*progress {
                Progress::Pending(purges) if is_any_selecting(purges, &object.head) => true,
                Progress::Pending(_) => {
                    *progress = Progress::Answered(Answer::Object(object));
                    false
                }
                Progress::Answered(_) => false,
            }
        };
        if is_selected {
            self.purge();
        } else {
            self.changed.notify_waiters();
        }
        !is_selected
    }

    /// Whether it brings an object with status 200 that has the byte at `place`, as far as that is known.
    pub(crate) fn brings_byte(&self, place: u64) -> bool {
        match &*self.progress.lock() {
            Progress::Answered(Answer::Object(object)) if object.head.status == StatusCode::OK => {
                object.body.full_len().is_none_or(|length| place < length)
            }
            _ => false,
        }
    }

    fn answer(&self) -> Option<Answer> {
        match &*self.progress.lock() {
            Progress::Pending(_) => None,
            Progress::Answered(answer) => Some(answer.clone()),
        }
    }

    pub(crate) fn readers(&self) -> usize {
        self.readers_now.load(Ordering::Acquire)
    }

    /// How many readers there have been.
    pub(crate) fn readers_total(&self) -> usize {
        self.readers_total.load(Ordering::Relaxed)
    }

    /// Waits until the fill has no reader. Never resolves for a refresh in the background.
    pub(crate) async fn until_unwanted(&self) {
        if self.is_background {
            std::future::pending::<()>().await;
        }
        while self.readers() > 0 {
            self.unwanted.notified().await;
        }
    }

    /// Bytes that have arrived so far.
    pub(crate) fn bytes(&self) -> u64 {
        match self.answer() {
            Some(Answer::Object(object)) => object.body.len(),
            _ => 0,
        }
    }
}

fn is_any_selecting(purges: &[Arc<dyn Selection>], head: &Head) -> bool {
    purges.iter().any(|purge| purge.selects_head(head).unwrap_or(true))
}

/// One request's hold on a fill. As long as it exists, the fill is wanted.
#[derive(Debug)]
pub struct FillReader {
    fill: Arc<Fill>,
    elected: bool,
}

impl FillReader {
    /// Whether the head of a response that can be shared has arrived.
    pub(crate) fn has_object(&self) -> bool {
        self.fill.has_object()
    }

    /// Only called under the lock of the fill's slot, so that the fill cannot be abandoned at that moment.
    pub(crate) fn take(fill: &Arc<Fill>, elected: bool) -> Self {
        fill.readers_now.fetch_add(1, Ordering::AcqRel);
        fill.readers_total.fetch_add(1, Ordering::Relaxed);
        Self { fill: Arc::clone(fill), elected }
    }

    /// Waits for the head, a pass or a failure. Cancelling the wait loses nothing.
    pub async fn answer(&self) -> Answer {
        loop {
            let mut changed = std::pin::pin!(self.fill.changed.notified());
            changed.as_mut().enable();
            if let Some(answer) = self.fill.answer() {
                return answer;
            }
            changed.await;
        }
    }

    /// Whether this request caused the fill.
    pub fn is_elected(&self) -> bool {
        self.elected
    }

    /// Whether a stale object existed when the fill began.
    pub fn is_revalidation(&self) -> bool {
        self.fill.revalidates
    }
}

impl Drop for FillReader {
    fn drop(&mut self) {
        if self.fill.readers_now.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.fill.unwanted.notify_one();
        }
    }
}
