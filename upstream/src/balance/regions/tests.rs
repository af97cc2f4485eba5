use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn region(name: &str, coordinates: Option<(f64, f64)>) -> Region {
    let coordinates = coordinates.map(|(north, east)| Coordinates::new(north, east).unwrap());
    Region { name: name.to_owned(), coordinates }
}

/// Regions without coordinates.
fn nowhere(names: &[&str]) -> Vec<Region> {
    names.iter().map(|name| region(name, None)).collect()
}

fn europe() -> Vec<Region> {
    vec![
        region("madrid", Some((40.42, -3.70))),
        region("frankfurt", Some((50.11, 8.68))),
        region("paris", Some((48.86, 2.35))),
    ]
}

fn in_region(name: &str) -> Viewpoint {
    Viewpoint { region: Some(name.to_owned()), ..Viewpoint::default() }
}

/// One sample per region and second, for `seconds` from `from`; returns the ranking after each second.
fn watch(regions: &mut Regions, rtts: &[Duration], from: u64, seconds: u64) -> Vec<Vec<RegionId>> {
    let sampled = |second: u64| {
        let now = SECOND * u32::try_from(from + second).unwrap();
        for (region, rtt) in rtts.iter().enumerate() {
            regions.observe(region, *rtt, now);
        }
        regions.ranking(now).to_vec()
    };
    (0..seconds).map(sampled).collect()
}

#[test]
fn the_nearest_region_comes_first_until_anything_is_measured() {
    let mut regions = Regions::new(&in_region("paris"), &europe());
    assert_eq!(regions.ranking(Duration::ZERO), [2, 1, 0]);
    let brussels = Coordinates::new(50.85, 4.35).unwrap();
    let viewpoint = Viewpoint { coordinates: Some(brussels), ..Viewpoint::default() };
    let mut regions = Regions::new(&viewpoint, &europe());
    assert_eq!(regions.ranking(Duration::ZERO), [2, 1, 0]);
    assert!(matches!(regions.round_trip(2, Duration::ZERO), RoundTrip::Guessed(guess) if guess < 8 * MS));
}

#[test]
fn the_own_region_comes_first_if_nothing_is_known() {
    let mut regions = Regions::new(&in_region("b"), &nowhere(&["a", "b", "c"]));
    assert_eq!(regions.ranking(Duration::ZERO), [1, 0, 2]);
    let mut regions = Regions::new(&Viewpoint::default(), &nowhere(&["a", "b", "c"]));
    assert_eq!(regions.ranking(Duration::ZERO), [0, 1, 2], "as they are listed");
}

#[test]
fn measurements_win_over_distance() {
    let mut regions = Regions::new(&in_region("paris"), &europe());
    let seen = watch(&mut regions, &[30 * MS, 5 * MS, 80 * MS], 0, 10);
    assert_eq!(seen.first().unwrap(), &[2, 1, 0]);
    assert_eq!(seen.last().unwrap(), &[1, 0, 2]);
}

#[test]
fn what_is_measured_comes_before_what_is_not_known() {
    let mut regions = Regions::new(&Viewpoint::default(), &nowhere(&["a", "b"]));
    for second in 0..10 {
        regions.observe(1, 300 * MS, SECOND * second);
    }
    assert_eq!(regions.ranking(10 * SECOND), [1, 0]);
}

#[test]
fn the_configured_order_wins_over_all() {
    let order = ["c", "unknown", "b"].map(str::to_owned).to_vec();
    let viewpoint = Viewpoint { order, ..in_region("a") };
    let mut regions = Regions::new(&viewpoint, &nowhere(&["a", "b", "c", "d"]));
    let seen = watch(&mut regions, &[50 * MS, 90 * MS, 200 * MS, MS], 0, 60);
    assert_eq!(seen.first().unwrap(), &[2, 1, 0, 3]);
    assert_eq!(seen.last().unwrap(), &[2, 1, 3, 0], "those that are not listed go by measurement");
}

#[test]
fn a_real_change_reorders_after_five_seconds_and_comes_back() {
    let mut regions = Regions::new(&in_region("near"), &nowhere(&["near", "far"]));
    let (near, far) = (vec![0, 1], vec![1, 0]);
    let calm = watch(&mut regions, &[5 * MS, 20 * MS], 0, 30);
    assert!(calm.iter().all(|ranking| *ranking == near));

    let hurt = watch(&mut regions, &[80 * MS, 20 * MS], 30, 30);
    let changed = hurt.iter().position(|ranking| *ranking == far).unwrap();
    assert!((5..=8).contains(&changed), "after {changed} s");
    assert!(hurt[changed..].iter().all(|ranking| *ranking == far));

    let healed = watch(&mut regions, &[5 * MS, 20 * MS], 60, 30);
    let changed = healed.iter().position(|ranking| *ranking == near).unwrap();
    assert!((5..=15).contains(&changed), "after {changed} s");
    assert!(healed[changed..].iter().all(|ranking| *ranking == near));
}

#[test]
fn a_region_that_is_better_for_less_than_five_seconds_overtakes_none() {
    let mut regions = Regions::new(&in_region("a"), &nowhere(&["a", "b"]));
    watch(&mut regions, &[10 * MS, 10 * MS], 0, 10);
    for round in 0..50 {
        // Smoothed, a is at 12.5 ms or more for four seconds, and beneath it in the fifth.
        let hurt = watch(&mut regions, &[25 * MS, 10 * MS], 10 + 16 * round, 2);
        let calm = watch(&mut regions, &[10 * MS, 10 * MS], 12 + 16 * round, 14);
        assert!(hurt.iter().chain(&calm).all(|ranking| *ranking == [0, 1]), "round {round}");
    }
}

