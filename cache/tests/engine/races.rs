//! Races: a fill that ends while other threads look up the same key, without a pause in between.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tidegate_cache::{Broken, Cache, FillReader, FillWriter, Key, Lookup};

use crate::harness::*;

const THREADS: usize = 4;

/// Lets every thread look up all keys in the same order; elected threads write.
fn race(cache: &Cache, keys: &[Key], write: impl Fn(usize, FillWriter, FillReader) + Sync) {
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for (index, key) in keys.iter().enumerate() {
                    if let Lookup::Miss(fill_reader, writer) = look_up(cache, key) {
                        write(index, writer, fill_reader);
                    }
                }
            });
        }
    });
}

#[test]
fn an_object_that_stays_fresh_is_filled_once_and_never_again() {
    let cache = roomy();
    let keys: Vec<_> = (0..20_000).map(|n| key(&format!("/{n}.ts"))).collect();
    let fills: Vec<_> = keys.iter().map(|_| AtomicUsize::new(0)).collect();
    race(&cache, &keys, |index, writer, _fill_reader| {
        fills[index].fetch_add(1, Ordering::Relaxed);
        fill(writer, lifetimes(3600, 0, 0), b"segment");
    });
    let again = fills.iter().filter(|fills| fills.load(Ordering::Relaxed) != 1).count();
    assert_eq!(again, 0, "objects of {} that were not filled exactly once", keys.len());
    assert_quiet(&cache);
}

#[test]
fn fills_that_leave_nothing_behind_never_overlap() {
    let (cache, keys) = (roomy(), vec![key("/1.ts"); 50_000]);
    let under_way = AtomicUsize::new(0);
    let begin = |writer: &mut FillWriter| {
        assert_eq!(under_way.fetch_add(1, Ordering::SeqCst), 0, "a second fill of one key");
        publish(writer, lifetimes(0, 0, 0));
        thread::yield_now();
    };
    race(&cache, &keys, |index, mut writer, fill_reader| {
        begin(&mut writer);
        under_way.fetch_sub(1, Ordering::SeqCst);
        match index % 3 {
            0 => writer.break_off(Broken("reset")),
            1 => drop(writer),
            _ => {
                drop(fill_reader);
                if let Err(joined) = writer.abandon() {
                    joined.break_off(Broken("reset"));
                }
            }
        }
    });
    assert_quiet(&cache);
}

#[test]
fn purges_at_the_end_of_a_fill_leave_no_registration_and_no_weight_behind() {
    let (cache, keys) = (roomy(), vec![key("/1.ts"); 100_000]);
    race(&cache, &keys, |index, writer, _fill_reader| {
        // A writer that has purged its own key lets another one in, and can then purge at the wrong moment.
        if index % 2 == 0 {
            cache.purge(&keys[0]);
        }
        fill(writer, lifetimes(3600, 0, 0), b"segment");
        cache.purge(&keys[0]);
    });
    assert_quiet(&cache);
    cache.purge(&keys[0]);
    let totals = cache.totals();
    assert_eq!((totals.slots, totals.charged_bytes, totals.body_bytes), (0, 0, 0), "{totals:?}");
}
