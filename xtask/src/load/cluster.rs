//! The cluster for the players: origins, shields and two edges, each a process on loopback.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::players::Players;
use crate::bench::wire;
use crate::node::Node;
use crate::repository::Repository;

/// The running processes, which end when this value is dropped, the edges first.
pub(super) struct Cluster {
    edges: Vec<Node>,
    shields: Vec<Node>,
    origins: Vec<Node>,
    /// The shield that was ended.
    ended: Option<usize>,
}

impl Cluster {
    /// An origin, a shield, two edges.
    pub(super) fn start(repository: &Repository) -> Result<Self> {
        Self::of(repository, 1)
    }

    /// Two origins, two shields, two edges.
    pub(super) fn with_spares(repository: &Repository) -> Result<Self> {
        Self::of(repository, 2)
    }

    fn of(repository: &Repository, spares: usize) -> Result<Self> {
        let program = [repository.tidegate().into_os_string()];
        let folder = folder(repository)?;
        let start = |part: &'static str, number: usize, upstreams: &[Node]| {
            let name = format!("{part}-{number}");
            let urls: Vec<String> = upstreams.iter().map(Node::url).collect();
            let write = |serving, operators| configuration(part, &name, &urls, serving, operators);
            Node::start(&program, &folder, part, &name, write)
        };
        let origins =
            (1..=spares).map(|number| start("origin-stub", number, &[])).collect::<Result<Vec<_>>>()?;
        let shields =
            (1..=spares).map(|number| start("shield", number, &origins)).collect::<Result<Vec<_>>>()?;
        let edges = (1..=2).map(|number| start("edge", number, &shields)).collect::<Result<Vec<_>>>()?;
        Ok(Self { edges, shields, origins, ended: None })
    }

    /// The URL of the primary origin, for players without a tier.
    pub(super) fn origin(&self) -> String {
        self.origins.iter().take(1).map(Node::url).collect()
    }

    /// Players with the addresses of the cluster.
    pub(super) fn with_addresses(&self, players: Players) -> Players {
        let list = |nodes: &mut dyn Iterator<Item = String>| nodes.collect::<Vec<_>>().join(",");
        players
            .set("BASE_URL", &list(&mut self.edges.iter().map(Node::url)))
            .set("METRICS", &list(&mut self.shields.iter().chain(&self.edges).map(Node::operators)))
            .set("ORIGINS", &list(&mut self.origins.iter().map(Node::operators)))
    }

    /// Follows the output of the failover scenario: ends the shield that has the stream, or restarts it.
    pub(super) fn end_or_restart_shield(&mut self, line: &str) -> Result<()> {
        if line.contains("take it away now") {
            let busiest = self.busiest_shield()?;
            self.ended = Some(busiest);
            self.shields.get_mut(busiest).context("no such shield")?.kill()?;
        } else if line.contains("bring it back now") {
            let ended = self.ended.take().and_then(|ended| self.shields.get_mut(ended));
            ended.context("no shield has ended")?.restart()?;
        }
        Ok(())
    }

    /// The shield that follows most playlists, whose loss has an effect. It depends on the hash of the
    /// addresses.
    fn busiest_shield(&self) -> Result<usize> {
        let mut busiest = (0, 0.0);
        for (index, shield) in self.shields.iter().enumerate() {
            let followed = wire::metric(shield.operators_address(), "tidegate_followed_playlists")?;
            if followed > busiest.1 {
                busiest = (index, followed);
            }
        }
        Ok(busiest.0)
    }
}

fn configuration(
    part: &str,
    name: &str,
    upstreams: &[String],
    serving: SocketAddr,
    operators: SocketAddr,
) -> String {
    if part == "origin-stub" {
        return format!("listen = \"{serving}\"\nadmin = \"{operators}\"\n");
    }
    let (shields, site) = if part == "edge" {
        // All viewers of a load test come from one address.
        (format!("shields = {upstreams:?}\n[limits]\nexempt = [\"127.0.0.0/8\"]\n"), String::new())
    } else {
        (String::new(), format!("origins = {upstreams:?}\n"))
    };
    format!(
        "node = \"{name}\"\n{shields}[listen]\nviewers = \"{serving}\"\noperators = \"{operators}\"\n\
         [cache]\nmemory = \"256MiB\"\n[log]\naccess = \"off\"\n[[site]]\n{site}"
    )
}

/// A folder for the configurations. They stay for inspection.
fn folder(repository: &Repository) -> Result<PathBuf> {
    let folder = repository.target().join("load");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}
