//! What all synthetic viewers together have done and met.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use serde::Serialize;

use super::fetch::Trouble;

/// The counters that all viewers of a swarm share.
#[derive(Debug, Default)]
pub(super) struct Tally {
    playlists: AtomicU64,
    segments: AtomicU64,
    body_bytes: AtomicU64,
    stalls: AtomicU64,
    errors: Mutex<Errors>,
}

/// A reading of the [`Tally`].
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Counts {
    /// Viewers that are watching now.
    pub(crate) watching: usize,
    /// The maximum number of viewers.
    pub(crate) max: usize,
    /// Playlists that arrived whole.
    pub(crate) playlists: u64,
    /// Segments and initialization sections that arrived whole.
    pub(crate) segments: u64,
    /// Bytes of both.
    pub(crate) body_bytes: u64,
    /// Times that a viewer's buffer ran dry.
    pub(crate) stalls: u64,
    /// Requests that failed.
    pub(crate) errors: u64,
    /// The same by reason.
    pub(crate) errors_by_reason: BTreeMap<&'static str, u64>,
    /// The last failure in words.
    pub(crate) last_error: Option<String>,
}

#[derive(Debug, Default)]
struct Errors {
    by_reason: BTreeMap<&'static str, u64>,
    last: Option<String>,
}

impl Tally {
    pub(super) fn playlist(&self, body_bytes: u64) {
        self.playlists.fetch_add(1, Relaxed);
        self.body_bytes.fetch_add(body_bytes, Relaxed);
    }

    pub(super) fn segment(&self, body_bytes: u64) {
        self.segments.fetch_add(1, Relaxed);
        self.body_bytes.fetch_add(body_bytes, Relaxed);
    }

    pub(super) fn stall(&self) {
        self.stalls.fetch_add(1, Relaxed);
    }

    pub(super) fn trouble(&self, path: &str, trouble: &Trouble) {
        let mut errors = self.errors.lock();
        *errors.by_reason.entry(trouble.reason()).or_default() += 1;
        errors.last = Some(format!("{path}: {trouble}"));
    }

    /// The counters now, for a swarm of `watching` viewers out of `max`.
    pub(super) fn counts(&self, watching: usize, max: usize) -> Counts {
        let errors = self.errors.lock();
        Counts {
            watching,
            max,
            playlists: self.playlists.load(Relaxed),
            segments: self.segments.load(Relaxed),
            body_bytes: self.body_bytes.load(Relaxed),
            stalls: self.stalls.load(Relaxed),
            errors: errors.by_reason.values().sum(),
            errors_by_reason: errors.by_reason.clone(),
            last_error: errors.last.clone(),
        }
    }
}
