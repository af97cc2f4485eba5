use proptest::prelude::*;

use super::*;
use crate::balance::hash;

/// The proportions by region id.
fn proportions(ranking: &[RegionId], shares: &[f64]) -> Vec<f64> {
    let mut proportions = vec![0.0; ranking.len()];
    for (region, proportion) in Plan::new(ranking, shares).proportions() {
        proportions[region] = proportion;
    }
    proportions
}

fn first(plan: &Plan, point: f64) -> RegionId {
    plan.order_for(point).next().unwrap()
}

fn rank(ranking: &[RegionId], region: RegionId) -> usize {
    ranking.iter().position(|other| *other == region).unwrap()
}

#[test]
fn proportions_are_those_of_priority_levels() {
    for (shares, expected) in [
        ([1.0, 1.0, 1.0], [1.0, 0.0, 0.0]),
        ([0.72, 1.0, 1.0], [1.0, 0.0, 0.0]),
        ([0.5, 1.0, 1.0], [0.7, 0.3, 0.0]),
        ([0.25, 0.25, 1.0], [0.35, 0.35, 0.3]),
        ([0.0, 1.0, 1.0], [0.0, 1.0, 0.0]),
        ([0.25, 0.0, 0.25], [0.5, 0.0, 0.5]),
        ([0.1, 0.3, 0.0], [0.25, 0.75, 0.0]),
        ([0.0, 0.0, 0.01], [0.0, 0.0, 1.0]),
        ([0.0, 0.0, 0.0], [1.0, 0.0, 0.0]),
        ([f64::NAN, -1.0, 7.0], [0.0, 0.0, 1.0]),
    ] {
        for (was, should) in proportions(&[0, 1, 2], &shares).into_iter().zip(expected) {
            assert!((was - should).abs() < 1e-9, "{shares:?}: {was}, not {should}");
        }
    }
}

#[test]
fn the_keys_that_spill_are_spread_as_planned() {
    let plan = Plan::new(&[2, 0, 1], &[0.3, 1.0, 0.4]);
    let mut counts = [0_u32; 3];
    for key in 0..100_000 {
        counts[first(&plan, hash::point(&format!("/live/ch1/720p/{key}.ts")))] += 1;
    }
    for (count, ideal) in counts.into_iter().zip([42_000.0, 2_000.0, 56_000.0_f64]) {
        assert!((f64::from(count) - ideal).abs() < 1_000.0, "{counts:?}");
    }
}

#[test]
fn the_others_follow_in_the_order_of_the_ranking_and_those_without_healthy_members_last() {
    let plan = Plan::new(&[3, 1, 0, 2], &[1.0, 0.0, 1.0, 0.5]);
    assert_eq!(plan.order_for(0.0).collect::<Vec<_>>(), [3, 0, 2, 1]);
    assert_eq!(plan.order_for(0.69).collect::<Vec<_>>(), [3, 0, 2, 1]);
    assert_eq!(plan.order_for(0.71).collect::<Vec<_>>(), [0, 3, 2, 1]);
}

#[test]
fn without_regions_the_order_is_empty() {
    assert_eq!(Plan::new(&[], &[]).order_for(0.5).count(), 0);
}

#[test]
fn a_region_without_a_share_has_no_healthy_member() {
    assert_eq!(Plan::new(&[1, 0], &[0.5]).order_for(0.9).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn the_healthy_share_is_one_of_weights() {
    let share = |members: &[(bool, f64)]| healthy_share(members.iter().copied());
    for (members, expected) in [
        (&[(true, 1.0), (false, 3.0)][..], 0.25),
        (&[(true, 0.0), (false, 1.0)], 0.0),
        (&[(true, 2.0), (true, 1.0), (false, f64::NAN), (false, -5.0)], 1.0),
        (&[(true, 0.0)], 0.0),
        (&[], 0.0),
    ] {
        assert!((share(members) - expected).abs() < 1e-12, "{members:?}");
    }
}

prop_compose! {
    /// A ranking of up to six regions, and their healthy shares, of which many are 0 or 1.
    fn worlds()(shares in prop::collection::vec(
        prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0_f64], 1..=6))
        (ranking in Just((0..shares.len()).collect::<Vec<_>>()).prop_shuffle(), shares in Just(shares))
        -> (Vec<RegionId>, Vec<f64>)
    {
        (ranking, shares)
    }
}

proptest! {
    #[test]
    fn every_region_stands_once_in_every_order((ranking, shares) in worlds(), point in 0.0..1.0_f64) {
        let mut order: Vec<_> = Plan::new(&ranking, &shares).order_for(point).collect();
        order.sort_unstable();
        prop_assert_eq!(order, (0..shares.len()).collect::<Vec<_>>());
    }

    #[test]
    fn no_region_takes_more_than_it_can_unless_all_together_can_too_little((ranking, shares) in worlds()) {
        let total: f64 = shares.iter().map(|share| capacity(*share)).sum();
        let proportions = proportions(&ranking, &shares);
        prop_assert!((proportions.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let mut left: f64 = 1.0;
        for region in ranking.iter().filter(|_| total > 0.0) {
            let expected = (capacity(shares[*region]) / total.min(1.0)).min(left);
            left -= expected;
            prop_assert!((proportions[*region] - expected).abs() < 0.01, "{:?}", proportions);
        }
    }

    #[test]
    fn no_key_goes_to_a_region_without_healthy_members_while_there_are_some(
        (ranking, shares) in worlds(), point in 0.0..1.0_f64,
    ) {
        let order: Vec<_> = Plan::new(&ranking, &shares).order_for(point).collect();
        let healthy = shares.iter().filter(|share| **share > 0.0).count();
        prop_assert!(order[..healthy].iter().all(|region| shares[*region] > 0.0), "{:?}", order);
    }

    #[test]
    fn while_there_is_enough_for_all_keys_growing_health_moves_keys_nearer_only(
        (ranking, shares) in worlds(), which in any::<prop::sample::Index>(), point in 0.0..1.0_f64,
    ) {
        prop_assume!(shares.iter().map(|share| capacity(*share)).sum::<f64>() >= 1.0);
        let mut healthier = shares.clone();
        let region = which.index(shares.len());
        healthier[region] = f64::midpoint(shares[region], 1.0);
        let before = rank(&ranking, first(&Plan::new(&ranking, &shares), point));
        let after = rank(&ranking, first(&Plan::new(&ranking, &healthier), point));
        prop_assert!(after <= before, "from rank {} to {}", before, after);
    }

    #[test]
    fn growing_health_moves_keys_towards_the_region_that_grows_or_nearer(
        (ranking, shares) in worlds(), which in any::<prop::sample::Index>(), point in 0.0..1.0_f64,
    ) {
        prop_assume!(shares.iter().any(|share| *share > 0.0));
        let mut healthier = shares.clone();
        let region = which.index(shares.len());
        healthier[region] = f64::midpoint(shares[region], 1.0);
        let before = rank(&ranking, first(&Plan::new(&ranking, &shares), point));
        let after = rank(&ranking, first(&Plan::new(&ranking, &healthier), point));
        prop_assert!(after <= before.max(rank(&ranking, region)), "from rank {} to {}", before, after);
    }
}
