use proptest::prelude::*;

use super::*;

const KEYS: usize = 50_000;

fn keys() -> impl Iterator<Item = String> {
    (0..KEYS).map(|i| format!("/live/ch{}/seg{i}.ts", i % 7))
}

fn names(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("http://10.0.0.{i}:8081")).collect()
}

fn weighted(weights: &[f64]) -> Vec<(u64, f64)> {
    names(weights.len()).iter().zip(weights).map(|(name, weight)| (seed(name), *weight)).collect()
}

fn owners(weights: &[f64]) -> Vec<usize> {
    let members = weighted(weights);
    keys().map(|key| order(&key, members.iter().copied())[0]).collect()
}

fn share(owners: &[usize], member: usize) -> f64 {
    let count = |owners: usize| f64::from(u32::try_from(owners).unwrap());
    count(owners.iter().filter(|owner| **owner == member).count()) / count(owners.len())
}

#[test]
fn the_owners_share_the_keys_evenly() {
    let owners = owners(&[1.0; 5]);
    for shield in 0..5 {
        let mine = share(&owners, shield);
        assert!((0.19..0.21).contains(&mine), "shield {shield} owns {mine}");
    }
}

#[test]
fn a_new_shield_takes_its_share_and_moves_nothing_else() {
    let (before, after) = (owners(&[1.0; 4]), owners(&[1.0; 5]));
    let moved: Vec<_> = before.iter().zip(&after).filter(|(a, b)| a != b).collect();
    assert!(moved.iter().all(|(_, b)| **b == 4), "keys only move to the new one");
    assert!((9_500..10_500).contains(&moved.len()), "{} keys moved", moved.len());
}

/// An upgrade must not move the owners, because edges and shields are not upgraded in one moment. So these
/// orders are fixed.
#[test]
fn owners_never_move_with_an_upgrade() {
    let names: Vec<String> = (1..=5).map(|i| format!("http://10.0.0.{i}:8081")).collect();
    let fixed = [
        ("/live/ch1/index.m3u8", [2, 0, 1, 3, 4]),
        ("/live/ch1/seg00000001.ts", [1, 4, 2, 3, 0]),
        ("/live/ch1/seg00000002.ts", [3, 0, 1, 4, 2]),
        ("/live/ch2/720p/init.mp4", [2, 1, 0, 3, 4]),
        ("", [1, 2, 0, 4, 3]),
    ];
    for (key, expected) in fixed {
        assert_eq!(order(key, names.iter().map(|name| (seed(name), 1.0))), expected, "{key}");
        let members = names.iter().map(|name| (seed(name), 0.3));
        assert_eq!(order(key, members), expected, "{key}: the same at any equal weight");
    }
}

#[test]
fn keys_are_owned_in_proportion_to_the_weights() {
    let owners = owners(&[1.0, 2.0, 3.0]);
    for (shield, ideal) in [1.0 / 6.0, 2.0 / 6.0, 3.0 / 6.0].into_iter().enumerate() {
        let mine = share(&owners, shield);
        assert!((mine - ideal).abs() < 0.01, "shield {shield} owns {mine}, not {ideal}");
    }
}

#[test]
fn a_growing_weight_takes_keys_from_others_only_and_little_by_little() {
    let steps = (1..=10).map(|step| owners(&[1.0, 1.0, f64::from(step) / 10.0, 1.0])).collect::<Vec<_>>();
    for pair in steps.windows(2) {
        let moved: Vec<_> = pair[0].iter().zip(&pair[1]).filter(|(a, b)| a != b).collect();
        assert!(moved.iter().all(|(_, to)| **to == 2), "a key moved between others");
        assert!((500..2_000).contains(&moved.len()), "{} keys moved in one step", moved.len());
    }
}

#[test]
fn a_member_without_weight_comes_last() {
    for none in [0.0, -0.0, -1.0, f64::NAN] {
        let members = weighted(&[1.0, none, 3.0]);
        for key in keys().take(1000) {
            assert_eq!(order(&key, members.iter().copied())[2], 1, "{key} with {none}");
        }
    }
}

#[test]
fn without_weights_the_order_is_as_with_equal_ones() {
    for key in keys().take(1000) {
        assert_eq!(
            order(&key, weighted(&[0.0; 4]).into_iter()),
            order(&key, weighted(&[1.0; 4]).into_iter())
        );
    }
}

#[test]
fn points_are_spread_evenly() {
    let points: Vec<f64> = keys().map(|key| point(&key)).collect();
    assert!(points.iter().all(|point| (0.0..1.0).contains(point)));
    for tenth in 0..10 {
        let from = f64::from(tenth) / 10.0;
        let within = points.iter().filter(|point| (from..from + 0.1).contains(*point)).count();
        assert!((4_750..5_250).contains(&within), "{within} from {from}");
    }
}

#[test]
fn the_keys_beneath_a_point_are_some_of_each_owner() {
    let owners = owners(&[1.0; 4]);
    let beneath: Vec<_> =
        keys().zip(&owners).filter(|(key, _)| point(key) < 0.3).map(|(_, owner)| *owner).collect();
    for shield in 0..4 {
        let mine = share(&beneath, shield);
        assert!((0.235..0.265).contains(&mine), "shield {shield} owns {mine} of the lowest points");
    }
}

proptest! {
    #[test]
    fn every_member_has_one_place(key in ".{0,40}", weights in prop::collection::vec(prop::num::f64::ANY, 0..60)) {
        let mut order = order(&key, weighted(&weights).into_iter());
        order.sort_unstable();
        prop_assert_eq!(order, (0..weights.len()).collect::<Vec<_>>());
    }

    #[test]
    fn losing_a_member_leaves_the_order_of_the_others(
        key in "[a-z/0-9]{1,40}",
        weights in prop::collection::vec(0.1..4.0_f64, 2..20),
        lost in any::<prop::sample::Index>(),
    ) {
        let lost = lost.index(weights.len());
        let mut without = weights.clone();
        without[lost] = 0.0;
        let mut before = order(&key, weighted(&weights).into_iter());
        let mut after = order(&key, weighted(&without).into_iter());
        before.retain(|place| *place != lost);
        prop_assert_eq!(after.pop(), Some(lost));
        prop_assert_eq!(after, before);
    }
}
