//! Which keys go to which region while some of their members are down.
//!
//! Envoy's priority levels are the model. A region can do a little more than its share, so losing one member
//! of many moves nothing. What it cannot do moves to the next region, key by key, so that each object is
//! still fetched once.

/// A region by its index in the list that [`Regions`](super::Regions) is made of.
pub type RegionId = usize;

/// The part of the keys that each region takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The regions with healthy members in the order of the ranking, then the others.
    parts: Vec<Part>,
}

/// The keys from the end of the part before up to a point.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Part {
    region: RegionId,
    end: f64,
}

/// The weight of the healthy members over the weight of all, from pairs (healthy, weight).
///
/// Weights are those of the configuration, without slow start: a member that warms up is healthy.
pub fn healthy_share(members: impl Iterator<Item = (bool, f64)>) -> f64 {
    let (mut healthy, mut all) = (0.0, 0.0);
    for (is_healthy, weight) in members {
        let weight = weight.max(0.0);
        all += weight;
        healthy += if is_healthy { weight } else { 0.0 };
    }
    if all > 0.0 { healthy / all } else { 0.0 }
}

impl Plan {
    pub(super) fn new(ranking: &[RegionId], shares: &[f64]) -> Self {
        let capacity = |region: RegionId| capacity(shares.get(region).copied().unwrap_or(0.0));
        // If all of them together cannot do everything, each does more than it should, in proportion.
        let total = ranking.iter().map(|region| capacity(*region)).sum::<f64>().min(1.0);
        let (healthy, others): (Vec<_>, Vec<_>) = ranking.iter().partition(|region| capacity(**region) > 0.0);
        let mut end = 0.0;
        let mut parts: Vec<Part> = healthy
            .into_iter()
            .map(|region| {
                end = (end + capacity(region) / total).min(1.0);
                Part { region, end }
            })
            .collect();
        // Rounding must not leave a gap behind the last one.
        if let Some(last) = parts.last_mut() {
            last.end = 1.0;
        }
        // An empty part, unless no region has a healthy member: then the nearest region takes all keys,
        // because a wrong belief must not cost a response.
        parts.extend(others.into_iter().map(|region| Part { region, end: 1.0 }));
        Self { parts }
    }

    /// The region that takes the keys at `point` (see [`hash::point`](crate::balance::hash::point)), then the
    /// others in the order of the ranking, those without healthy members last.
    pub fn order_for(&self, point: f64) -> impl Iterator<Item = RegionId> {
        let taker = self.parts.iter().position(|part| point < part.end).unwrap_or_default();
        let regions = || self.parts.iter().map(|part| part.region);
        let others = regions().enumerate().filter(move |(place, _)| *place != taker);
        regions().nth(taker).into_iter().chain(others.map(|(_, region)| region))
    }

    /// Each region and its part of all keys; the parts add up to 1.
    pub fn proportions(&self) -> impl Iterator<Item = (RegionId, f64)> {
        self.parts.iter().scan(0.0, |begin, part| {
            let proportion = part.end - *begin;
            *begin = part.end;
            Some((part.region, proportion))
        })
    }
}

/// How much of all keys a region can take. Not a number counts as nothing.
fn capacity(share: f64) -> f64 {
    (share.max(0.0) * OVERPROVISIONING).min(1.0)
}

/// Envoy's factor: a region does everything while five sevenths of it (72 %) are healthy. Regions are built
/// with room to spare, and spilling costs the origin a second fetch of what moves.
const OVERPROVISIONING: f64 = 1.4;

#[cfg(test)]
mod tests;
