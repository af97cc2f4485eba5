//! The access log: one JSON line per request, written by a thread of its own.
//!
//! A line is rendered when the request ends and queued for the writer. When the disk or the reader of stdout
//! is too slow, the queue is full, and lines are dropped and counted; no viewer waits for the log.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};

use arc_swap::ArcSwap;
use prometheus::IntCounter;
use tidegate_access::ClientAddress;

use crate::clock;
use crate::config::access::LoggedAddresses;

mod addresses;
mod entry;
mod redact;
mod timestamp;
mod writer;

pub use addresses::LoggedAddress;
pub use entry::Entry;
pub use redact::Redaction;
pub use writer::{Output, Writer};

use addresses::Addresses;
use writer::Message;

/// Where the lines go and what is redacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the lines go. Default stdout.
    pub output: Output,
    /// Lines that may wait for the writer, 1 or more. Default 8192.
    pub queue_lines: usize,
    /// Query parameters whose values are not logged, in any case. Default: the usual names of tokens.
    pub redact: Vec<String>,
    /// What lines say of the client's address. Default the whole address.
    pub addresses: LoggedAddresses,
}

/// The sending side of the log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AccessLog {
    queue: Option<SyncSender<Message>>,
    dropped: IntCounter,
    redaction: Arc<ArcSwap<Redaction>>,
    addresses: Arc<Addresses>,
}

impl AccessLog {
    /// Opens the output and starts the writer. `dropped` counts the lines that are lost.
    ///
    /// # Errors
    /// When the output cannot be opened or the thread cannot be started.
    pub fn start(config: &Config, dropped: IntCounter) -> io::Result<(Self, Writer)> {
        let redaction = Arc::new(ArcSwap::from_pointee(Redaction::new(&config.redact)));
        let addresses = Arc::new(Addresses::new(config.addresses));
        if config.output == Output::Off {
            return Ok((Self { queue: None, dropped, redaction, addresses }, Writer::off()));
        }
        let (queue, lines) = mpsc::sync_channel(config.queue_lines.max(1));
        let writer = Writer::start(&config.output, queue.clone(), lines, dropped.clone())?;
        Ok((Self { queue: Some(queue), dropped, redaction, addresses }, writer))
    }

    /// Whether lines are written at all: if not, callers need not prepare an entry.
    pub const fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Redacts the values of these parameters, too, from now on.
    pub(crate) fn redact(&self, names: impl Iterator<Item = String>) {
        self.redaction.store(Arc::new(self.redaction.load().and(names)));
    }

    /// What a line says of an address.
    pub(crate) fn address(&self, address: ClientAddress) -> LoggedAddress {
        self.addresses.logged(address, clock::now())
    }

    /// Renders a line and queues it. Never waits.
    pub fn record(&self, entry: &Entry<'_>) {
        let Some(queue) = &self.queue else { return };
        let is_queued = entry
            .line(&self.redaction.load())
            .is_some_and(|line| queue.try_send(Message::Line(line)).is_ok());
        if !is_queued {
            self.dropped.inc();
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        let redact = ["token", "hdnts", "hdnea", "signature", "sig", "policy", "key", "auth", "jwt", "cat"];
        Self {
            output: Output::Stdout,
            queue_lines: 8192,
            redact: redact.map(str::to_owned).to_vec(),
            addresses: LoggedAddresses::Full,
        }
    }
}

#[cfg(test)]
mod tests;
