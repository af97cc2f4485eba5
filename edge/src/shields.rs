//! The upstreams of an edge: the shields, by hash; without shields, the site's own origins.

use std::sync::Arc;

use tidegate_proxy::config::Secret;
use tidegate_proxy::site;
use tidegate_upstream::trust::TrustError;
use tidegate_upstream::{Bound, Connections, Order, Pool, SitePools};

use crate::Config;

/// The shields that all sites share, and the trust for other upstreams.
#[derive(Debug)]
pub(crate) struct Shields<'a> {
    config: &'a Config,
    connections: Arc<Connections>,
    by_hash: Option<Arc<Pool>>,
}

/// The shields of a configuration, whose requests carry the secret.
///
/// # Errors
/// When a certificate or a key is invalid.
pub(crate) fn of<'a>(config: &'a Config, secret: Option<&Secret>) -> Result<Shields<'a>, TrustError> {
    let origins = config.site.iter().map(|site| site.origins.len()).sum::<usize>();
    let connections = config.upstream.connections(config.shields.len() + origins)?;
    let bound = Bound { epsilon: config.balance.excess.get(), floor: config.balance.requests_min };
    let specs: Vec<_> = config
        .shields
        .iter()
        .map(|shield| shield.tier(config.upstream.options(true, &connections), secret))
        .collect();
    let by_hash = (!specs.is_empty())
        .then(|| Pool::new(Order::Hash(bound, config.world()), specs, config.upstream.budget()));
    Ok(Shields { config, connections, by_hash })
}

impl Shields<'_> {
    pub(crate) fn for_site(&self, site: &site::Config) -> SitePools {
        let origins = || site.pool(&self.config.upstream, &self.connections);
        SitePools::of(match &self.by_hash {
            None => vec![origins()],
            Some(shields) if site.direct => vec![Arc::clone(shields), origins()],
            Some(shields) => vec![Arc::clone(shields)],
        })
    }

    /// The servers to which redirects of the site's origins may lead.
    pub(crate) fn redirect_pool(&self, site: &site::Config) -> Option<Arc<Pool>> {
        site.redirect_pool(&self.config.upstream, &self.connections)
    }
}
