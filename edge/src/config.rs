//! `edge.toml`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_proxy::config::check::{self, Breach, Problem};
use tidegate_proxy::config::units::{Period, Share};
use tidegate_proxy::config::{
    Audience, Cache, Control, Drain, Geoip, Limits, Listen, Location, Log, NodeName, Server, Upstream,
    Viewers,
};
use tidegate_proxy::{Settings, site};
use tidegate_upstream::{Address, Coordinates, Viewpoint, World};

/// An edge, as `conf/edge.toml` shows it with its defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The node's name in Via, Cache-Status and CDN-Loop. Every node has its own.
    pub node: NodeName,
    /// The shields, `http://host:port`. With none, requests go to each site's origins.
    pub shields: Vec<Server>,
    /// Listeners.
    pub listen: Listen,
    /// Regions whose shields come first, in this order; the others follow by round-trip time.
    pub region_order: Vec<String>,
    /// Where this node is.
    pub location: Location,
    /// The coordinates of the regions, by name.
    pub regions: BTreeMap<String, Coordinates>,
    /// The cache.
    pub cache: Cache,
    /// Limits for one viewer.
    pub viewers: Viewers,
    /// Limits for one address.
    pub limits: Limits,
    /// The database of countries.
    pub geoip: Geoip,
    /// How viewers are counted.
    pub audience: Audience,
    /// When an overloaded shield loses keys to the next one.
    pub balance: Balance,
    /// How requests go to shields.
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

/// When an overloaded shield loses some of its keys to the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Balance {
    /// How far a shield may exceed its fair share of the requests in flight.
    pub excess: Share,
    /// Below this number of requests in flight no key moves: each move costs the origin another request.
    pub requests_min: usize,
}

impl Default for Balance {
    fn default() -> Self {
        Self { excess: Share::percent(25), requests_min: 64 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: NodeName::literal("edge-1"),
            shields: vec![Server::at(Address::literal("127.0.0.1", 8081))],
            listen: Listen::default(),
            cache: Cache::default(),
            viewers: Viewers::default(),
            limits: Limits::default(),
            geoip: Geoip::default(),
            audience: Audience::default(),
            region_order: Vec::new(),
            location: Location::default(),
            regions: BTreeMap::new(),
            balance: Balance::default(),
            // Longer than the timeouts of a shield, which may use them up before it fails over to another
            // origin.
            upstream: Upstream {
                first_byte_timeout: Period::secs(20),
                between_bytes_timeout: Period::secs(20),
                rate_window: Period::secs(3),
                ..Upstream::default()
            },
            log: Log::default(),
            drain: Drain::default(),
            control: Control::default(),
            site: vec![site::Config::default()],
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
        self.upstream.read_secret()?;
        self.audience.check()?;
        self.control.check()?;
        site::config::check(&self.site)?;
        if self.geoip.database.is_none() && self.site.iter().any(|site| site.access.needs_countries()) {
            return Err(Breach::new(&["geoip", "database"], "rules by country need a database of countries"));
        }
        for shield in &self.shields {
            shield.check(&["shields"])?;
        }
        let own_trust = self.upstream.tls.ca.is_some() || self.upstream.tls.server_name.is_some();
        let is_direct =
            |site: &&site::Config| site.direct && site.origins.iter().any(|origin| origin.url().is_tls());
        if !self.shields.is_empty() && own_trust && self.site.iter().any(|site| is_direct(&site)) {
            let message =
                "https:// origins cannot be used where [upstream.tls] sets ca or server_name for the shields";
            return Err(Breach::new(&["site", "direct"], message));
        }
        let is_known = |name: &str| {
            self.regions.contains_key(name) || self.shields.iter().any(|shield| shield.region() == Some(name))
        };
        if let Some(name) = self.region_order.iter().find(|name| !is_known(name)) {
            let message = format!("{name:?} is not in [regions], and no shield has this region");
            return Err(Breach::new(&["region_order"], message));
        }
        if self.shields.is_empty() && self.site.iter().any(|site| site.origins.is_empty()) {
            let message = "without shields, every site needs at least one origin";
            return Err(Breach::new(&["shields"], message));
        }
        Ok(())
    }

    /// This configuration with the fields of `read` that change while the node runs.
    pub(crate) fn reloaded(&self, read: &Self) -> Self {
        Self {
            shields: read.shields.clone(),
            region_order: read.region_order.clone(),
            regions: read.regions.clone(),
            balance: read.balance,
            control: read.control.clone(),
            site: read.site.clone(),
            ..self.clone()
        }
    }

    /// Whether another configuration has the same shields, in the same order.
    pub(crate) fn has_shields_of(&self, other: &Self) -> bool {
        self.shields == other.shields
            && self.region_order == other.region_order
            && self.regions == other.regions
            && self.balance == other.balance
    }

    /// The regions and their locations, as this node sees them.
    pub(crate) fn world(&self) -> World {
        World {
            viewpoint: Viewpoint {
                region: self.location.region.as_ref().map(|region| region.as_str().to_owned()),
                coordinates: self.location.at,
                order: self.region_order.clone(),
            },
            places: self.regions.clone(),
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            node: self.node.clone(),
            listen: self.listen.clone(),
            cache: self.cache.clone(),
            viewers: self.viewers.clone(),
            limits: self.limits.clone(),
            geoip: self.geoip.clone(),
            location: self.location.clone(),
            audience: self.audience.clone(),
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
        let shown = include_str!("../../conf/edge.toml");
        assert_eq!(Config::parse("edge.toml", shown).unwrap(), Config::default());
        tidegate_proxy::config::shown::assert_complete(shown, &Config::default());
    }

    #[test]
    fn an_edge_without_any_upstream_is_refused() {
        let problem = Config::parse("edge.toml", "shields = []\n").unwrap_err().to_string();
        assert!(problem.starts_with("edge.toml:1:1: shields: "), "{problem}");
    }
}
