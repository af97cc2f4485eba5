//! Real threads in no order at all: two hundred clients and their writers hammer ten keys.
//!
//! Every body begins with its length, and every further byte encodes its key and its position, so that a
//! short, mixed up or wrongly ended body is noticed. Nothing may wait forever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tidegate_cache::{
    Answer, Broken, Cache, FillReader, FillWriter, Key, Lifetimes, Limits, Lookup, Object, PurgeMode, Variant,
};
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

use crate::harness::*;

const TASKS: usize = 200;
const ROUNDS: usize = 60;
const KEYS: usize = 10;
const FILLED: usize = 50;
const VALUES: [&str; 3] = ["de", "fr", "it"];

/// The settings of one test.
#[derive(Debug, Clone, Copy)]
struct Plan {
    bytes: u64,
    purges: bool,
    varies: bool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_key_is_ever_filled_twice_concurrently() {
    Hammer::run(Plan { bytes: 64 * MIB, purges: false, varies: false }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_key_is_ever_filled_twice_concurrently_while_slots_are_evicted() {
    Hammer::run(Plan { bytes: 2 * MIB, purges: false, varies: false }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_variant_is_ever_filled_twice_concurrently() {
    Hammer::run(Plan { bytes: 64 * MIB, purges: false, varies: true }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn purges_at_any_moment_leave_no_client_waiting() {
    for varies in [false, true] {
        Hammer::run(Plan { bytes: 2 * MIB, purges: true, varies }).await;
    }
}

#[derive(Debug)]
struct Hammer {
    plan: Plan,
    cache: Cache,
    keys: Vec<Key>,
    /// Fills under way for each key and variant.
    under_way: Vec<[AtomicUsize; VALUES.len()]>,
    filled: AtomicUsize,
    done: AtomicBool,
}

impl Hammer {
    async fn run(plan: Plan) {
        let hammer = Arc::new(Self {
            plan,
            cache: Cache::new(Limits { bytes: plan.bytes, object_max: MIB, variants_max: 64 }),
            keys: (0..KEYS).map(|n| key(&format!("/{n}.ts"))).collect(),
            under_way: (0..KEYS).map(|_| Default::default()).collect(),
            filled: AtomicUsize::new(0),
            done: AtomicBool::new(false),
        });
        let mut watcher = JoinSet::new();
        watcher.spawn(Arc::clone(&hammer).watch());
        let mut clients = JoinSet::new();
        for task in 0..TASKS {
            clients.spawn(Arc::clone(&hammer).hammer(Dice(task as u64 * 7919)));
        }
        timeout(Duration::from_mins(2), clients.join_all()).await.expect("nothing waits forever");
        hammer.done.store(true, Ordering::Relaxed);
        watcher.join_all().await;
        hammer.check();
    }

    /// Reads the totals all the time, as a status page would.
    async fn watch(self: Arc<Self>) {
        while !self.done.load(Ordering::Relaxed) {
            let totals = self.cache.totals();
            assert!(totals.charged_bytes <= totals.budget_bytes / 20 * 21, "{totals:?}");
            assert!(totals.filling_bytes <= totals.budget_bytes, "{totals:?}");
            assert!(self.cache.fills(5).len() <= 5);
            assert!(self.cache.objects(5).len() <= 5);
            yield_now().await;
        }
    }

    fn check(&self) {
        assert_quiet(&self.cache);
        let filled = self.filled.load(Ordering::Relaxed);
        assert!(filled > FILLED, "only {filled} fills completed");
        for key in &self.keys {
            self.cache.purge(key);
            store(&self.cache, key, lifetimes(60, 0, 0), b"still works");
            assert_eq!(bytes(&look_up(&self.cache, key).hit()), b"still works");
        }
        assert_quiet(&self.cache);
        for (key, _) in self.cache.objects(usize::MAX) {
            self.cache.purge(&key);
        }
        let totals = self.cache.totals();
        assert_eq!(totals.body_bytes, 0, "{totals:?}");
        // The cache remembers the failure of a variant under a key of its own.
        assert!(totals.charged_bytes <= if self.plan.varies { 50_000 } else { 0 }, "{totals:?}");
    }

    async fn hammer(self: Arc<Self>, mut dice: Dice) {
        let mut writers = JoinSet::new();
        for round in 0..ROUNDS {
            let (key, value) = (dice.pick(KEYS), dice.pick(VALUES.len()));
            match look_up_as(&self.cache, &self.keys[key], VALUES[value]) {
                Lookup::Hit(object) => self.verify(&object, key, value).await,
                Lookup::Stale { object, refresh } => {
                    if let Some(writer) = refresh {
                        writers.spawn(self.elected(writer, key, value, dice.fork()));
                    }
                    self.verify(&object, key, value).await;
                }
                Lookup::Join(fill_reader) => self.wait_and_read(fill_reader, key, value, &mut dice).await,
                Lookup::Miss(fill_reader, writer) => {
                    writers.spawn(self.elected(writer, key, value, dice.fork()));
                    self.wait_and_read(fill_reader, key, value, &mut dice).await;
                }
                Lookup::Pass | Lookup::Failed { .. } => yield_now().await,
            }
            if dice.one_in(20) {
                self.crowd(&Key::new("other", &format!("/{dice:?}/{round}")));
            }
            if self.plan.purges && dice.one_in(10) {
                self.cache.purge(&self.keys[dice.pick(KEYS)]);
            }
            if self.plan.purges && dice.one_in(40) {
                let mode = if dice.one_in(2) { PurgeMode::Remove } else { PurgeMode::Expire };
                self.cache.purge_selected(&everything(), mode);
            }
        }
        writers.join_all().await;
    }

    /// Stores another object, if there is room, so that older slots are evicted.
    fn crowd(&self, key: &Key) {
        let (_fill_reader, mut writer) = look_up(&self.cache, key).miss();
        if writer.publish(head(), lifetimes(60, 0, 0), None, Some(100_000), "origin".into()).is_ok() {
            append(&mut writer, &vec![0; 100_000]);
            writer.complete();
        } else {
            // The refusal is remembered as a failure, under a key that is not used again.
            drop(writer);
            self.cache.purge(key);
        }
    }

    /// Waits for the answer and reads it, or leaves at some point.
    async fn wait_and_read(&self, fill_reader: FillReader, key: usize, value: usize, dice: &mut Dice) {
        if dice.one_in(4) {
            return;
        }
        match fill_reader.answer().await {
            Answer::Object(object) if !self.is_for(&object, value) => {}
            Answer::Object(object) if dice.one_in(4) => drop(object.body.reader(0, None).next(ALL).await),
            Answer::Object(object) => self.verify(&object, key, value).await,
            Answer::Pass | Answer::Purged | Answer::Failed { .. } => yield_now().await,
        }
    }

    fn is_for(&self, object: &Object, value: usize) -> bool {
        !self.plan.varies || object.variant.as_ref() == Some(&by_language(value))
    }

    /// Reads a body and checks every byte. A complete body must have its declared length.
    async fn verify(&self, object: &Object, key: usize, value: usize) {
        assert!(self.is_for(object, value), "{:?} for {}", object.variant, VALUES[value]);
        let (bytes, end) = read_to_end(&object.body).await;
        let Some((length, rest)) = bytes.split_first_chunk() else { return assert!(end.is_err()) };
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
        assert!(
            rest.iter().enumerate().all(|(at, byte)| *byte == byte_of(key, at)),
            "a byte in the wrong place"
        );
        match end {
            Ok(()) => assert_eq!(rest.len(), length, "a clean but short end"),
            Err(Broken(reason)) => {
                assert!(["reset", "fill_dropped", "abandoned", "no_room"].contains(&reason), "{reason}");
            }
        }
    }

    /// Counts the fill, runs it, and counts it off just before it ends.
    fn elected(
        self: &Arc<Self>,
        writer: FillWriter,
        key: usize,
        value: usize,
        dice: Dice,
    ) -> impl Future<Output = ()> + use<> {
        let before = self.under_way[key][value].fetch_add(1, Ordering::SeqCst);
        assert!(self.plan.purges || before == 0, "a second fill of one key");
        Arc::clone(self).write(writer, key, value, dice)
    }

    async fn write(self: Arc<Self>, mut writer: FillWriter, key: usize, value: usize, mut dice: Dice) {
        let off = || self.under_way[key][value].fetch_sub(1, Ordering::SeqCst);
        for _ in 0..dice.below(4) {
            yield_now().await;
        }
        match dice.below(12) {
            0 => return end_with(off(), || writer.fail(failure("refused", 0))),
            1 => return end_with(off(), || writer.pass(Duration::from_micros(500))),
            2 => return end_with(off(), || drop(writer)),
            3 if writer.stale().is_some() => {
                return end_with(off(), || writer.renew(head(), moments(&mut dice), "origin".into()));
            }
            _ => {}
        }
        let length = 1 + dice.pick(100_000);
        let variant = self.plan.varies.then(|| by_language(value));
        let promised = dice.one_in(2).then_some(length as u64 + 8);
        if writer.publish(head(), moments(&mut dice), variant, promised, "origin".into()).is_err() {
            return end_with(off(), || writer.pass(Duration::ZERO));
        }
        let mut bytes = (length as u64).to_le_bytes().to_vec();
        let mut at = 0;
        while at < length {
            if dice.one_in(30) {
                return end_with(off(), || writer.break_off(Broken("reset")));
            }
            if dice.one_in(10) {
                // Counted off first, because another request may be elected as soon as this fill is
                // abandoned.
                off();
                match writer.abandon() {
                    Ok(()) => return,
                    Err(joined) => writer = joined,
                }
                self.under_way[key][value].fetch_add(1, Ordering::SeqCst);
            }
            let end = (at + 1 + dice.pick(20_000)).min(length);
            bytes.extend((at..end).map(|at| byte_of(key, at)));
            if writer.append(std::mem::take(&mut bytes).into()).is_err() {
                return end_with(off(), || writer.break_off(Broken("reset")));
            }
            at = end;
            yield_now().await;
        }
        self.filled.fetch_add(1, Ordering::Relaxed);
        end_with(off(), || writer.complete());
    }
}

fn by_language(value: usize) -> Variant {
    variant(&["accept-language"], VALUES[value])
}

/// Lifetimes of moments, so that every state of an object occurs.
fn moments(dice: &mut Dice) -> Lifetimes {
    let mut moment = || Duration::from_micros(dice.below(2000));
    Lifetimes {
        ttl: moment(),
        stale_while_revalidate: moment(),
        stale_if_error: moment(),
        ..Lifetimes::default()
    }
}

impl Dice {
    fn pick(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap()
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    fn fork(&mut self) -> Self {
        Self(self.below(u64::from(u32::MAX)))
    }
}

fn end_with(_counted_off: usize, end: impl FnOnce()) {
    end();
}

/// The byte at a position of a key's body.
fn byte_of(key: usize, at: usize) -> u8 {
    u8::try_from((at + key * 31) % 251).unwrap()
}
