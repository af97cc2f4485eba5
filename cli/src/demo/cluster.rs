//! Starts the demo's tiers, each with its own configuration on free loopback ports.

mod tiers;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Options;
use super::addresses::Addresses;
use super::observer::{Observer, Watched, WatchedOrigin};
use super::own_origin::OwnOrigin;
use super::viewers::fetch::Client;

/// All tiers of a running demo.
#[derive(Debug)]
pub(crate) struct Cluster {
    origins: Vec<Site>,
    shields: Vec<Node>,
    edges: Vec<Node>,
    stream: Option<String>,
    /// The running tiers; none of them ends before the demo does.
    running_tiers: JoinSet<anyhow::Result<()>>,
}

/// An edge or a shield.
#[derive(Debug)]
struct Node {
    name: String,
    addr: SocketAddr,
    operators: SocketAddr,
}

/// An origin: the demo's own or the user's.
#[derive(Debug)]
struct Site {
    name: String,
    url: String,
    own: Option<Arc<OwnOrigin>>,
}

impl Cluster {
    /// Starts origins (unless the user provides some), a shield, and two edges, in this order.
    pub(crate) async fn start(
        options: &Options,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let origins = origins(&options.origin, tasks, stop).await?;
        let stream = if options.origin.is_empty() { Some(STREAM.to_owned()) } else { options.stream.clone() };
        let mut cluster =
            Self { origins, shields: Vec::new(), edges: Vec::new(), stream, running_tiers: JoinSet::new() };

        let urls: Vec<String> = cluster.origins.iter().map(|origin| origin.url.clone()).collect();
        let shield = tiers::shield("shield-1", &urls).await.context("the shield cannot start")?;
        cluster.shields.push(Node::of("shield-1", shield.addr()?, shield.admin_addr()?));
        cluster.running_tiers.spawn(shield.run(stop.clone()));

        let shields: Vec<String> = cluster.shields.iter().map(Node::url).collect();
        for name in ["edge-1", "edge-2"] {
            let edge = tiers::edge(name, &shields).await.with_context(|| format!("{name} cannot start"))?;
            cluster.edges.push(Node::of(name, edge.addr()?, edge.admin_addr()?));
            cluster.running_tiers.spawn(edge.run(stop.clone()));
        }
        Ok(cluster)
    }

    /// The addresses of the edges for viewers.
    pub(crate) fn edges(&self) -> Vec<SocketAddr> {
        self.edges.iter().map(|edge| edge.addr).collect()
    }

    /// The URL of each edge, and a client for it.
    pub(crate) fn clients(&self) -> Vec<(String, Client)> {
        self.edges.iter().map(|edge| (edge.url(), Client::new(edge.addr))).collect()
    }

    /// The primary origin, if it is the demo's own.
    pub(crate) fn primary(&self) -> Option<Arc<OwnOrigin>> {
        self.origins.first().and_then(|origin| origin.own.clone())
    }

    /// All addresses.
    pub(crate) fn addresses(&self, page: &TcpListener) -> anyhow::Result<Addresses> {
        let page = page.local_addr().context("the page has no address")?;
        let nodes = self.edges.iter().chain(&self.shields);
        let mut admin: BTreeMap<_, _> =
            nodes.map(|node| (node.name.clone(), format!("http://{}", node.operators))).collect();
        admin.extend(self.origins.iter().filter_map(|origin| {
            let own = origin.own.as_ref()?;
            Some((origin.name.clone(), format!("http://{}", own.admin_addr())))
        }));
        Ok(Addresses {
            page: format!("http://{page}/"),
            edges: self.edges.iter().map(Node::url).collect(),
            shields: self.shields.iter().map(Node::url).collect(),
            origins: self.origins.iter().map(|origin| origin.url.clone()).collect(),
            admin,
            stream: self.stream.clone(),
        })
    }

    /// An observer that reads the counters of all tiers.
    pub(crate) fn observer(&self) -> Observer {
        let watched = |node: &Node| Watched::new(node.name.clone(), node.url(), node.operators);
        let origins = self.origins.iter().map(|origin| WatchedOrigin {
            name: origin.name.clone(),
            url: origin.url.clone(),
            own: origin.own.clone(),
        });
        Observer::new(
            self.stream.clone(),
            self.edges.iter().map(watched).collect(),
            self.shields.iter().map(watched).collect(),
            origins.collect(),
        )
    }

