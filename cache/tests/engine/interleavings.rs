//! Any order of events ends with every request answered correctly and every slot usable.
//!
//! Random events are played against the cache and against `model.rs`, which computes the expected results.
//! With eviction among the events, and only then, the cache may have forgotten an object, and then answers as
//! if it had never cached it.

mod model;

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use proptest::prelude::*;
use tidegate_cache::{Answer, Broken, Cache, FillReader, FillWriter, Key, Limits, Lookup, Reader};
use tokio::time::{Instant, advance};

use self::model::{Expected, Model, Outcome};
use crate::harness::*;

#[derive(Debug, Clone, Copy)]
enum Event {
    Ask { key: usize },
    Read { client: usize },
    Leave { client: usize },
    Write { writer: usize, action: Action },
    Purge { key: usize },
    Advance { milliseconds: u64 },
    Flood,
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Publish { ttl: u64, stale_while_revalidate: u64, stale_if_error: u64 },
    Append { len: usize },
    Complete,
    BreakOff,
    Renew,
    Pass { lifetime: u64 },
    TooLarge { lifetime: u64 },
    Fail { lifetime: u64 },
    Drop,
    Abandon,
}

const KEYS: usize = 3;

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (0..4_u64, 0..4_u64, 0..8_u64).prop_map(|(ttl, stale_while_revalidate, stale_if_error)| Action::Publish { ttl, stale_while_revalidate, stale_if_error }),
        8 => prop_oneof![Just(0), 1..10_usize, Just(5000), Just(66_000)].prop_map(|len| Action::Append { len }),
        3 => Just(Action::Complete),
        1 => Just(Action::BreakOff),
        1 => Just(Action::Renew),
        1 => (0..4_u64).prop_map(|lifetime| Action::Pass { lifetime }),
        1 => (0..4_u64).prop_map(|lifetime| Action::TooLarge { lifetime }),
        1 => (0..4_u64).prop_map(|lifetime| Action::Fail { lifetime }),
        1 => Just(Action::Drop),
        2 => Just(Action::Abandon),
    ]
}

fn event(floods: u32) -> impl Strategy<Value = Event> {
    prop_oneof![
        10 => (0..KEYS).prop_map(|key| Event::Ask { key }),
        4 => any::<usize>().prop_map(|client| Event::Read { client }),
        4 => any::<usize>().prop_map(|client| Event::Leave { client }),
        14 => (any::<usize>(), action()).prop_map(|(writer, action)| Event::Write { writer, action }),
        1 => (0..KEYS).prop_map(|key| Event::Purge { key }),
        3 => (0..5000_u64).prop_map(|milliseconds| Event::Advance { milliseconds }),
        floods => Just(Event::Flood),
    ]
}

fn play(limits: Limits, events: Vec<Event>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let mut world = World::new(limits);
        for event in events {
            world.play(event).await;
            world.check_totals();
        }
        world.end().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_events_is_answered_as_the_model_says(
        events in prop::collection::vec(event(0), 1..120),
    ) {
        play(Limits { bytes: 64 * MIB, object_max: 16 * MIB, variants_max: 64 }, events);
    }

    #[test]
    fn eviction_at_any_moment_forgets_and_does_no_other_harm(
        events in prop::collection::vec(event(2), 1..120),
    ) {
        play(Limits { bytes: 4 * MIB, object_max: MIB, variants_max: 64 }, events);
    }
}

/// The cache with all its clients and writers, and the model beside it.
struct World {
    cache: Cache,
    keys: Vec<Key>,
    model: Model,
    writers: Vec<(FillWriter, usize)>,
    clients: Vec<Client>,
    written: u64,
    floods: usize,
}

/// One client's reader of a fill.
struct Client {
    fill_reader: FillReader,
    fill: usize,
    reader: Option<Reader>,
    read: Vec<u8>,
    end: Option<Result<(), Broken>>,
}

impl World {
    fn new(limits: Limits) -> Self {
        Self {
            cache: Cache::new(limits),
            keys: (0..KEYS).map(|n| key(&format!("/{n}.ts"))).collect(),
            model: Model::new(KEYS),
            writers: Vec::new(),
            clients: Vec::new(),
            written: 0,
            floods: 0,
        }
    }

