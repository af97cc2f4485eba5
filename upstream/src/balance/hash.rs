//! Weighted rendezvous hashing: every key has an owner, and losing one member moves only that member's keys.
//!
//! Each member draws a number for the key, and the members stand in the order of what they have drawn. All nodes draw
//! the same numbers, because the hash is seeded with fixed ones, so all edges of a region agree on the owner without
//! talking to each other.

use std::cmp::Ordering;

/// The places of the members, the owner of `key` first, then who takes over, and so on.
///
/// A member is the [`seed`] of its name and its weight: one of weight 2 owns twice as many keys as one of weight 1.
/// Whoever has no weight (zero, negative, not a number) comes last. A weight that grows draws keys from the others and
/// moves none between them, which makes a slow start out of a growing weight.
pub fn order(key: &str, members: impl Iterator<Item = (u64, f64)>) -> Vec<usize> {
    let key = spread(key);
    let mut draws: Vec<Draw> = members
        .enumerate()
        .map(|(place, (seed, weight))| Draw { cost: weight, score: mix(seed ^ key), place })
        .collect();
    weigh(&mut draws);
    draws.sort_unstable_by(Draw::compare);
    // The standard library collects in place here: the draws' memory becomes the result's.
    draws.into_iter().map(|draw| draw.place).collect()
}

/// What [`order`] needs of a member's name. It never changes, so it is worth keeping.
pub fn seed(name: &str) -> u64 {
    fnv(name.as_bytes())
}

/// Where `key` lies in `0.0..1.0`: the same on all nodes, spread evenly, and independent of [`order`].
///
/// It says which keys move when a share of them has to: those above a limit. Were it not independent of the order, the keys
/// that move would be those of some owners, and not some keys of each.
pub fn point(key: &str) -> f64 {
    fraction(mix(spread(key).wrapping_add(POINT)))
}

/// What one member has drawn for one key.
struct Draw {
    cost: f64,
    score: u64,
    place: usize,
}

impl Draw {
    /// The lowest cost first. Equal costs are told apart by the score: the higher one first, which is the lower cost.
    fn compare(&self, other: &Self) -> Ordering {
        let by_score = || (other.score, other.place).cmp(&(self.score, self.place));
        self.cost.total_cmp(&other.cost).then_with(by_score)
    }
}

/// Turns the weights that stand in the place of the costs into costs.
///
/// Equal weights need no logarithm: the scores alone have the same order. That is not only cheaper, it is exact.
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

/// An exponentially distributed draw whose rate is the weight: the smallest one of several belongs to a member with a
/// probability of its weight over the sum of all (the logarithmic method of weighted distributed hash tables).
fn cost(score: u64, weight: f64) -> f64 {
    // Half a step above, because the logarithm of zero is infinite, which stands for having no weight.
    -(fraction(score) + f64::EPSILON / 2.0).ln() / weight
}

/// A number in `0.0..1.0` made of the upper 52 bits.
fn fraction(bits: u64) -> f64 {
    f64::from_bits(ONE | (bits >> 12)) - 1.0
}

/// What a key adds to the seeds. Turned by half, because FNV stirs the lower bits more than the upper ones.
fn spread(key: &str) -> u64 {
    fnv(key.as_bytes()).rotate_left(32)
}

/// FNV-1a: stable across versions, machines and processes, which a randomly seeded hasher is not.
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

/// The bits of 1.0: the sign and exponent of all numbers from 1 to below 2.
const ONE: u64 = 1.0_f64.to_bits();
/// Sets points apart from scores: the golden ratio in 64 bits, which is no member's seed but by accident.
const POINT: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests;
