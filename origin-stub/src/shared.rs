//! The state that all requests of one stub share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::Config;
use crate::counts::Ledger;
use crate::faults::Down;
use crate::faults::book::Book;
use crate::faults::effects::Effects;
use crate::ingest::Shelf;
use crate::stream::View;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) started: Duration,
    pub(crate) faults: Book,
    pub(crate) ledger: Ledger,
    pub(crate) shelf: Shelf,
    /// Connections, the requests of HTTP/2, and uploads: shutdown waits for them.
    pub(crate) tasks: TaskTracker,
    /// The time to finish open responses is up.
    pub(crate) killed: CancellationToken,
    pub(crate) accepted: AtomicU64,
    pub(crate) open: AtomicU64,
    pub(crate) resets: AtomicU64,
    /// The number of low-latency requests that are blocked until their object exists.
    pub(crate) blocked: watch::Sender<u64>,
    /// The state of the listener, once it is in force.
    pub(crate) applied: watch::Sender<Option<Down>>,
    unique: AtomicU64,
}

impl Shared {
    pub(crate) fn new(config: Config) -> Self {
        let clock = Clock::default();
        Self {
            started: clock.now(),
            clock,
            faults: Book::new(config.faults.faults_max),
            ledger: Ledger::new(&config.counts),
            shelf: Shelf::new(config.ingest.clone()),
            tasks: TaskTracker::new(),
            killed: CancellationToken::new(),
            accepted: AtomicU64::new(0),
            open: AtomicU64::new(0),
            resets: AtomicU64::new(0),
            blocked: watch::Sender::new(0),
            applied: watch::Sender::new(None),
            unique: AtomicU64::new(0),
            config,
        }
    }

    /// A number that no other request gets.
    pub(crate) fn unique(&self) -> u64 {
        self.unique.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The time as a request sees it.
    pub(crate) fn view(&self, effects: &Effects) -> View {
        View {
            now: effects.frozen_since.unwrap_or_else(|| self.clock.now()),
            started: self.started,
            epoch: effects.epoch.unwrap_or_default(),
            skew_ms: effects.skew_ms,
        }
    }
}
