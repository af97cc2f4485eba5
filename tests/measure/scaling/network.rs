//! The shields, as the edges of each region see them: real pools with an edge's real defaults, without a
//! socket.
//!
//! Edges of one region that see the same healthy shields differ only in their requests in flight. So there is
//! one pool for each region, and the edges use it one after the other: the requests of one edge have ended
//! before the next edge begins.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use tidegate_edge::Config;
use tidegate_proxy::config::{NodeName, Server};
use tidegate_upstream::limiter::{Class, Permit};
use tidegate_upstream::{
    Address, Bound, Connections, Coordinates, Order, Pool, SitePools, Upstream, UpstreamError, Viewpoint,
    World,
};

/// Regions with their places: Frankfurt, Virginia, Singapore.
const REGIONS: [(&str, f64, f64); 3] = [("eu", 50.11, 8.68), ("us", 39.04, -77.49), ("ap", 1.35, 103.82)];

/// A shield by its number; those of the first region are first.
pub(crate) type ShieldId = usize;

/// The number of regions, and of shields in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// One to three.
    pub(crate) regions: u32,
    /// At least one.
    pub(crate) shields: u32,
}

/// All regions' views of all shields.
pub(crate) struct Network {
    size: Size,
    views: Vec<View>,
}

/// The view of the edges of one region.
struct View {
    candidates: SitePools,
    ids: HashMap<Arc<str>, ShieldId>,
    sources: Vec<Arc<Upstream>>,
}

impl Size {
    /// The number of all shields.
    pub(crate) fn all(self) -> u32 {
        self.regions * self.shields
    }

    /// The same number as an index type.
    pub(crate) fn regions_count(self) -> usize {
        usize::try_from(self.regions).unwrap_or_default()
    }

    /// The region of a shield.
    pub(crate) fn region_of(self, shield: ShieldId) -> usize {
        shield / usize::try_from(self.shields.max(1)).unwrap_or(1)
    }
}

impl Network {
    /// All shields are up.
    pub(crate) fn new(size: Size) -> Result<Self> {
        let config = Config::default();
        let names: Vec<&str> = places(size).map(|(name, ..)| name).collect();
        let connections = config.upstream.connections(0)?;
        let views =
            names.iter().map(|name| View::new(size, name, &config, &connections)).collect::<Result<_>>()?;
        Ok(Self { size, views })
    }

    /// The same, after all edges have found out that these shields are down.
    pub(crate) fn without(size: Size, lost: &[ShieldId]) -> Result<Self> {
        let network = Self::new(size)?;
        let fall = Config::default().upstream.probe.fall;
        for view in &network.views {
            for shield in lost {
                let source = view.sources.get(*shield).context("a shield of that number")?;
                for _ in 0..fall {
                    source.record_probe(Err(UpstreamError::Refused));
                }
                ensure!(!source.state().is_available(), "{} is down", source.name());
            }
        }
        Ok(network)
    }

    /// The size of the network.
    pub(crate) fn size(&self) -> Size {
        self.size
    }

    /// The shield that receives a request of an edge of `region` for `key`, and the request's permit. `None`
    /// where no shield is up.
    pub(crate) async fn ask(
        &self,
        region: usize,
        key: &str,
        is_blocking: bool,
    ) -> Result<Option<(ShieldId, Permit)>> {
        let view = self.views.get(region).context("a region of that number")?;
        let candidates = view.candidates.for_key(key);
        let Some(source) = candidates.first().filter(|source| source.state().is_available()) else {
            return Ok(None);
        };
        let id = view.ids.get(source.name()).context("a shield of ours")?;
        Ok(Some((*id, source.acquire(class_of(is_blocking)).await?)))
    }

    /// Moves a request of an edge of `region` that was under way to a shield that is still up.
    pub(crate) async fn resume(&self, region: usize, shield: ShieldId, is_blocking: bool) -> Result<Permit> {
        let view = self.views.get(region).context("a region of that number")?;
        let source = view.sources.get(shield).context("a shield of that number")?;
        Ok(source.acquire(class_of(is_blocking)).await?)
    }
}

impl View {
    fn new(size: Size, region: &str, config: &Config, connections: &Arc<Connections>) -> Result<Self> {
        let options = || config.upstream.options(true, connections);
        let shields = places(size).zip(1..).flat_map(|((name, ..), network): (_, u32)| {
            (1..=size.shields).map(move |shield| (name, format!("http://10.{network}.0.{shield}:8081")))
        });
        let specs = shields.map(|(region, url)| {
            let url: Address = url.parse()?;
            Ok(Server::at(url).in_region(NodeName::literal(region)).tier(options(), None))
        });
        let specs = specs.collect::<Result<Vec<_>>>()?;
        let ids =
            specs.iter().enumerate().map(|(id, spec)| (Arc::from(spec.address.to_string()), id)).collect();
        let bound = Bound { epsilon: config.balance.excess.get(), floor: config.balance.requests_min };
        let viewpoint = Viewpoint { region: Some(region.to_owned()), ..Viewpoint::default() };
        let pool = Pool::new(
            Order::Hash(bound, World { viewpoint, places: coordinates(size)? }),
            specs,
            config.upstream.budget(),
        );
        let candidates = SitePools::of(vec![pool]);
        let mut view = Self { sources: Vec::new(), ids, candidates };
        view.sources = view.candidates.for_key("");
        view.sources.sort_by_key(|source| view.ids.get(source.name()).copied());
        Ok(view)
    }
}

fn places(size: Size) -> impl Iterator<Item = (&'static str, f64, f64)> {
    REGIONS.into_iter().take(usize::try_from(size.regions).unwrap_or(usize::MAX))
}

fn coordinates(size: Size) -> Result<BTreeMap<String, Coordinates>> {
    let place = |(name, latitude, longitude): (&str, f64, f64)| {
        Ok((name.to_owned(), Coordinates::new(latitude, longitude)?))
    };
    places(size).map(place).collect()
}

fn class_of(is_blocking: bool) -> Class {
    if is_blocking { Class::Blocking } else { Class::Fill }
}