    async fn play(&mut self, event: Event) {
        match event {
            Event::Ask { key } => self.look_up(key),
            Event::Read { client } => {
                if let Some(client) = pick(self.clients.len(), client) {
                    self.clients[client].read(&self.model);
                }
            }
            Event::Leave { client } => {
                if let Some(client) = pick(self.clients.len(), client) {
                    self.model.leave(self.clients.swap_remove(client).fill);
                }
            }
            Event::Write { writer, action } => {
                if let Some(writer) = pick(self.writers.len(), writer) {
                    self.write(writer, action);
                }
            }
            Event::Purge { key } => {
                self.cache.purge(&self.keys[key]);
                self.model.purge(key);
            }
            Event::Advance { milliseconds } => advance(Duration::from_millis(milliseconds)).await,
            Event::Flood => self.flood(),
        }
    }

    fn look_up(&mut self, key: usize) {
        let now = Instant::now();
        let got = look_up(&self.cache, &self.keys[key]);
        let mut expected = self.model.expect(key, now);
        let evicted =
            !fits(&expected, &got) || matches!(&got, Lookup::Miss(_, writer) if writer.stale().is_none());
        if self.floods > 0 && evicted && self.model.forget(key) {
            expected = self.model.expect(key, now);
        }
        assert!(fits(&expected, &got), "expected {expected:?}, got {got:?}");
        match (got, expected) {
            (Lookup::Join(fill_reader), Expected::Join(fill)) => self.add_client(fill_reader, fill),
            (Lookup::Miss(fill_reader, writer), _) => {
                let fill = self.elect(key, writer);
                self.add_client(fill_reader, fill);
            }
            (Lookup::Stale { refresh: Some(writer), .. }, _) => {
                self.elect(key, writer);
            }
            _ => {}
        }
    }

    fn elect(&mut self, key: usize, writer: FillWriter) -> usize {
        let fill = self.model.elect(key);
        assert_eq!(writer.stale().map(|object| bytes(object)).as_deref(), self.model.stale(fill));
        self.writers.push((writer, fill));
        fill
    }

    fn add_client(&mut self, fill_reader: FillReader, fill: usize) {
        self.model.join(fill);
        self.clients.push(Client { fill_reader, fill, reader: None, read: Vec::new(), end: None });
    }

    fn write(&mut self, index: usize, action: Action) {
        let now = Instant::now();
        let (writer, fill) = &mut self.writers[index];
        let (fill, headed) = (*fill, self.model.has_head(*fill));
        match action {
            Action::Publish { ttl, stale_while_revalidate, stale_if_error } if !headed => {
                publish(writer, lifetimes(ttl, stale_while_revalidate, stale_if_error));
                return self.model.publish(fill, lifetimes(ttl, stale_while_revalidate, stale_if_error), now);
            }
            Action::Append { len } if headed => {
                let bytes: Vec<u8> = (0..len as u64).map(|n| ((self.written + n) % 251) as u8).collect();
                self.written += len as u64 + 17;
                self.model.append(fill, &bytes);
                return writer.append(Bytes::from(bytes)).unwrap();
            }
            Action::Publish { .. } | Action::Append { .. } => return,
            // These ends contradict a published head; `broken.rs` tests them.
            Action::Renew | Action::Pass { .. } if headed => return,
            _ => {}
        }
        let (writer, _) = self.writers.swap_remove(index);
        let outcome = match action {
            Action::Complete => end(Outcome::Complete, || writer.complete()),
            Action::BreakOff => end(Outcome::Broken("reset"), || writer.break_off(Broken("reset"))),
            Action::Renew => {
                let renew = || writer.renew(head(), lifetimes(3, 3, 3), "origin".into());
                end(Outcome::Renewed(lifetimes(3, 3, 3)), renew)
            }
            Action::Pass { lifetime } => {
                end(Outcome::Pass(seconds(lifetime)), || writer.pass(seconds(lifetime)))
            }
            Action::TooLarge { lifetime } => {
                end(Outcome::TooLarge(seconds(lifetime)), || writer.end_too_large(seconds(lifetime)))
            }
            Action::Fail { lifetime } => {
                let fail = || writer.fail(failure("refused", lifetime));
                end(Outcome::Failed("refused", seconds(lifetime)), fail)
            }
            Action::Abandon => match writer.abandon() {
                Ok(()) => Outcome::Abandoned,
                Err(writer) => {
                    assert!(self.model.is_wanted(fill), "the fill has no reader");
                    return self.writers.push((writer, fill));
                }
            },
            _ => end(Outcome::Failed("fill_dropped", Duration::ZERO), || drop(writer)),
        };
        self.model.end(fill, outcome, now);
    }

