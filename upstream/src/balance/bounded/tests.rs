use proptest::prelude::*;

use super::*;
use crate::balance::hash;

/// Members with weights, the requests that they have in flight, and a way to send them more.
struct Members {
    weights: Vec<f64>,
    loads: Vec<Load>,
    bound: Bound,
}

impl Members {
    fn new(weights: &[f64], bound: Bound) -> Self {
        let loads = weights.iter().map(|weight| Load { in_flight: 0, weight: *weight }).collect();
        Self { weights: weights.to_vec(), loads, bound }
    }

    fn order(&self, key: &str) -> Vec<usize> {
        let seeds = (0..).map(|member| hash::seed(&format!("shield-{member}")));
        hash::order(key, seeds.zip(self.weights.iter().copied()))
    }

    fn first(&self, key: &str) -> usize {
        arrange(self.order(key), &self.loads, &self.bound)[0]
    }

    fn send(&mut self, key: &str) -> usize {
        let member = self.first(key);
        self.loads[member].in_flight += 1;
        member
    }

    fn in_flight(&self) -> usize {
        self.loads.iter().map(|load| load.in_flight).sum()
    }

    /// The bound, computed independently, so that `fits` is not compared with itself.
    fn bound_of(&self, member: usize, in_flight: usize) -> usize {
        let share = self.weights[member] / self.weights.iter().sum::<f64>();
        let bound = (1.0 + self.bound.epsilon) * number(in_flight) * share;
        (1..10_000).find(|count| number(*count) >= bound).unwrap().max(self.bound.floor)
    }
}

/// Sends `requests` for one key. Returns how many members received any; they must be the first owners of the
/// key.
fn spread_of_one_key(members: &mut Members, requests: usize) -> usize {
    let order = members.order("/live/ch1/hot.ts");
    for _ in 0..requests {
        members.send("/live/ch1/hot.ts");
    }
    let used = order.iter().take_while(|member| members.loads[**member].in_flight > 0).count();
    let reached: usize = order[..used].iter().map(|member| members.loads[*member].in_flight).sum();
    assert_eq!(reached, requests, "a member behind the first {used} owners was used");
    used
}

const TIGHT: Bound = Bound { epsilon: 0.25, floor: 1 };

#[test]
fn a_hot_object_spreads_over_its_first_owners_and_over_no_more_than_it_needs() {
    for requests in 1..300 {
        let mut members = Members::new(&[1.0; 10], TIGHT);
        let used = spread_of_one_key(&mut members, requests);
        let needed = |total: usize| total.div_ceil(members.bound_of(0, total));
        assert_eq!(used, (1..=requests).map(needed).max().unwrap(), "{requests} requests");
    }
}

#[test]
fn beneath_the_floor_a_hot_object_stays_with_its_owner() {
    for (requests, used) in [(1, 1), (16, 1), (17, 2), (32, 2), (33, 3)] {
        let mut members = Members::new(&[1.0; 10], Bound { floor: 16, ..TIGHT });
        assert_eq!(spread_of_one_key(&mut members, requests), used, "{requests} requests");
    }
}

#[test]
fn a_hot_object_comes_back_when_it_cools_down() {
    let mut members = Members::new(&[1.0; 4], TIGHT);
    let owner = members.send("/hot");
    let mut placed: Vec<usize> = (0..40).map(|_| members.send("/hot")).collect();
    assert!(placed.iter().any(|member| *member != owner));
    while let Some(member) = placed.pop() {
        members.loads[member].in_flight -= 1;
    }
    members.loads[owner].in_flight -= 1;
    assert_eq!(members.send("/hot"), owner);
}

#[test]
fn a_full_member_comes_behind_the_others_and_keeps_its_place_among_the_full() {
    let load = |in_flight| Load { in_flight, weight: 1.0 };
    let loads = [load(9), load(0), load(8), load(1)];
    assert_eq!(arrange(vec![2, 3, 0, 1], &loads, &TIGHT), [3, 1, 2, 0]);
}

