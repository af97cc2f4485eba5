//! The upstreams of a shield: a site's origins, in the order of the configuration.

use std::sync::Arc;

use tidegate_proxy::config::Upstream;
use tidegate_proxy::site;
use tidegate_upstream::{Candidates, Connections};

/// The origins of a site.
pub(crate) fn of(site: &site::Config, upstream: &Upstream, connections: &Arc<Connections>) -> Candidates {
    Candidates::of(vec![site.pool(upstream, connections)])
}
