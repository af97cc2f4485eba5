//! Whom a shield asks: a site's origins, in the order in which they are listed.

use std::sync::Arc;

use tidegate_proxy::config::Upstream;
use tidegate_proxy::site;
use tidegate_upstream::{ByPriority, Candidates};

/// The origins of a site. Health, groups and streams that freeze come in here.
pub(crate) fn of(site: &site::Config, upstream: &Upstream) -> Arc<dyn Candidates> {
    Arc::new(ByPriority::new(site.sources(upstream)))
}
