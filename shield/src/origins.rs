//! Whom a shield asks: a site's origins, by groups and weights.

use std::sync::Arc;

use tidegate_proxy::config::Upstream;
use tidegate_proxy::site::{self, Pools};
use tidegate_upstream::{Candidates, Trust};

/// The origins of all sites.
#[derive(Debug)]
pub(crate) struct Origins<'a>(Pools<'a>);

impl<'a> Origins<'a> {
    /// Origins that are asked as `upstream` says.
    pub(crate) fn of(upstream: &'a Upstream, trust: &Arc<Trust>) -> Self {
        Self(Pools::new(upstream, trust))
    }

    pub(crate) fn for_site(&mut self, site: &site::Config) -> Candidates {
        Candidates::of(vec![self.0.of(site)])
    }
}
