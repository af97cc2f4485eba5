//! The budget holds for stored objects and for growing ones.

use std::collections::VecDeque;

use bytes::Bytes;
use tidegate_cache::{Cache, FillReader, FillWriter, Limits, Lookup};

use crate::harness::*;

const BUDGET: u64 = 4 * MIB;

fn tight() -> Cache {
    Cache::new(Limits { bytes: BUDGET, object_max: MIB, variants_max: 64 })
}

#[track_caller]
fn assert_within(cache: &Cache, budget: u64) {
    let totals = cache.totals();
    assert!(totals.charged_bytes <= budget + budget / 20, "{totals:?}");
}

fn zeros(len: u64) -> Bytes {
    Bytes::from(vec![0; usize::try_from(len).unwrap()])
}

#[tokio::test(start_paused = true)]
async fn two_thousand_objects_never_charge_more_than_the_budget() {
    let (cache, mut dice) = (tight(), Dice(1));
    let hot: Vec<_> = (0..10).map(|n| key(&format!("/hot/{n}.ts"))).collect();
    for key in &hot {
        store(&cache, key, lifetimes(3600, 0, 0), &vec![1; 20_000]);
    }
    for n in 0..2000 {
        let (_fill_reader, mut fill_writer) = look_up(&cache, &key(&format!("/cold/{n}.ts"))).miss();
        let len = dice.below(100_000);
        let promised = (dice.below(2) == 0).then_some(len);
        fill_writer.publish(head(), lifetimes(3600, 0, 0), None, promised, "origin".into()).unwrap();
        let first = dice.below(len + 1);
        fill_writer.append(zeros(first)).unwrap();
        assert_within(&cache, BUDGET);
        fill_writer.append(zeros(len - first)).unwrap();
        fill_writer.complete();
        assert_within(&cache, BUDGET);
        assert!(cache.totals().body_bytes <= BUDGET, "evicted bodies are freed");
        for key in &hot {
            assert!(matches!(look_up(&cache, key), Lookup::Hit(_)), "a hot object was lost to cold ones");
        }
    }
    let totals = cache.totals();
    assert!(totals.charged_bytes > BUDGET / 2, "the budget is used: {totals:?}");
    assert!(totals.evictions > 1500);
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn one_large_object_takes_the_room_of_many_small_ones_immediately() {
    let cache = tight();
    for n in 0..5000 {
        store(&cache, &key(&format!("/small/{n}")), lifetimes(3600, 0, 0), b"x");
    }
    for n in 0..3 {
        let (_fill_reader, mut fill_writer) = look_up(&cache, &key(&format!("/large/{n}"))).miss();
        fill_writer.publish(head(), lifetimes(3600, 0, 0), None, Some(MIB), "origin".into()).unwrap();
        assert_within(&cache, BUDGET);
        fill_writer.append(zeros(MIB)).unwrap();
        fill_writer.complete();
    }
    assert_within(&cache, BUDGET);
}

#[tokio::test(start_paused = true)]
async fn a_growing_fill_is_charged_for_its_declared_or_actual_bytes() {
    let cache = tight();
    let (_one, mut promised) = look_up(&cache, &key("/promised.ts")).miss();
    promised.publish(head(), lifetimes(3600, 0, 0), None, Some(500_000), "origin".into()).unwrap();
    assert!(cache.totals().charged_bytes >= 500_000);
    assert_eq!(cache.totals().filling_bytes, 500_000);

    let (_two, mut unknown) = look_up(&cache, &key("/unknown.ts")).miss();
    publish(&mut unknown, lifetimes(3600, 0, 0));
    for _ in 0..50 {
        append(&mut unknown, &[0; 10_000]);
        let (totals, there) = (cache.totals(), unknown.object().unwrap().body.len());
        assert!(totals.charged_bytes >= 500_000 + there, "{totals:?}");
        assert_eq!(totals.filling_bytes, totals.charged_bytes - overhead(&cache), "{totals:?}");
    }
    unknown.complete();
    append(&mut promised, &vec![0; 500_000]);
    promised.complete();
    let totals = cache.totals();
    assert!((1_000_000..1_010_000).contains(&totals.charged_bytes), "{totals:?}");
    assert_quiet(&cache);
}

/// The weight of slots without an object.
fn overhead(cache: &Cache) -> u64 {
    cache.fills(10).iter().map(|(key, ..)| key.as_str().len() as u64 + 384).sum()
}

#[tokio::test(start_paused = true)]
async fn a_growing_fill_stays_charged_while_others_come_and_go() {
    let (cache, mut dice) = (tight(), Dice(2));
    let (_fill_reader, mut slow) = look_up(&cache, &key("/slow.ts")).miss();
    slow.publish(head(), lifetimes(3600, 0, 0), None, Some(MIB), "origin".into()).unwrap();
    for n in 0..256 {
        slow.append(zeros(4096)).unwrap();
        store(&cache, &key(&format!("/{n}.ts")), lifetimes(3600, 0, 0), &zeros(dice.below(100_000)));
        assert!(cache.totals().body_bytes <= BUDGET, "{:?}", cache.totals());
    }
    slow.complete();
    assert!(matches!(look_up(&cache, &key("/slow.ts")), Lookup::Hit(_)));
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_was_evicted_while_it_stalled_is_charged_when_it_continues() {
    let cache = tight();
    let (_fill_reader, mut slow) = look_up(&cache, &key("/slow.ts")).miss();
    slow.publish(head(), lifetimes(3600, 0, 0), None, Some(MIB), "origin".into()).unwrap();
    for n in 0..100 {
        store(&cache, &key(&format!("/{n}.ts")), lifetimes(3600, 0, 0), &zeros(100_000));
    }
    slow.append(zeros(MIB - 1)).unwrap();
    assert!(cache.totals().body_bytes <= BUDGET, "{:?}", cache.totals());
    slow.append(zeros(1)).unwrap();
    slow.complete();
}

#[tokio::test(start_paused = true)]
async fn many_concurrent_fills_stay_within_the_budget_and_release_all_they_reserved() {
    let (cache, mut dice) = (tight(), Dice(3));
    let mut under_way: VecDeque<(FillReader, FillWriter)> = VecDeque::new();
    let (mut refused, mut stored) = (0, 0);
    for n in 0..3000 {
        let (fill_reader, mut fill_writer) = look_up(&cache, &key(&format!("/{n}.ts"))).miss();
        if fill_writer
            .publish(head(), lifetimes(3600, 0, 0), None, Some(dice.below(400_000)), "origin".into())
            .is_err()
        {
            refused += 1;
            fill_writer.pass(seconds(0));
        } else {
            under_way.push_back((fill_reader, fill_writer));
        }
        assert!(cache.totals().filling_bytes <= BUDGET / 8 * 7);
        assert_within(&cache, BUDGET);
        if dice.below(3) == 0
            && let Some((_fill_reader, mut fill_writer)) = under_way.pop_front()
        {
            let promised = fill_writer.object().unwrap().body.full_len().unwrap();
            fill_writer.append(zeros(promised)).unwrap();
            fill_writer.complete();
            stored += 1;
        }
    }
    assert!(refused > 100 && stored > 500, "{refused} {stored}");
    drop(under_way);
    assert_quiet(&cache);
}
