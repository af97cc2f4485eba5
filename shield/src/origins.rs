//! The upstreams of a shield: a site's origins, in the order of the configuration.

use tidegate_proxy::site::OriginPools;
use tidegate_proxy::{Site, Sites};
use tidegate_upstream::SitePools;

use crate::Config;

/// The sites of a configuration. Each takes over what the site of the same name has learned.
pub(crate) fn sites(config: &Config, origins: &mut OriginPools, before: Option<&Sites>) -> Sites {
    origins.keep(&config.site);
    Sites::succeeding(before, &config.site, |site| {
        let candidates = SitePools::of(vec![origins.origins(site)]);
        let redirect_hosts = origins.redirect_hosts(site);
        Site { redirect_hosts, ..Site::new(site, candidates) }
    })
}
