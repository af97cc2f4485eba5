//! Any order of events ends with every asker answered, rightly, and no slot stuck.
//!
//! Random events are played at once against the cache and against `model.rs`, which says what must come of them.
//! Where eviction is among the events, the cache may have forgotten what it held, and then, but only then, answers
//! as if it had never held it.

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
    Read { seat: usize },
    Leave { seat: usize },
    Write { pen: usize, stroke: Stroke },
    Purge { key: usize },
    Advance { milliseconds: u64 },
    Flood,
}

#[derive(Debug, Clone, Copy)]
enum Stroke {
    Publish { ttl: u64, grace: u64, keep: u64 },
    Append { len: usize },
    Complete,
    BreakOff,
    Renew,
    Pass { lifetime: u64 },
    Outgrow { lifetime: u64 },
    Fail { lifetime: u64 },
    Drop,
    Abandon,
}

const KEYS: usize = 3;

fn stroke() -> impl Strategy<Value = Stroke> {
    prop_oneof![
        6 => (0..4_u64, 0..4_u64, 0..8_u64).prop_map(|(ttl, grace, keep)| Stroke::Publish { ttl, grace, keep }),
        8 => prop_oneof![Just(0), 1..10_usize, Just(5000), Just(66_000)].prop_map(|len| Stroke::Append { len }),
        3 => Just(Stroke::Complete),
        1 => Just(Stroke::BreakOff),
        1 => Just(Stroke::Renew),
        1 => (0..4_u64).prop_map(|lifetime| Stroke::Pass { lifetime }),
        1 => (0..4_u64).prop_map(|lifetime| Stroke::Outgrow { lifetime }),
        1 => (0..4_u64).prop_map(|lifetime| Stroke::Fail { lifetime }),
        1 => Just(Stroke::Drop),
        2 => Just(Stroke::Abandon),
    ]
}

fn event(floods: u32) -> impl Strategy<Value = Event> {
    prop_oneof![
        10 => (0..KEYS).prop_map(|key| Event::Ask { key }),
        4 => any::<usize>().prop_map(|seat| Event::Read { seat }),
        4 => any::<usize>().prop_map(|seat| Event::Leave { seat }),
        14 => (any::<usize>(), stroke()).prop_map(|(pen, stroke)| Event::Write { pen, stroke }),
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
        play(Limits { bytes: 64 * MIB, object_max: 16 * MIB }, events);
    }

    #[test]
    fn eviction_at_any_moment_forgets_and_does_no_other_harm(
        events in prop::collection::vec(event(2), 1..120),
    ) {
        play(Limits { bytes: 4 * MIB, object_max: MIB }, events);
    }
}

/// The cache with all its askers and writers, and the model beside it.
struct World {
    cache: Cache,
    keys: Vec<Key>,
    model: Model,
    pens: Vec<(FillWriter, usize)>,
    seats: Vec<Seat>,
    written: u64,
    floods: usize,
}

