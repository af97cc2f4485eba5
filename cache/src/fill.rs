//! A fill: one answer on its way from a source to everybody who wants it.
//!
//! A fill belongs to nobody. The one who writes it holds the [`FillWriter`](crate::Filling); everybody who reads it, the
//! one who caused it included, holds a [`FillReader`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::body::Broken;
use crate::object::Object;
use crate::slot::Slot;

/// Why no source could answer, and what a viewer is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The status for the viewer.
    pub status: StatusCode,
    /// A token for logs, metrics and Proxy-Status.
    pub reason: &'static str,
    /// Which source it was, where one can be named.
    pub upstream: Option<Arc<str>>,
    /// When the source says it may be asked again.
    pub retry_after: Option<Duration>,
    /// How long the failure is remembered, so that a thousand askers make one request.
    pub lifetime: Duration,
}

impl Failure {
    /// A failure that is not remembered.
    pub(crate) fn transient(reason: &'static str) -> Self {
        let (status, lifetime) = (StatusCode::BAD_GATEWAY, Duration::ZERO);
        Self { status, reason, upstream: None, retry_after: None, lifetime }
    }
}

/// What a ticket is good for.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The object; its body may still be growing.
    Object(Arc<Object>),
    /// The answer cannot be shared: ask for yourself.
    Pass,
    /// No source could answer.
    Failed {
        /// How.
        failure: Arc<Failure>,
        /// A stale object that may stand in (stale-if-error).
        stale: Option<Arc<Object>>,
    },
}

/// The cache does not take what the source sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is larger than one object may be.
    #[error("the object is larger than {max} bytes")]
    TooLarge {
        /// The bound.
        max: u64,
    },
    /// The fills under way already hold their share of the memory.
    #[error("the fills under way hold all the memory that they may")]
    NoRoom,
}

impl Refused {
    pub(crate) fn broken(self) -> Broken {
        match self {
            Self::TooLarge { .. } => Broken("too_large"),
            Self::NoRoom => Broken("no_room"),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Fill {
    progress: Mutex<Progress>,
    changed: Notify,
    /// Tickets that are out.
    readers_now: AtomicUsize,
    /// Tickets that were ever out.
    readers_total: AtomicUsize,
    unwanted: Notify,
    /// Wanted for its own sake, whoever asks: a refresh in the background.
    is_background: bool,
    /// There is an old object that the answer may find to be current.
    revalidates: bool,
    /// The slot that the answer goes to; changes when the answer turns out to vary.
    pub(crate) slot: Mutex<Arc<Slot>>,
}

#[derive(Debug, Clone)]
enum Progress {
    Pending,
    Answered(Answer),
}

impl Fill {
    pub(crate) fn new(slot: Arc<Slot>, is_background: bool, revalidates: bool) -> Self {
        Self {
            progress: Mutex::new(Progress::Pending),
            changed: Notify::new(),
            readers_now: AtomicUsize::new(0),
            readers_total: AtomicUsize::new(0),
            unwanted: Notify::new(),
            is_background,
            revalidates,
            slot: Mutex::new(slot),
        }
    }

    /// Whether the head of an answer that can be shared has arrived.
    pub(crate) fn has_answer(&self) -> bool {
        matches!(&*self.progress.lock(), Progress::Answered(Answer::Object(_)))
    }

    pub(crate) fn publish(&self, answer: Answer) {
        {
            let mut progress = self.progress.lock();
            if matches!(&*progress, Progress::Pending) {
                *progress = Progress::Answered(answer);
            }
        }
        self.changed.notify_waiters();
    }

    fn answer(&self) -> Option<Answer> {
        match &*self.progress.lock() {
            Progress::Pending => None,
            Progress::Answered(answer) => Some(answer.clone()),
        }
    }

    pub(crate) fn readers(&self) -> usize {
        self.readers_now.load(Ordering::Acquire)
    }

    /// How many tickets were ever given out.
    pub(crate) fn readers_total(&self) -> usize {
        self.readers_total.load(Ordering::Relaxed)
    }

    /// Waits until nobody holds a ticket. Never resolves for a fill that is wanted for its own sake.
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

/// A place among those who want a fill. As long as it is held, the fill is wanted.
#[derive(Debug)]
pub struct FillReader {
    fill: Arc<Fill>,
    elected: bool,
}

impl FillReader {
    /// Only called under the lock of the fill's slot, so that a fill cannot be abandoned at the same moment.
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

    /// Whether this ticket's holder caused the fill.
    pub fn is_elected(&self) -> bool {
        self.elected
    }

    /// Whether an old object was held when the fill began.
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
