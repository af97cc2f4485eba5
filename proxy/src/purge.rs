//! Purges: an operator, or a client that a site allows, removes responses from the cache or lets them
//! expire.
//!
//! [`order`] reads what to purge, `scope` selects it, `tags` reads the tags of responses, [`recent`]
//! keeps the reports. The cache purges its objects and the fills under way (`cache/src/purge.rs`); what the
//! tier knows of purged live playlists is forgotten (`live/forget.rs`). Copies in files, compressed bodies,
//! delta updates and rendered heads belong to the objects.
//!
//! A request that arrives after a purge gets nothing that was requested from an upstream before it. Shields
//! are purged before edges: an edge would fetch the old response from its shield again.

pub mod order;
pub mod recent;
mod scope;
pub(crate) mod tags;

use std::collections::HashSet;
use std::sync::Arc;

use tidegate_cache::{Key, PurgeMode, Selection};

pub use order::{Invalid, Order};
pub use recent::Report;
use scope::Scope;

use crate::live::stream::Stream;
use crate::observe::metrics::PurgeKind;
use crate::request::parsed::Request;
use crate::tier::Tier;

/// A purge that is ready to run.
#[derive(Debug, Clone)]
pub struct Purge {
    kind: PurgeKind,
    mode: PurgeMode,
    scope: Arc<Scope>,
}

impl Purge {
    /// The purge of the resource of a request.
    pub(crate) fn of_request(request: &Request) -> Self {
        let key = Key::new(&request.site.name, &request.resource.path_and_query());
        Self { kind: PurgeKind::File, mode: PurgeMode::Remove, scope: Arc::new(Scope::resource(&key)) }
    }

    /// Purges. It walks the cache: call it where a thread may block.
    pub fn run(&self, tier: &Tier) -> Report {
        let Self { kind, mode, scope } = self;
        let selection: Arc<dyn Selection> = Arc::<Scope>::clone(scope);
        let is_hard = *mode == PurgeMode::Remove;
        let mut streams = Vec::new();
        if is_hard && !scope.reads_heads() {
            // A stream that a response creates from here on is a new one. So those that are known now are
            // forgotten before the walk of the cache, and again after it.
            streams = forget(tier, |key| scope.selects_key(key));
        }
        let purged = tier.cache().purge_selected(&selection, *mode);
        let objects: HashSet<&Key> = purged.objects.iter().collect();
        let selects =
            |key: &Key| if scope.reads_heads() { objects.contains(key) } else { scope.selects_key(key) };
        streams.extend(if is_hard { forget(tier, selects) } else { tier.streams().selected(selects) });
        for (_, stream) in &streams {
            stream.purges.announce();
        }
        let report = tier.purges().keep(Report {
            id: String::new(),
            node: tier.node().to_owned(),
            tier: tier.role().as_str(),
            kind: kind.as_str(),
            soft: !is_hard,
            purged: purged.objects.len() as u64,
            fills: purged.fills,
            streams: streams.iter().map(|(key, _)| key).collect::<HashSet<_>>().len() as u64,
        });
        self.record(tier, &report);
        report
    }

    fn record(&self, tier: &Tier, report: &Report) {
        tier.metrics().purges.record(self.kind, report.purged);
        let Report { id, node, kind, soft, purged, fills, streams, .. } = report;
        tracing::info!(id, node, kind, what = %self.scope, soft, purged, fills, streams, "purged");
    }
}

/// Forgets live playlists. Returns them: their followers and blocked requests learn of the purge later.
fn forget(tier: &Tier, selects: impl Fn(&Key) -> bool) -> Vec<(Key, Arc<Stream>)> {
    let selected = tier.streams().selected(selects);
    tier.streams().forget(&selected);
    selected
}