/// One asker's place at a fill.
struct Seat {
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
            pens: Vec::new(),
            seats: Vec::new(),
            written: 0,
            floods: 0,
        }
    }

    async fn play(&mut self, event: Event) {
        match event {
            Event::Ask { key } => self.ask(key),
            Event::Read { seat } => {
                if let Some(seat) = pick(self.seats.len(), seat) {
                    self.seats[seat].read(&self.model);
                }
            }
            Event::Leave { seat } => {
                if let Some(seat) = pick(self.seats.len(), seat) {
                    self.model.leave(self.seats.swap_remove(seat).fill);
                }
            }
            Event::Write { pen, stroke } => {
                if let Some(pen) = pick(self.pens.len(), pen) {
                    self.write(pen, stroke);
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

    fn ask(&mut self, key: usize) {
        let now = Instant::now();
        let got = ask(&self.cache, &self.keys[key]);
        let mut expected = self.model.expect(key, now);
        let evicted = !fits(&expected, &got) || matches!(&got, Lookup::Miss(_, pen) if pen.stale().is_none());
        if self.floods > 0 && evicted && self.model.forget(key) {
            expected = self.model.expect(key, now);
        }
        assert!(fits(&expected, &got), "expected {expected:?}, got {got:?}");
        match (got, expected) {
            (Lookup::Join(fill_reader), Expected::Join(fill)) => self.seat(fill_reader, fill),
            (Lookup::Miss(fill_reader, pen), _) => {
                let fill = self.elect(key, pen);
                self.seat(fill_reader, fill);
            }
            (Lookup::Stale { refresh: Some(pen), .. }, _) => {
                self.elect(key, pen);
            }
            _ => {}
        }
    }

    fn elect(&mut self, key: usize, pen: FillWriter) -> usize {
        let fill = self.model.elect(key);
        assert_eq!(pen.stale().map(|object| bytes(object)).as_deref(), self.model.stale(fill));
        self.pens.push((pen, fill));
        fill
    }

    fn seat(&mut self, fill_reader: FillReader, fill: usize) {
        self.model.join(fill);
        self.seats.push(Seat { fill_reader, fill, reader: None, read: Vec::new(), end: None });
    }

    fn write(&mut self, index: usize, stroke: Stroke) {
        let now = Instant::now();
        let (pen, fill) = &mut self.pens[index];
        let (fill, headed) = (*fill, self.model.has_head(*fill));
        match stroke {
            Stroke::Publish { ttl, grace, keep } if !headed => {
                publish(pen, lives(ttl, grace, keep));
                return self.model.publish(fill, lives(ttl, grace, keep), now);
            }
            Stroke::Append { len } if headed => {
                let bytes: Vec<u8> = (0..len as u64).map(|n| ((self.written + n) % 251) as u8).collect();
                self.written += len as u64 + 17;
                self.model.append(fill, &bytes);
                return pen.append(Bytes::from(bytes)).unwrap();
            }
            Stroke::Publish { .. } | Stroke::Append { .. } => return,
            // An end that does not fit a fill whose head is out has a story of its own.
            Stroke::Renew | Stroke::Pass { .. } if headed => return,
            _ => {}
        }
        let (pen, _) = self.pens.swap_remove(index);
        let outcome = match stroke {
            Stroke::Complete => end(Outcome::Complete, || pen.complete()),
            Stroke::BreakOff => end(Outcome::Broken("reset"), || pen.break_off(Broken("reset"))),
            Stroke::Renew => {
                let renew = || pen.renew(head(), lives(3, 3, 3), "origin".into());
                end(Outcome::Renewed(lives(3, 3, 3)), renew)
            }
            Stroke::Pass { lifetime } => {
                end(Outcome::Pass(seconds(lifetime)), || pen.pass(seconds(lifetime)))
            }
            Stroke::Outgrow { lifetime } => {
                end(Outcome::Outgrown(seconds(lifetime)), || pen.outgrow(seconds(lifetime)))
            }
            Stroke::Fail { lifetime } => {
                let fail = || pen.fail(failure("refused", lifetime));
                end(Outcome::Failed("refused", seconds(lifetime)), fail)
            }
            Stroke::Abandon => match pen.abandon() {
                Ok(()) => Outcome::Abandoned,
                Err(pen) => {
                    assert!(self.model.is_wanted(fill), "nobody holds a ticket");
                    return self.pens.push((pen, fill));
                }
            },
            _ => end(Outcome::Failed("fill_dropped", Duration::ZERO), || drop(pen)),
        };
        self.model.end(fill, outcome, now);
    }

    /// Fills so many other keys that eviction comes to all that is not in use.
    fn flood(&mut self) {
        self.floods += 1;
        for n in 0..60 {
            let other = key(&format!("/flood/{}/{n}", self.floods));
            store(&self.cache, &other, lives(1, 0, 0), &vec![0; 100_000]);
        }
    }

    fn check_totals(&self) {
        let totals = self.cache.totals();
        assert_eq!(totals.fills, self.model.attached(), "one fill per key at most: {totals:?}");
        assert_eq!(totals.waiting, self.model.waiting(), "{totals:?}");
        assert!(totals.filling_bytes >= self.model.growing_bytes(), "{totals:?}");
        assert!(totals.charged_bytes <= totals.budget_bytes / 20 * 21, "{totals:?}");
        for (pen, fill) in &self.pens {
            assert_eq!(pen.served(), self.model.served(*fill));
        }
    }

    /// Whatever has happened: all pens go, all askers are answered, and every key can be filled again.
    async fn end(mut self) {
        while let Some((pen, fill)) = self.pens.pop() {
            drop(pen);
            self.model.end(fill, Outcome::Failed("fill_dropped", Duration::ZERO), Instant::now());
        }
        for seat in &mut self.seats {
            seat.read(&self.model);
            assert!(seat.reader.is_none() || seat.end.is_some(), "a reader waits for ever");
        }
        self.seats.clear();
        for key in 0..KEYS {
            self.ask(key);
        }
        for (pen, _) in self.pens.drain(..) {
            fill(pen, lives(1, 0, 0), b"again");
        }
        self.seats.clear();
        advance(seconds(3600)).await;
        for key in &self.keys {
            store(&self.cache, key, lives(60, 0, 0), b"still works");
            assert_eq!(bytes(&ask(&self.cache, key).hit()), b"still works");
            self.cache.purge(key);
        }
        assert_quiet(&self.cache);
        if self.floods == 0 {
            let totals = self.cache.totals();
            assert_eq!((totals.slots, totals.charged_bytes, totals.body_bytes), (0, 0, 0), "{totals:?}");
        }
    }
}

impl Seat {
    /// Takes all that there is by now and compares it with what the model says was written.
    fn read(&mut self, model: &Model) {
        let answer = now(&self.fill_reader);
        assert_eq!(answer.is_some(), model.is_answered(self.fill));
        let object = match answer {
            None => return,
            Some(Answer::Pass) => return assert!(model.passed(self.fill)),
            Some(Answer::Failed { failure, stand_in }) => {
                let stand_in = stand_in.map(|object| bytes(&object));
                return assert!(model.failed(self.fill, failure.reason, stand_in.as_deref()));
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
        (Expected::Failed { reason, stand_in }, Lookup::Failed { failure, stand_in: got }) => {
            *reason == failure.reason && *stand_in == got.as_ref().map(|object| bytes(object))
        }
        (Expected::Miss, Lookup::Miss(fill_reader, _)) => fill_reader.is_elected(),
        (Expected::Join(_), Lookup::Join(fill_reader)) => !fill_reader.is_elected(),
        (Expected::Pass, Lookup::Pass) => true,
        _ => false,
    }
}