#[test]
fn a_member_outside_the_order_is_not_in_the_total() {
    let load = |in_flight| Load { in_flight, weight: 1.0 };
    let loads = [load(4), load(0), load(0)];
    assert_eq!(arrange(vec![0, 1], &loads, &TIGHT), [1, 0], "4 of 4 are too many");
    let loads = [load(4), load(0), load(1000)];
    assert_eq!(arrange(vec![0, 1], &loads, &TIGHT), [1, 0], "what a third one does is no excuse");
    assert_eq!(arrange(vec![0, 1, 2], &loads, &TIGHT), [0, 1, 2], "4 of 1004 are not too many");
}

#[test]
fn a_member_without_weight_accepts_nothing() {
    let loads = [Load { in_flight: 0, weight: 0.0 }, Load { in_flight: 50, weight: 1.0 }];
    assert_eq!(arrange(vec![0, 1], &loads, &Bound { epsilon: 0.0, floor: 8 }), [1, 0]);
    let bound = Bound { epsilon: f64::NAN, floor: 0 };
    assert!(
        !bound.fits(0, f64::NAN, 0, 1.0) && !bound.fits(0, 1.0, 0, f64::NAN) && !bound.fits(0, 0.0, 0, 0.0)
    );
    assert!(bound.fits(0, 1.0, 0, 1.0));
}

#[test]
fn places_without_a_load_come_last() {
    assert_eq!(arrange(vec![7, 0], &[Load { in_flight: 0, weight: 1.0 }], &TIGHT), [0, 7]);
}

prop_compose! {
    fn bounds()(epsilon in 0.0..2.0_f64, floor in 0..20_usize) -> Bound {
        Bound { epsilon, floor }
    }
}

proptest! {
    #[test]
    fn no_member_exceeds_its_bound_while_another_is_below_its_own(
        weights in prop::collection::vec(0.1..4.0_f64, 1..12),
        bound in bounds(),
        // A few keys are requested again and again, and one event in three ends a request.
        events in prop::collection::vec((0..8_u8, 0..3_u8, any::<prop::sample::Index>()), 1..300),
    ) {
        let mut members = Members::new(&weights, bound);
        let mut open: Vec<usize> = Vec::new();
        for (key, event, which) in events {
            if event == 0 && !open.is_empty() {
                let member = open.swap_remove(which.index(open.len()));
                members.loads[member].in_flight -= 1;
                continue;
            }
            let member = members.send(&format!("/{key}"));
            open.push(member);
            let total = members.in_flight();
            let (has, may) = (members.loads[member].in_flight, members.bound_of(member, total));
            let beneath = (0..weights.len())
                .filter(|other| *other != member)
                .any(|other| members.loads[other].in_flight < members.bound_of(other, total));
            prop_assert!(has <= may || !beneath, "{member} has {has} of {total}, its bound is {may}");
        }
    }

    #[test]
    fn one_member_always_fits(
        loads in prop::collection::vec((0..1000_usize, 0.01..100.0_f64), 1..40),
        epsilon in 0.0..2.0_f64,
    ) {
        let total = loads.iter().map(|(in_flight, _)| in_flight).sum();
        let weight: f64 = loads.iter().map(|(_, weight)| weight).sum();
        let bound = Bound { epsilon, floor: 0 };
        prop_assert!(loads.iter().any(|(in_flight, own)| bound.fits(*in_flight, *own, total, weight)));
    }

    #[test]
    fn without_load_the_order_is_that_of_the_hash(
        weights in prop::collection::vec(0.01..100.0_f64, 1..60), bound in bounds(), key in "[a-z]{1,20}",
    ) {
        let members = Members::new(&weights, bound);
        let order = members.order(&key);
        prop_assert_eq!(arrange(order.clone(), &members.loads, &bound), order);
    }

    #[test]
    fn the_order_of_those_that_fit_and_of_the_others_is_that_of_the_hash(
        loads in prop::collection::vec((0..30_usize, 0.0..3.0_f64), 1..30), bound in bounds(),
    ) {
        let loads: Vec<_> = loads.into_iter().map(|(in_flight, weight)| Load { in_flight, weight }).collect();
        let arranged = arrange((0..loads.len()).collect(), &loads, &bound);
        let falls = arranged.windows(2).filter(|pair| pair[0] > pair[1]).count();
        prop_assert!(falls <= 1, "{arranged:?}");
        let mut sorted = arranged;
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..loads.len()).collect::<Vec<_>>());
    }
}
