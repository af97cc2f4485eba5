//! Counts hits. Most requests are hits, on all cores in parallel: each thread counts in its own shard, and a
//! scrape adds the shards up.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::core::GenericLocalCounter;
use prometheus::local::{LocalHistogram, LocalIntCounter};
use prometheus::{Histogram, IntCounter};
use tidegate_hls::Kind;

use super::table::Registrar;
use crate::observe::label::Label;

/// Counts complete hits, for the instruments that count all requests.
pub(super) struct Hits {
    shards: Box<[Shard]>,
    fast_path: IntCounter,
    sendfile: IntCounter,
}

/// One thread's counters. No other shard shares its cache lines.
#[repr(align(128))]
#[derive(Default)]
struct Shard(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    by_kind: [Option<LocalIntCounter>; Kind::ALL.len()],
    body_bytes: Option<LocalIntCounter>,
    first_byte: Option<LocalHistogram>,
    fast_path: Option<LocalIntCounter>,
    sendfile: Option<LocalIntCounter>,
}

/// The instruments to which the shards are added. A shard resolves each on first use, which is also when the
/// series appears.
pub(super) trait Instruments {
    fn hits(&self, kind: Kind) -> Option<IntCounter>;
    fn body_bytes(&self) -> Option<IntCounter>;
    fn first_byte(&self) -> Option<Histogram>;
}

impl Hits {
    pub(super) fn new(registrar: &Registrar<'_>) -> Result<Self, prometheus::Error> {
        let fast_path = registrar.counter(
            "tidegate_fast_path_hits_total",
            "Hits served on the fast path: simple requests over HTTP/1.1.",
        )?;
        let sendfile = registrar.counter(
            "tidegate_sendfile_responses_total",
            "Fast-path hits whose body the kernel sent from a file (sendfile).",
        )?;
        let shards = std::iter::repeat_with(Shard::default).take(SHARDS).collect();
        Ok(Self { shards, fast_path, sendfile })
    }

    /// Counts a hit.
    pub(super) fn count(
        &self,
        instruments: &impl Instruments,
        kind: Kind,
        body_bytes: u64,
        first_byte: Option<Duration>,
    ) {
        let Some(shard) = self.shards.get(SHARD.with(|shard| *shard)) else { return };
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

    /// Counts a hit on the fast path, with its body from a file or from memory.
    pub(super) fn count_fast_path(&self, is_from_file: bool) {
        let Some(shard) = self.shards.get(SHARD.with(|shard| *shard)) else { return };
        let mut counted = shard.0.lock();
        with(&mut counted.fast_path, || Some(self.fast_path.local()), LocalIntCounter::inc);
        if is_from_file {
            with(&mut counted.sendfile, || Some(self.sendfile.local()), LocalIntCounter::inc);
        }
    }

    /// Adds the shards to the instruments.
    pub(super) fn flush(&self) {
        for shard in &self.shards {
            let counted = shard.0.lock();
            let others = [&counted.body_bytes, &counted.fast_path, &counted.sendfile];
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

/// Uses an instrument, and makes it on first use.
fn with<I>(slot: &mut Option<I>, make: impl FnOnce() -> Option<I>, use_it: impl FnOnce(&I)) {
    if slot.is_none() {
        *slot = make();
    }
    if let Some(instrument) = slot {
        use_it(instrument);
    }
}

/// If there are more threads than shards, some share one.
const SHARDS: usize = 64;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread's shard.
    static SHARD: usize = THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS;
}
