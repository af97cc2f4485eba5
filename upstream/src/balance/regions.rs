//! The order in which one edge tries the regions: the nearest first, by measurement.
//!
//! [`Regions`] keeps a smoothed round-trip time per region, and guesses it from the distance until there are
//! measurements. They make a ranking that changes slowly: a region that receives new keys begins with an
//! empty cache, and the origin pays for it. [`Plan`] says which share of the keys the first region takes, and
//! which keys move to the next when too few of its members are healthy.
//!
//! No clock and no socket: `now` is the time since a fixed moment, the same for all calls.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::balance::geo::{self, Coordinates};

mod path;
mod plan;

use path::Path;
pub use path::RoundTrip;
pub use plan::{Plan, RegionId, healthy_share};

/// A region as it is configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// Its place, if that is known.
    pub coordinates: Option<Coordinates>,
}

/// The viewpoint from which regions are seen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Viewpoint {
    /// The name of the region of this node.
    pub region: Option<String>,
    /// The place of this node; if unknown, it is the place of its region.
    pub coordinates: Option<Coordinates>,
    /// The names of regions that come first, in this order, whatever is measured. Unknown names are ignored.
    pub order: Vec<String>,
}

/// The regions, and the path to each.
#[derive(Debug, Clone)]
pub struct Regions {
    paths: Vec<Path>,
    ranking: Vec<RegionId>,
    /// The time since which the first region of a pair is clearly better than the second, which is ranked
    /// above it.
    claims: BTreeMap<(RegionId, RegionId), Duration>,
}

impl Regions {
    /// The regions as `viewpoint` sees them, before any measurement.
    pub fn new(viewpoint: &Viewpoint, regions: &[Region]) -> Self {
        let is_own = |region: &Region| viewpoint.region.as_ref() == Some(&region.name);
        let of_own_region = || regions.iter().find(|region| is_own(region))?.coordinates;
        let here = viewpoint.coordinates.or_else(of_own_region);
        let path = |region: &Region| {
            let distance = here.zip(region.coordinates).map(|(here, there)| here.distance_km(&there));
            let nothing_known = is_own(region).then_some(Duration::ZERO);
            let listed = viewpoint.order.iter().position(|name| *name == region.name);
            Path::new(distance.map(geo::round_trip).or(nothing_known), listed)
        };
        let paths: Vec<Path> = regions.iter().map(path).collect();
        let mut ranked: Vec<_> = paths.iter().zip(regions).enumerate().collect();
        // Listed regions come first, then those with a known distance; of equals, the own region.
        ranked.sort_by_key(|(_, (path, region))| {
            let rank = (path.listed().unwrap_or(usize::MAX), path.guess().unwrap_or(Duration::MAX));
            (rank, Reverse(is_own(region)))
        });
        let ranking = ranked.into_iter().map(|(region, _)| region).collect();
        Self { paths, ranking, claims: BTreeMap::new() }
    }

    /// Records the round-trip time of a probe of a member of `region`.
    pub fn observe(&mut self, region: RegionId, rtt: Duration, now: Duration) {
        if let Some(path) = self.paths.get_mut(region) {
            path.observe(rtt, now);
            self.compare(now);
        }
    }

    /// The regions in the order in which they are tried.
    ///
    /// One overtakes another when it has been clearly better for [`PATIENCE`] without interruption.
    pub fn ranking(&mut self, now: Duration) -> &[RegionId] {
        self.compare(now);
        // The region that is overtaken is not better, so no pair changes twice and there are fewer changes
        // than pairs.
        for _ in 0..self.ranking.len().pow(2) {
            let Some((from, to)) = self.due(now) else { break };
            if let Some(passed) = self.ranking.get_mut(to..=from) {
                passed.rotate_right(1);
            }
        }
        &self.ranking
    }

    /// The round-trip time to `region`, as far as it is known.
    pub fn round_trip(&self, region: RegionId, now: Duration) -> RoundTrip {
        self.paths.get(region).map_or(RoundTrip::Unknown, |path| path.round_trip(now))
    }

    /// Which keys go to which region, in the order of the last [`ranking`](Self::ranking).
    ///
    /// `shares` has the [`healthy_share`] of each region, by its id. A region without one has no healthy
    /// member.
    pub fn plan(&self, shares: &[f64]) -> Plan {
        Plan::new(&self.ranking, shares)
    }

    /// Records since when each region has been clearly better than those above it, and drops the claims that
    /// have ended.
    fn compare(&mut self, now: Duration) {
        let mut claims = BTreeMap::new();
        for (rank, holder) in self.ranking.iter().enumerate() {
            for challenger in self.ranking.iter().skip(rank + 1) {
                let pair = (*challenger, *holder);
                if self.is_clearly_better(pair, now) {
                    claims.insert(pair, self.claims.get(&pair).copied().unwrap_or(now));
                }
            }
        }
        self.claims = claims;
    }

    fn is_clearly_better(&self, (challenger, holder): (RegionId, RegionId), now: Duration) -> bool {
        let (Some(challenger), Some(holder)) = (self.paths.get(challenger), self.paths.get(holder)) else {
            return false;
        };
        if challenger.listed().is_some() || holder.listed().is_some() {
            return false;
        }
        match (challenger.round_trip(now).duration(), holder.round_trip(now).duration()) {
            (Some(new), Some(old)) => new < old.mul_f64(CLEARLY) && old.saturating_sub(new) > NOTICEABLE,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// The ranks from and to which the next region rises.
    fn due(&self, now: Duration) -> Option<(usize, usize)> {
        self.ranking
            .iter()
            .enumerate()
            .find_map(|(from, challenger)| Some((from, self.overtaken_by(*challenger, from, now)?)))
    }

    /// The rank to which `challenger` may rise: that of the uppermost region which it may overtake.
    ///
    /// The regions in between are overtaken as well. They need not be clearly worse, but they must not be
    /// better: a better region has a claim of its own, and waits for its time.
    fn overtaken_by(&self, challenger: RegionId, from: usize, now: Duration) -> Option<usize> {
        let own = self.estimate(challenger, now);
        let above = self.ranking.get(..from)?;
        let reachable = above.iter().rev().take_while(|passed| self.estimate(**passed, now) >= own).count();
        let may_overtake = |holder: &RegionId| {
            let since = self.claims.get(&(challenger, *holder));
            since.is_some_and(|since| now.saturating_sub(*since) >= PATIENCE)
                && [challenger, *holder]
                    .iter()
                    .all(|region| self.paths.get(*region).is_some_and(|path| path.has_enough_samples(now)))
        };
        let uppermost = from - reachable;
        above.iter().skip(uppermost).position(may_overtake).map(|rank| uppermost + rank)
    }

    fn estimate(&self, region: RegionId, now: Duration) -> Duration {
        self.round_trip(region, now).duration().unwrap_or(Duration::MAX)
    }
}

/// Less than four fifths of the other's round-trip time is clearly better. Smoothed times of one path differ
/// by some percent from one moment to the next.
const CLEARLY: f64 = 0.8;
/// A difference that viewers do not notice is not worth a move: inside a city, 0.4 ms are a fifth less than
/// 0.5 ms.
const NOTICEABLE: Duration = Duration::from_millis(2);
/// Longer than a burst of other traffic or a route change; short beside the time for which viewers watch.
pub const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