#[test]
fn an_outlier_moves_nothing() {
    let mut regions = Regions::new(&in_region("a"), &nowhere(&["a", "b"]));
    watch(&mut regions, &[10 * MS, 11 * MS], 0, 10);
    let mut seen = watch(&mut regions, &[60 * MS, 11 * MS], 10, 1);
    seen.extend(watch(&mut regions, &[10 * MS, 11 * MS], 11, 20));
    assert!(seen.iter().all(|ranking| *ranking == [0, 1]));
}

#[test]
fn a_first_sample_alone_overtakes_no_region() {
    let mut regions = Regions::new(&in_region("a"), &nowhere(&["a", "b"]));
    regions.observe(0, 15 * MS, Duration::ZERO);
    regions.observe(1, 8 * MS, Duration::ZERO);
    assert_eq!(regions.ranking(20 * SECOND), [0, 1]);
}

#[test]
fn unnoticeable_differences_move_nothing() {
    let mut regions = Regions::new(&in_region("a"), &nowhere(&["a", "b"]));
    let seen = watch(&mut regions, &[2 * MS, MS / 10], 0, 60);
    assert!(seen.iter().all(|ranking| *ranking == [0, 1]), "less than 2 ms");
    let seen = watch(&mut regions, &[100 * MS, 85 * MS], 60, 60);
    assert!(seen.iter().all(|ranking| *ranking == [0, 1]), "less than 20 %");
}

#[test]
fn without_samples_for_a_minute_the_guess_is_back() {
    let mut regions = Regions::new(&in_region("paris"), &europe());
    let seen = watch(&mut regions, &[30 * MS, 5 * MS, 80 * MS], 0, 10);
    assert_eq!(seen.last().unwrap(), &[1, 0, 2]);
    assert_eq!(regions.ranking(60 * SECOND), [1, 0, 2], "51 s after the last sample");
    assert_eq!(regions.ranking(69 * SECOND), [1, 0, 2], "the guess is better, but not for long yet");
    assert_eq!(regions.ranking(74 * SECOND), [2, 1, 0]);
}

#[test]
fn an_overtaken_region_is_not_better() {
    let mut regions = Regions::new(&in_region("a"), &nowhere(&["a", "b", "c"]));
    watch(&mut regions, &[10 * MS, 20 * MS, 40 * MS], 0, 10);
    // c is clearly better than a, and not than b, which is not clearly better than a.
    let seen = watch(&mut regions, &[50 * MS, 45 * MS, 39 * MS], 10, 60);
    assert_eq!(seen.last().unwrap(), &[2, 0, 1]);
}

#[test]
fn a_better_region_is_not_overtaken_while_it_waits_for_its_own_time() {
    let mut regions = Regions::new(&in_region("a"), &nowhere(&["a", "b", "c"]));
    let mut seen = watch(&mut regions, &[50 * MS, 50 * MS, 30 * MS], 0, 3);
    seen.extend(watch(&mut regions, &[50 * MS, MS, 30 * MS], 3, 20));
    // c could overtake a after five seconds; by then b is better than c, and may overtake a after eight.
    seen.dedup();
    assert_eq!(seen, [[0, 1, 2], [1, 2, 0]]);
}

#[test]
fn noise_around_equal_times_never_reorders() {
    for (seed, interval) in [(1, 50 * MS), (2, 200 * MS), (3, SECOND), (4, 3 * SECOND), (5, 10 * SECOND)] {
        let mut regions = Regions::new(&in_region("a"), &nowhere(&["a", "b", "c"]));
        let mut noise = Noise(seed);
        for sample in 0..10_000 {
            let now = interval * sample;
            for region in 0..3 {
                regions.observe(region, noise.around(40 * MS), now);
            }
            assert_eq!(regions.ranking(now), [0, 1, 2], "sample {sample}, every {interval:?}");
        }
    }
}

/// ±15 %, evenly, and the same at every run.
struct Noise(u64);

impl Noise {
    fn around(&mut self, rtt: Duration) -> Duration {
        self.0 = self.0.wrapping_add(1);
        rtt.mul_f64(0.85 + 0.3 * crate::balance::hash::point(&self.0.to_string()))
    }
}

proptest! {
    #[test]
    fn steady_measurements_lead_to_a_stable_ranking_without_a_clearly_worse_region_in_front(
        rtts in prop::collection::vec(0..200_u32, 1..7),
    ) {
        let names: Vec<String> = (0..rtts.len()).map(|name| name.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut regions = Regions::new(&Viewpoint::default(), &nowhere(&names));
        let rtts: Vec<Duration> = rtts.into_iter().map(|rtt| rtt * MS).collect();
        let seen = watch(&mut regions, &rtts, 0, 40);
        prop_assert!(seen[20..].windows(2).all(|pair| pair[0] == pair[1]), "{:?}", seen);
        let ranking = seen.last().unwrap();
        let best = rtts.iter().min().unwrap();
        let neighbours = ranking.windows(2).map(|pair| (rtts[pair[0]], rtts[pair[1]]));
        for (upper, lower) in neighbours.chain([(rtts[ranking[0]], *best)]) {
            let noticeable = upper.saturating_sub(lower) > 2 * MS;
            prop_assert!(lower >= upper.mul_f64(0.8) || !noticeable, "{:?} {:?}", ranking, rtts);
        }
        let mut all = ranking.clone();
        all.sort_unstable();
        prop_assert_eq!(all, (0..rtts.len()).collect::<Vec<_>>());
    }
}
