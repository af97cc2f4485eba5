//! Rendezvous hashing: every key has an owner, and losing one source moves only that source's keys.

/// The indices of `names`, the owner of `key` first, then who takes over, and so on.
///
/// All nodes of a region must agree on the owner, so the hash is seeded with fixed numbers.
pub fn rendezvous<'a>(key: &str, names: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let mut scored: Vec<(u64, usize)> =
        names.enumerate().map(|(index, name)| (score(key, name), index)).collect();
    scored.sort_unstable_by(|a, b| b.cmp(a));
    scored.into_iter().map(|(_, index)| index).collect()
}

fn score(key: &str, name: &str) -> u64 {
    let mut hasher = fnv(name.as_bytes());
    hasher ^= fnv(key.as_bytes()).rotate_left(32);
    mix(hasher)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(names: &[String], keys: usize) -> Vec<usize> {
        (0..keys)
            .map(|i| rendezvous(&format!("/live/ch{}/seg{i}.ts", i % 7), names.iter().map(String::as_str))[0])
            .collect()
    }

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("http://10.0.0.{i}:8081")).collect()
    }

    #[test]
    fn the_owners_share_the_keys_evenly() {
        let owners = owners(&names(5), 50_000);
        for shield in 0..5 {
            let mine = owners.iter().filter(|owner| **owner == shield).count();
            assert!((9_500..10_500).contains(&mine), "shield {shield} owns {mine} of 50000");
        }
    }

    #[test]
    fn a_new_shield_takes_its_share_and_moves_nothing_else() {
        let (before, after) = (owners(&names(4), 50_000), owners(&names(5), 50_000));
        let moved: Vec<_> = before.iter().zip(&after).filter(|(a, b)| a != b).collect();
        assert!(moved.iter().all(|(_, b)| **b == 4), "keys only move to the new one");
        assert!((9_500..10_500).contains(&moved.len()), "{} keys moved", moved.len());
    }
}
