//! The regions of a pool's members, ordered by what is known of them so far.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::balance::geo::Coordinates;
use crate::balance::regions::{Plan, Region, RegionId, Regions, RoundTrip, Viewpoint};

/// The viewpoint from which regions are seen, and their places.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct World {
    /// Where this node is, and which regions it prefers.
    pub viewpoint: Viewpoint,
    /// The places of the regions, as far as they are known.
    pub places: BTreeMap<String, Coordinates>,
}

/// The regions of one pool.
#[derive(Debug)]
pub(crate) struct Geography {
    began: Instant,
    names: Vec<Arc<str>>,
    regions: Mutex<Regions>,
}

impl Geography {
    /// The regions of the members. Members without a region share one without a name.
    pub(crate) fn new<'a>(world: &World, members: impl Iterator<Item = Option<&'a Arc<str>>>) -> Self {
        let mut names: Vec<Arc<str>> = Vec::new();
        for name in members.map(named) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let regions = names
            .iter()
            .map(|name| Region { name: name.to_string(), coordinates: world.places.get(&**name).copied() });
        let regions = Mutex::new(Regions::new(&world.viewpoint, &regions.collect::<Vec<_>>()));
        Self { began: Instant::now(), names, regions }
    }

    /// A member of `region` responded after this round-trip time.
    pub(crate) fn observe(&self, region: Option<&Arc<str>>, round_trip: Duration) {
        if let Some(region) = self.id(region) {
            self.regions.lock().observe(region, round_trip, self.began.elapsed());
        }
    }

    /// The index of a member's region in the lists of [`Geography::plan`].
    pub(crate) fn id(&self, region: Option<&Arc<str>>) -> Option<RegionId> {
        let name = named(region);
        self.names.iter().position(|known| *known == name)
    }

    /// Which keys go to which region, given the healthy share of each.
    pub(crate) fn plan(&self, shares: &[f64]) -> Plan {
        let mut regions = self.regions.lock();
        regions.ranking(self.began.elapsed());
        regions.plan(shares)
    }

    /// The number of regions.
    pub(crate) fn count(&self) -> usize {
        self.names.len()
    }

    /// The regions in the order in which they are tried, each with its round-trip time.
    pub(crate) fn ranking(&self) -> Vec<(Arc<str>, RoundTrip)> {
        let now = self.began.elapsed();
        let mut regions = self.regions.lock();
        let ranking = regions.ranking(now).to_vec();
        let named = |id: RegionId| Some((Arc::clone(self.names.get(id)?), regions.round_trip(id, now)));
        ranking.into_iter().filter_map(named).collect()
    }
}

fn named(region: Option<&Arc<str>>) -> Arc<str> {
    region.cloned().unwrap_or_default()
}
