//! Streams that viewers cannot share: each viewer costs the origin requests of its own.
//!
//! HTTP demands it and a live channel cannot afford it, so the log, a metric and the status page report
//! it, with the switch that shares the stream.

mod queries;

use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tidegate_cache::freshness::UncacheableReason;
use tidegate_hls::Resource;
use tokio::time::Instant;

use self::queries::Queries;
use crate::observe::metrics::{Metrics, UnsharedReason};

/// The streams of one site that viewers could not share, by reason.
#[derive(Debug, Default)]
pub struct Unshared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    notes: [Option<Note>; UnsharedReason::ALL.len()],
    queries: Queries,
}

/// The occurrences of one reason.
#[derive(Debug)]
struct Note {
    fills: u64,
    /// The path of the last such resource, without its query.
    path: String,
    switch: String,
    warned: Instant,
}

/// A resource that viewers cannot share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    metrics: &'a Metrics,
    /// The name of its site.
    site: &'a str,
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Subject<'a> {
    pub(crate) fn new(metrics: &'a Metrics, site: &'a str, resource: &'a Resource) -> Self {
        Self { metrics, site, path: &resource.path, query: resource.query.as_deref() }
    }
}

impl Unshared {
    /// Notes a playlist, segment or init section that only its viewer may have.
    pub(crate) fn record_private(&self, subject: Subject<'_>, reason: UncacheableReason) {
        if let Some(reason) = switched(reason) {
            let switch = format!("[site.sharing] ignore = [\"{reason}\"]");
            note(&mut self.0.lock(), subject, reason, switch);
        }
    }

    /// Notes a playlist that was stored: if many queries share its path, viewers probably cannot share it.
    pub(crate) fn record_stored(&self, subject: Subject<'_>) {
        let Some(query) = subject.query else { return };
        let mut state = self.0.lock();
        if let Some(names) = state.queries.record(subject.path, query, Instant::now()) {
            let switch = format!("[site.query] drop = [{names}]");
            note(&mut state, subject, UnsharedReason::Query, switch);
        }
    }

    /// The notes, for the status page.
    pub(crate) fn report(&self) -> Vec<Value> {
        let state = self.0.lock();
        let noted = UnsharedReason::ALL.iter().zip(&state.notes);
        let report = noted.filter_map(|(reason, note)| {
            let note = note.as_ref()?;
            Some(json!({
                "reason": reason.as_str(),
                "fills": note.fills,
                "last_path": note.path,
                "switch": note.switch,
            }))
        });
        report.collect()
    }
}

/// The reason as reported, if a switch overrules it.
fn switched(reason: UncacheableReason) -> Option<UnsharedReason> {
    Some(match reason {
        UncacheableReason::NoStore => UnsharedReason::NoStore,
        UncacheableReason::Private => UnsharedReason::Private,
        UncacheableReason::SetCookie => UnsharedReason::SetCookie,
        UncacheableReason::VaryStar => UnsharedReason::Vary,
        UncacheableReason::Authorization
        | UncacheableReason::PartialContent
        | UncacheableReason::ContentCoding
        | UncacheableReason::Status => {
            return None;
        }
    })
}

/// Counts the reason, and warns of it from time to time.
fn note(state: &mut State, subject: Subject<'_>, reason: UnsharedReason, switch: String) {
    subject.metrics.live.unshared(reason);
    let (now, path) = (Instant::now(), subject.path);
    let Some(slot) = state.notes.get_mut(reason as usize) else { return };
    let before = slot.take();
    let is_due = before.as_ref().is_none_or(|before| now.duration_since(before.warned) >= WARN_EVERY);
    let fills = before.as_ref().map_or(0, |before| before.fills) + 1;
    if is_due {
        tracing::warn!(
            site = subject.site,
            path,
            %reason,
            fills,
            switch,
            "each viewer costs the origin requests of its own; if it is the same for every viewer, set the switch"
        );
    }
    let warned = before.filter(|_| !is_due).map_or(now, |before| before.warned);
    *slot = Some(Note { fills, path: path.to_owned(), switch, warned });
}

/// The pause between two warnings for one reason of one site.
const WARN_EVERY: Duration = Duration::from_mins(10);
