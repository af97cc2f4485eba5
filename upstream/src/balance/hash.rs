//! Weighted rendezvous hashing: every key has an owner, and losing one member moves only that member's keys.
//!
//! Each member draws a number for the key, and the members are sorted by their numbers. All nodes draw the
//! same numbers, because the seeds of the hash are fixed. So all edges of a region agree on the owner without
//! communication.

use std::cmp::Ordering;

/// The indexes of the members: the owner of `key` first, then its successors.
///
/// A member is the [`seed`] of its name and its weight: weight 2 owns twice as many keys as weight 1. A
/// member without weight (zero, negative, not a number) comes last. A weight that grows draws keys from the
/// others and moves none between them, so that a growing weight is a slow start.
pub fn order(key: &str, members: impl Iterator<Item = (u64, f64)>) -> Vec<usize> {
    let key = spread(key);
    let mut draws: Vec<Draw> = members
        .enumerate()
        .map(|(place, (seed, weight))| Draw { cost: weight, score: mix(seed ^ key), place })
        .collect();
    weigh(&mut draws);
    draws.sort_unstable_by(Draw::compare);
    // The standard library collects in place here: the memory of the draws becomes the result's.
    draws.into_iter().map(|draw| draw.place).collect()
}

/// The part of a member's name that [`order`] needs. It never changes, so it is worth keeping.
pub fn seed(name: &str) -> u64 {
    fnv(name.as_bytes())
}

/// Where `key` lies in `0.0..1.0`: the same on all nodes, spread evenly, and independent of [`order`].
///
/// It selects the keys that move when a share of them must: those above a limit. If it depended on the order,
/// all keys of a few owners would move, instead of a few keys of each.
pub fn point(key: &str) -> f64 {
    fraction(mix(spread(key).wrapping_add(POINT)))
}

/// The draw of one member for one key.
struct Draw {
    cost: f64,
    score: u64,
    place: usize,
}

impl Draw {
    /// The lowest cost first. Of equal costs, the higher score comes first, which is the lower cost.
    fn compare(&self, other: &Self) -> Ordering {
        let by_score = || (other.score, other.place).cmp(&(self.score, self.place));
        self.cost.total_cmp(&other.cost).then_with(by_score)
    }
}

/// Turns the weights that are stored as costs into costs.
///
/// Equal weights need no logarithm: the scores alone have the same order. That is cheaper, and exact.
fn weigh(draws: &mut [Draw]) {
    let mut weights = draws.iter().map(|draw| draw.cost).filter(|weight| *weight > 0.0);
    let first = weights.next().unwrap_or(1.0);
    let equal = weights.all(|weight| weight.total_cmp(&first).is_eq());
    for draw in draws {
        draw.cost = match draw.cost > 0.0 {
            true if equal => 0.0,
            true => cost(draw.score, draw.cost),
            false => f64::INFINITY,
        };
    }
}

/// An exponentially distributed draw with the weight as its rate: the smallest draw belongs to a member with
/// the probability of its weight over the sum of all (the logarithmic method of weighted distributed hash
/// tables).
fn cost(score: u64, weight: f64) -> f64 {
    // Half a step above, because the logarithm of zero is infinite, which means no weight.
    -(fraction(score) + f64::EPSILON / 2.0).ln() / weight
}

/// A number in `0.0..1.0` made of the upper 52 bits.
fn fraction(bits: u64) -> f64 {
    f64::from_bits(ONE | (bits >> 12)) - 1.0
}

/// The part of a key in the scores. Rotated by half, because FNV mixes the lower bits more than the upper
/// ones.
fn spread(key: &str) -> u64 {
    fnv(key.as_bytes()).rotate_left(32)
}

/// FNV-1a: stable across versions, machines and processes, unlike a randomly seeded hasher.
fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The finaliser of `SplitMix64`: spreads the difference of two similar names over all bits.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The bits of 1.0: the sign and exponent of all numbers in `1.0..2.0`.
const ONE: u64 = 1.0_f64.to_bits();
/// Separates points from scores: the golden ratio in 64 bits, which is a member's seed only by accident.
const POINT: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests;
