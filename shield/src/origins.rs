//! The upstreams of a shield: a site's origins, in the order of the configuration.

use std::sync::Arc;

use tidegate_proxy::config::Upstream;
use tidegate_proxy::site;
use tidegate_upstream::{Connections, SitePools};

/// The origins of a site.
pub(crate) fn of(site: &site::Config, upstream: &Upstream, connections: &Arc<Connections>) -> SitePools {
    SitePools::of(vec![site.pool(upstream, connections)])
}
