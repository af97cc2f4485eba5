//! The upstreams of an edge: the shields, by hash; without shields, the site's own origins.

use std::sync::Arc;

use tidegate_proxy::config::SecretField;
use tidegate_proxy::site::{self, OriginPools};
use tidegate_proxy::{Site, Sites};
use tidegate_upstream::trust::TrustError;
use tidegate_upstream::{Bound, Order, Pool, SitePools};

use crate::Config;

/// The shields that all sites share, and the pools of the sites' own upstreams.
#[derive(Debug)]
pub(crate) struct Shields {
    /// Requests to shields carry it.
    secret: Option<SecretField>,
    by_hash: Option<Arc<Pool>>,
    origins: OriginPools,
}

impl Shields {
    /// The shields of a configuration.
    ///
    /// # Errors
    /// When a certificate or a key is invalid.
    pub(crate) fn new(config: &Config, secret: Option<SecretField>) -> Result<Self, TrustError> {
        let origins = config.site.iter().map(|site| site.origins.len()).sum::<usize>();
        let connections = config.upstream.connections(config.shields.len() + origins)?;
        let origins = OriginPools::new(config.upstream.clone(), connections);
        let mut shields = Self { secret, by_hash: None, origins };
        shields.replace(config);
        Ok(shields)
    }

    /// Makes the shields anew, as a configuration has them.
    pub(crate) fn replace(&mut self, config: &Config) {
        let bound = Bound { epsilon: config.balance.excess.get(), floor: config.balance.requests_min };
        let options = || config.upstream.options(true, self.origins.connections());
        let specs = config.shields.iter().map(|shield| shield.tier(options(), self.secret.as_ref()));
        let specs: Vec<_> = specs.collect();
        self.by_hash = (!specs.is_empty())
            .then(|| Pool::new(Order::Hash(bound, config.world()), specs, config.upstream.budget()));
    }

    /// The sites of a configuration. Each takes over what the site of the same name has learned.
    pub(crate) fn sites(&mut self, config: &Config, before: Option<&Sites>) -> Sites {
        self.origins.keep(&config.site);
        let has_shields = !config.shields.is_empty();
        Sites::succeeding(before, &config.site, |site| {
            let candidates = self.for_site(site);
            let redirect_hosts = self.origins.redirect_hosts(site);
            Site { has_shields, redirect_hosts, ..Site::new(site, candidates) }
        })
    }

    fn for_site(&mut self, site: &site::Config) -> SitePools {
        SitePools::of(match &self.by_hash {
            None => vec![self.origins.origins(site)],
            Some(shields) if site.direct => vec![Arc::clone(shields), self.origins.origins(site)],
            Some(shields) => vec![Arc::clone(shields)],
        })
    }
}
