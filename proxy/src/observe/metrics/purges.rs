//! Counts of purges.

use prometheus::IntCounter;

use super::labels::PurgeKind;
use super::table::{CounterTable, Registrar};

/// The instruments of purges.
#[derive(Debug)]
pub struct Purges {
    purges: CounterTable,
    objects: IntCounter,
}

impl Purges {
    pub(super) fn new(registrar: &Registrar<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            purges: registrar.counters(
                "tidegate_purges_total",
                "Purges that this node has carried out, by what they name.",
                &[("kind", PurgeKind::ALL.len())],
            )?,
            objects: registrar.counter(
                "tidegate_purged_objects_total",
                "Cached objects that purges have removed or expired; each variant and each slice counts.",
            )?,
        })
    }

    /// Counts a purge and its objects.
    pub fn record(&self, kind: PurgeKind, objects: u64) {
        self.purges.with([&kind], IntCounter::inc);
        self.objects.inc_by(objects);
    }
}
