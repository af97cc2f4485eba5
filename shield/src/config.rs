//! `shield.toml`.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use tidegate_proxy::config::check::{self, Breach, Problem};
use tidegate_proxy::config::{
    Cache, Control, Drain, Geoip, Limits, Listen, Location, Log, NodeName, Server, Upstream, Viewers,
};
use tidegate_proxy::{Settings, site};
use tidegate_upstream::Address;

/// A shield, as `conf/shield.toml` shows it with its defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The node's name in Via, Cache-Status and CDN-Loop. Every node has its own.
    pub node: NodeName,
    /// Listeners.
    pub listen: Listen,
    /// Where this node is.
    pub location: Location,
    /// The cache.
    pub cache: Cache,
    /// Limits for one viewer.
    pub viewers: Viewers,
    /// How requests go to origins.
    pub upstream: Upstream,
    /// The access log.
    pub log: Log,
    /// The shutdown.
    pub drain: Drain,
    /// The nodes of the fleet.
    pub control: Control,
    /// The sites.
    pub site: Vec<site::Config>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: NodeName::literal("shield-1"),
            listen: Listen::on(
                SocketAddr::from(([0, 0, 0, 0], 8081)),
                SocketAddr::from(([127, 0, 0, 1], 9081)),
            ),
            cache: Cache::default(),
            viewers: Viewers::default(),
            location: Location::default(),
            upstream: Upstream::default(),
            log: Log::default(),
            drain: Drain::default(),
            control: Control::default(),
            site: vec![site::Config {
                origins: vec![Server::at(Address::literal("127.0.0.1", 8088))],
                ..site::Config::default()
            }],
        }
    }
}

impl Config {
    /// Parses a configuration; `file` is its name in errors.
    ///
    /// # Errors
    /// The first error, with file, line and column.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problem> {
        check::read(file, text, Self::check)
    }

    pub(crate) fn check(&self) -> Result<(), Breach> {
        tidegate_proxy::config::check(&self.cache, &self.viewers, &self.upstream)?;
        tidegate_proxy::config::listeners::check(&self.listen)?;
        tidegate_proxy::config::certificates::check(&self.listen, &self.upstream)?;
        if self.upstream.secret.is_some() {
            return Err(Breach::new(
                &["upstream", "secret"],
                "a shield has no shields, and origins get no secret",
            ));
        }
        self.control.check()?;
        site::config::check(&self.site)?;
        if self.site.iter().any(|site| site.origins.is_empty()) {
            return Err(Breach::new(&["site", "origins"], "a site at a shield needs at least one origin"));
        }
        if self.site.iter().any(|site| !site.token.keys.is_empty()) {
            let message = "edges check tokens and remove them; remove the keys here";
            return Err(Breach::new(&["site", "token", "keys"], message));
        }
        Ok(())
    }

    /// This configuration with the fields of `read` that change while the node runs.
    pub(crate) fn reloaded(&self, read: &Self) -> Self {
        Self { control: read.control.clone(), site: read.site.clone(), ..self.clone() }
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            node: self.node.clone(),
            listen: self.listen.clone(),
            cache: self.cache.clone(),
            viewers: self.viewers.clone(),
            limits: Limits::off(),
            geoip: Geoip::default(),
            location: self.location.clone(),
            // Its clients are edges.
            audience: tidegate_proxy::config::Audience::default(),
            upstream: self.upstream.clone(),
            log: self.log.clone(),
            drain: self.drain.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shown_configuration_is_the_default_and_complete() {
        let shown = include_str!("../../conf/shield.toml");
        assert_eq!(Config::parse("shield.toml", shown).unwrap(), Config::default());
        tidegate_proxy::config::shown::assert_complete(shown, &Config::default());
    }

    #[test]
    fn a_site_without_origins_is_refused() {
        let problem = Config::parse("shield.toml", "[[site]]\norigins = []\n").unwrap_err().to_string();
        assert!(problem.starts_with("shield.toml:2:1: site.origins: "), "{problem}");
    }
}