    /// Fills enough other keys to evict everything that is not in use.
    fn flood(&mut self) {
        self.floods += 1;
        for n in 0..60 {
            let other = key(&format!("/flood/{}/{n}", self.floods));
            store(&self.cache, &other, lifetimes(1, 0, 0), &vec![0; 100_000]);
        }
    }

    fn check_totals(&self) {
        let totals = self.cache.totals();
        assert_eq!(totals.fills, self.model.attached(), "one fill per key at most: {totals:?}");
        assert_eq!(totals.waiting, self.model.waiting(), "{totals:?}");
        assert!(totals.filling_bytes >= self.model.growing_bytes(), "{totals:?}");
        assert!(totals.charged_bytes <= totals.budget_bytes / 20 * 21, "{totals:?}");
        for (writer, fill) in &self.writers {
            assert_eq!(writer.readers_total(), self.model.readers_total(*fill));
        }
    }

    /// The end of every sequence: all writers go, all requests are answered, and every key can be filled
    /// again.
    async fn end(mut self) {
        while let Some((writer, fill)) = self.writers.pop() {
            drop(writer);
            self.model.end(fill, Outcome::Failed("fill_dropped", Duration::ZERO), Instant::now());
        }
        for client in &mut self.clients {
            client.read(&self.model);
            assert!(client.reader.is_none() || client.end.is_some(), "a reader waits forever");
        }
        self.clients.clear();
        for key in 0..KEYS {
            self.look_up(key);
        }
        for (writer, _) in self.writers.drain(..) {
            fill(writer, lifetimes(1, 0, 0), b"again");
        }
        self.clients.clear();
        advance(seconds(3600)).await;
        for key in &self.keys {
            store(&self.cache, key, lifetimes(60, 0, 0), b"still works");
            assert_eq!(bytes(&look_up(&self.cache, key).hit()), b"still works");
            self.cache.purge(key);
        }
        assert_quiet(&self.cache);
        if self.floods == 0 {
            let totals = self.cache.totals();
            assert_eq!((totals.slots, totals.charged_bytes, totals.body_bytes), (0, 0, 0), "{totals:?}");
        }
    }
}

impl Client {
    /// Reads all bytes so far and compares them with the bytes that the model has written.
    fn read(&mut self, model: &Model) {
        let answer = now(&self.fill_reader);
        assert_eq!(answer.is_some(), model.is_answered(self.fill));
        let object = match answer {
            None => return,
            Some(Answer::Purged) => panic!("no purge by a rule has run"),
            Some(Answer::Pass) => return assert!(model.passed(self.fill)),
            Some(Answer::Failed { failure, stale }) => {
                let stale = stale.map(|object| bytes(&object));
                return assert!(model.failed(self.fill, failure.reason, stale.as_deref()));
            }
            Some(Answer::Object(object)) => object,
        };
        let reader = self.reader.get_or_insert_with(|| object.body.reader(0, None));
        self.end = loop {
            match reader.next(ALL).now_or_never() {
                None => break None,
                Some(Ok(pieces)) if pieces.is_empty() => break Some(Ok(())),
                Some(Ok(pieces)) => self.read.extend(pieces.concat()),
                Some(Err(broken)) => break Some(Err(broken)),
            }
        };
        let (bytes, end) = model.body(self.fill);
        assert!(self.read == bytes, "{} bytes were read, {} were written", self.read.len(), bytes.len());
        assert_eq!(self.end, end.map(|end| end.map_err(Broken)));
    }
}

fn end(outcome: Outcome, end: impl FnOnce()) -> Outcome {
    end();
    outcome
}

fn pick(len: usize, choice: usize) -> Option<usize> {
    choice.checked_rem(len)
}

fn fits(expected: &Expected, got: &Lookup) -> bool {
    match (expected, got) {
        (Expected::Hit(expected), Lookup::Hit(object)) => *expected == bytes(object),
        (Expected::Stale { bytes: expected, elects }, Lookup::Stale { object, refresh }) => {
            *expected == bytes(object) && *elects == refresh.is_some()
        }
        (Expected::Failed { reason, stale }, Lookup::Failed { failure, stale: got }) => {
            *reason == failure.reason && *stale == got.as_ref().map(|object| bytes(object))
        }
        (Expected::Miss, Lookup::Miss(fill_reader, _)) => fill_reader.is_elected(),
        (Expected::Join(_), Lookup::Join(fill_reader)) => !fill_reader.is_elected(),
        (Expected::Pass, Lookup::Pass) => true,
        _ => false,
    }
}
