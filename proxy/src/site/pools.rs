//! The origins of sites as pools.

use std::sync::Arc;

use tidegate_upstream::{Order, Pool, Spec, Trust};

use super::config::{Config, units::Period};
use crate::config::Upstream;

/// Makes the pools of a tier's sites. Sites with the same origins, asked in the same way, share one: its limits are the
/// origins' limits, and one probe tells for all.
#[derive(Debug)]
pub struct Pools<'a> {
    upstream: &'a Upstream,
    trust: Arc<Trust>,
    made: Vec<(Vec<Spec>, Arc<Pool>)>,
}

impl<'a> Pools<'a> {
    /// For origins that are asked as `upstream` says.
    pub fn new(upstream: &'a Upstream, trust: &Arc<Trust>) -> Self {
        Self { upstream, trust: Arc::clone(trust), made: Vec::new() }
    }

    /// The origins of `site`.
    pub fn of(&mut self, site: &Config) -> Arc<Pool> {
        let specs = self.specs(site);
        let known = self.made.iter().find(|(known, _)| are_alike(known, &specs));
        if let Some((_, pool)) = known {
            return Arc::clone(pool);
        }
        let pool = Pool::new(Order::Groups, specs.clone(), self.upstream.budget());
        self.made.push((specs, Arc::clone(&pool)));
        pool
    }

    fn specs(&self, site: &Config) -> Vec<Spec> {
        let mut options = self.upstream.options(false, &self.trust);
        let deadlines = &mut options.deadlines;
        for (deadline, own) in [
            (&mut deadlines.connect, site.timeouts.connect),
            (&mut deadlines.first_byte, site.timeouts.first_byte),
            (&mut deadlines.stall, site.timeouts.stall),
        ] {
            *deadline = own.map_or(*deadline, Period::get);
        }
        let has_groups = site.origins.iter().any(|origin| origin.group() > 0);
        let specs = site.origins.iter().zip(0..).map(|(origin, place)| {
            let host = site.origin_host.clone().unwrap_or_else(|| origin.url().authority());
            let spec = origin.spec(options.clone(), Some(host), &site.origin_headers);
            // Where no groups are named, the first is the primary and the others back it up in their order.
            Spec { group: if has_groups { spec.group } else { place }, ..spec }
        });
        specs.collect()
    }
}

/// Whether two sites say the same of their origins. What they do not say is the same for all sites of a tier.
fn are_alike(one: &[Spec], other: &[Spec]) -> bool {
    let said = |spec: &Spec| {
        let Spec { address, host, headers, weight, group, region, is_tier, options } = spec.clone();
        (address, host, headers, weight, group, region, is_tier, options.deadlines)
    };
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| said(one) == said(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    #[tokio::test]
    async fn sites_that_ask_the_same_origins_in_the_same_way_share_a_pool() {
        let upstream = Upstream::default();
        let trust = upstream.trust(2).unwrap();
        let mut pools = Pools::new(&upstream, &trust);
        let first = pools.of(&site("origins = [\"http://a\", \"http://b\"]"));
        let same = site("hosts = [\"other.example\"]\norigins = [\"http://a\", \"http://b\"]");
        assert!(Arc::ptr_eq(&first, &pools.of(&same)));
        for other in [
            "origins = [\"http://b\", \"http://a\"]",
            "origins = [\"http://a\"]",
            "origins = [\"http://a\", \"http://b\"]\norigin_host = \"c\"",
            "origins = [\"http://a\", \"http://b\"]\n[timeouts]\nconnect = \"9s\"",
        ] {
            assert!(!Arc::ptr_eq(&first, &pools.of(&site(other))), "{other}");
        }
    }
}