    /// Waits until a tier ends by itself, which is an error.
    pub(crate) async fn broken(&mut self) -> anyhow::Result<()> {
        match self.running_tiers.join_next().await {
            Some(Ok(Ok(()))) | None => bail!("a tier ended unexpectedly"),
            Some(Ok(Err(error))) => Err(error.context("a tier failed")),
            Some(Err(error)) => Err(error).context("a tier failed"),
        }
    }

    /// Waits until every tier has ended, after the stop.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<()> {
        while let Some(tier) = self.running_tiers.join_next().await {
            tier.context("a tier failed")?.context("a tier failed during shutdown")?;
        }
        Ok(())
    }
}

impl Node {
    fn of(name: &str, addr: SocketAddr, operators: SocketAddr) -> Self {
        Self { name: name.to_owned(), addr, operators }
    }

    fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

/// The user's origins, or two of our own.
async fn origins(
    urls: &[String],
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> anyhow::Result<Vec<Site>> {
    if urls.len() > ORIGINS_MAX {
        bail!("--origin can be set at most twice: primary and backup");
    }
    let mut origins = Vec::new();
    for index in 0..ORIGINS_MAX {
        let name = format!("origin-{}", index + 1);
        if urls.is_empty() {
            let own = OwnOrigin::start(tasks, stop).await.with_context(|| format!("{name} cannot start"))?;
            origins.push(Site { name, url: format!("http://{}", own.addr()), own: Some(Arc::new(own)) });
        } else if let Some(url) = urls.get(index) {
            origins.push(Site { name, url: url.clone(), own: None });
        }
    }
    Ok(origins)
}

const ORIGINS_MAX: usize = 2;
/// The playlist of the demo's own origins.
const STREAM: &str = "/live/demo/ts/index.m3u8";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::viewers::fetch::Fetch;

    fn options(origin: &[&str]) -> Options {
        let origin = origin.iter().map(|&url| url.to_owned()).collect();
        Options { port: 0, origin, stream: None, json: true, seconds: None }
    }

    #[tokio::test]
    async fn an_object_is_fetched_once_for_both_edges_and_others_arrive_when_the_primary_is_down() {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let mut cluster = Cluster::start(&options(&[]), &tasks, &stop).await.unwrap();
        crate::demo::ready::wait(&cluster.clients(), STREAM, |_| {}).await.unwrap();
        let primary = cluster.primary().unwrap();
        let before = primary.requests();
        for edge in cluster.edges() {
            assert_eq!(Client::new(edge).drain("/bytes/100000/before").await.unwrap(), 100_000);
        }
        assert_eq!(primary.requests(), before + 1);

        primary.switch(false).await.unwrap();
        for edge in cluster.edges() {
            assert_eq!(Client::new(edge).drain("/bytes/100000/after").await.unwrap(), 100_000);
        }
        stop.cancel();
        cluster.ended().await.unwrap();
        tasks.close();
        tasks.wait().await;
    }

    #[tokio::test]
    async fn the_users_origin_replaces_the_demos_own() {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let own = OwnOrigin::start(&tasks, &stop).await.unwrap();
        let url = format!("http://{}", own.addr());
        let cluster = Cluster::start(&options(&[&url]), &tasks, &stop).await.unwrap();
        assert!(cluster.primary().is_none());
        for edge in cluster.edges() {
            assert_eq!(Client::new(edge).drain("/bytes/1000/x").await.unwrap(), 1000);
        }
        assert_eq!(own.requests(), 1);
        let page = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = cluster.addresses(&page).unwrap();
        assert_eq!((addresses.origins, addresses.stream), (vec![url], None));
        assert_eq!(addresses.admin.keys().collect::<Vec<_>>(), ["edge-1", "edge-2", "shield-1"]);
    }

    #[tokio::test]
    async fn a_third_origin_is_refused() {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let three = ["http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"];
        let error = Cluster::start(&options(&three), &tasks, &stop).await.unwrap_err();
        assert!(error.to_string().contains("at most twice"), "{error}");
    }
}
