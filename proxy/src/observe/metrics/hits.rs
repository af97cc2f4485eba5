//! What counts hits. They are the many, and come on all cores at once: each thread counts in a shard of its own, and the
//! shards are added up when somebody looks.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::core::GenericLocalCounter;
use prometheus::local::{LocalHistogram, LocalIntCounter};
use prometheus::{Histogram, IntCounter};
use tidegate_hls::Kind;

use super::table::Book;
use crate::observe::label::Label;

/// Counts hits that were answered well, for the instruments that count all requests.
pub(super) struct Hits {
    shards: Box<[Shard]>,
    try_hit: IntCounter,
    from_files: IntCounter,
}

/// Nobody else's counters are on its cache lines.
#[repr(align(128))]
#[derive(Default)]
struct Shard(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    by_kind: [Option<LocalIntCounter>; Kind::ALL.len()],
    body_bytes: Option<LocalIntCounter>,
    first_byte: Option<LocalHistogram>,
    try_hit: Option<LocalIntCounter>,
    from_files: Option<LocalIntCounter>,
}

/// The instruments to which the shards are added. They are asked for when a shard first needs them, so that a series
/// appears with its first use.
pub(super) trait Instruments {
    fn hits(&self, kind: Kind) -> Option<IntCounter>;
    fn body_bytes(&self) -> Option<IntCounter>;
    fn first_byte(&self) -> Option<Histogram>;
}

impl Hits {
    pub(super) fn new(book: &Book<'_>) -> Result<Self, prometheus::Error> {
        let try_hit = book.counter(
            "tidegate_requests_at_once_total",
            "Requests that were answered on the fast lane: plain hits over HTTP/1.1.",
        )?;
        let from_files = book.counter(
            "tidegate_requests_sendfile_total",
            "Those among them whose bodies the system sent from a copy in a file.",
        )?;
        let shards = std::iter::repeat_with(Shard::default).take(SHARDS).collect();
        Ok(Self { shards, try_hit, from_files })
    }

    /// Counts a hit.
    pub(super) fn count(
        &self,
        instruments: &impl Instruments,
        kind: Kind,
        body_bytes: u64,
        first_byte: Option<Duration>,
    ) {
        let Some(shard) = self.shards.get(MINE.with(|mine| *mine)) else { return };
        let mut counted = shard.0.lock();
        let Counted { by_kind, body_bytes: sent, first_byte: waits, .. } = &mut *counted;
        if let Some(hits) = by_kind.get_mut(kind.index()) {
            with(hits, || instruments.hits(kind).map(|hits| hits.local()), LocalIntCounter::inc);
        }
        with(sent, || instruments.body_bytes().map(|sent| sent.local()), |sent| sent.inc_by(body_bytes));
        if let Some(first_byte) = first_byte {
            let waited = first_byte.as_secs_f64();
            with(
                waits,
                || instruments.first_byte().map(|waits| waits.local()),
                |waits| waits.observe(waited),
            );
        }
    }

    /// Counts an answer on the fast lane, with its body from a file or from memory.
    pub(super) fn count_at_once(&self, is_from_file: bool) {
        let Some(shard) = self.shards.get(MINE.with(|mine| *mine)) else { return };
        let mut counted = shard.0.lock();
        with(&mut counted.try_hit, || Some(self.try_hit.local()), LocalIntCounter::inc);
        if is_from_file {
            with(&mut counted.from_files, || Some(self.from_files.local()), LocalIntCounter::inc);
        }
    }

    /// Adds the shards to the instruments.
    pub(super) fn add_up(&self) {
        for shard in &self.shards {
            let counted = shard.0.lock();
            let others = [&counted.body_bytes, &counted.try_hit, &counted.from_files];
            counted.by_kind.iter().chain(others).flatten().for_each(flush);
            if let Some(waits) = &counted.first_byte {
                waits.flush();
            }
        }
    }
}

impl fmt::Debug for Hits {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Hits").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

fn flush(counter: &LocalIntCounter) {
    GenericLocalCounter::flush(counter);
}

/// Uses an instrument, which is made if there is none yet.
fn with<I>(place: &mut Option<I>, make: impl FnOnce() -> Option<I>, use_it: impl FnOnce(&I)) {
    if place.is_none() {
        *place = make();
    }
    if let Some(instrument) = place {
        use_it(instrument);
    }
}

/// More threads than that share.
const SHARDS: usize = 64;

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread's shard.
    static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
}
