//! The pools of the sites' own upstreams. A reload keeps a pool whose configuration is the same, with its
//! connections and what is known of its members.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_upstream::{Connections, Pool};

use super::Config;
use crate::config::Upstream;

/// The pools of origins, and of the servers to which origins redirect, by site.
#[derive(Debug)]
pub struct OriginPools {
    upstream: Upstream,
    connections: Arc<Connections>,
    sites: HashMap<String, SitePool>,
}

/// The pools of one site, with the configuration that they were made of.
#[derive(Debug)]
struct SitePool {
    config: Config,
    origins: Option<Arc<Pool>>,
    redirect_hosts: Option<Arc<Pool>>,
}

impl OriginPools {
    /// No pools yet. Their requests are by `upstream`, over these connections.
    pub fn new(upstream: Upstream, connections: Arc<Connections>) -> Self {
        Self { upstream, connections, sites: HashMap::new() }
    }

    /// The connections of all pools.
    pub fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// The origins of a site.
    pub fn origins(&mut self, site: &Config) -> Arc<Pool> {
        let (upstream, connections) = (self.upstream.clone(), Arc::clone(&self.connections));
        let pools = self.of(site);
        Arc::clone(pools.origins.get_or_insert_with(|| site.pool(&upstream, &connections)))
    }

    /// The servers to which redirects of the site's origins may lead.
    pub fn redirect_hosts(&mut self, site: &Config) -> Option<Arc<Pool>> {
        self.of(site).redirect_hosts.clone()
    }

    /// Forgets the pools of all other sites.
    pub fn keep(&mut self, sites: &[Config]) {
        self.sites.retain(|name, _| sites.iter().any(|site| site.name.as_str() == name));
    }

    fn of(&mut self, site: &Config) -> &mut SitePool {
        let name = site.name.as_str().to_owned();
        if self.sites.get(&name).is_some_and(|pools| !pools.config.has_upstreams_of(site)) {
            self.sites.remove(&name);
        }
        let (upstream, connections) = (&self.upstream, &self.connections);
        self.sites.entry(name).or_insert_with(|| SitePool {
            config: site.clone(),
            origins: None,
            redirect_hosts: site.redirect_pool(upstream, connections),
        })
    }
}
