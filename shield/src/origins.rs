//! The upstreams of a shield: a site's origins, in the order of the configuration.

use std::sync::Arc;

use tidegate_proxy::site::OriginPools;
use tidegate_proxy::{Site, Sites};
use tidegate_upstream::SitePools;

use crate::Config;

/// The sites of a configuration. Each takes over what the site of the same name has learned.
pub(crate) fn sites(config: &Config, origins: &mut OriginPools, before: Option<&Sites>) -> Sites {
    origins.keep(&config.site);
    let mut sites = Vec::new();
    for site in &config.site {
        let candidates = SitePools::of(vec![origins.origins(site)]);
        let redirect_hosts = origins.redirect_hosts(site);
        let made = Site { redirect_hosts, ..Site::new(site, candidates) };
        let before = before.and_then(|before| before.named(site.name.as_str()));
        sites.push((site.clone(), Arc::new(made.succeeding(before))));
    }
    Sites::new(sites)
}
