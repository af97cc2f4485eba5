//! `edge.toml`.

use serde::{Deserialize, Serialize};
use tidegate_proxy::config::check::{self, Breach, Problem};
use tidegate_proxy::config::units::Period;
use tidegate_proxy::config::{Cache, Drain, Listen, Log, NodeName, Upstream, Viewers};
use tidegate_proxy::{Settings, site};
use tidegate_upstream::Address;

/// An edge, as `conf/edge.toml` shows it with its defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The node's name in Via, Cache-Status and CDN-Loop; every node has its own.
    pub node: NodeName,
    /// The shields, `http://host:port`. Without any, each site's origins are asked directly.
    pub shields: Vec<Address>,
    /// Where it listens.
    pub listen: Listen,
    /// What it holds.
    pub cache: Cache,
    /// What a viewer may do.
    pub viewers: Viewers,
    /// How shields are asked.
    pub upstream: Upstream,
    /// The access log.
    pub log: Log,
    /// How it ends.
    pub drain: Drain,
    /// The sites that it serves.
    pub site: Vec<site::Config>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: NodeName::literal("edge-1"),
            shields: vec![Address::literal("127.0.0.1", 8081)],
            listen: Listen::default(),
            cache: Cache::default(),
            viewers: Viewers::default(),
            // A shield that goes over to another origin may take its own deadlines for it.
            upstream: Upstream {
                first_byte_timeout: Period::secs(20),
                stall_timeout: Period::secs(20),
                ..Upstream::default()
            },
            log: Log::default(),
            drain: Drain::default(),
            site: vec![site::Config::default()],
        }
    }
}

impl Config {
    /// Reads a configuration; `file` is its name for errors.
    ///
    /// # Errors
    /// The first thing that is wrong, with file, line and column.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problem> {
        check::read(file, text, Self::check)
    }

    fn check(&self) -> Result<(), Breach> {
        tidegate_proxy::config::check(&self.cache, &self.viewers, &self.upstream)?;
        site::config::check(&self.site)?;
        if self.shields.is_empty() && self.site.iter().any(|site| site.origins.is_empty()) {
            let message = "there are no shields, and a site has no origins: nobody could be asked";
            return Err(Breach::new(&["shields"], message));
        }
        Ok(())
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            node: self.node.clone(),
            listen: self.listen.clone(),
            cache: self.cache.clone(),
            viewers: self.viewers.clone(),
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
    fn an_edge_that_could_ask_nobody_is_refused() {
        let problem = Config::parse("edge.toml", "shields = []\n").unwrap_err().to_string();
        assert!(problem.starts_with("edge.toml:1:1: shields: "), "{problem}");
    }
}
