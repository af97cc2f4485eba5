//! The expected results of a sequence of events, as simply as possible: no locks, no weights, no wake-ups.

use std::time::Duration;

use tidegate_cache::Lifetimes;
use tokio::time::Instant;

/// The expected result of a look-up.
#[derive(Debug)]
pub(super) enum Expected {
    Hit(Vec<u8>),
    Join(usize),
    Stale { bytes: Vec<u8>, elects: bool },
    Pass,
    Failed { reason: &'static str, stale: Option<Vec<u8>> },
    Miss,
}

/// How a writer ends a fill.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    Complete,
    Broken(&'static str),
    Renewed(Lifetimes),
    Pass(Duration),
    TooLarge(Duration),
    Failed(&'static str, Duration),
    Abandoned,
}

#[derive(Debug)]
pub(super) struct Model {
    keys: Vec<KeyModel>,
    fills: Vec<FillModel>,
}

/// The state of a key.
#[derive(Debug, Default, Clone)]
struct KeyModel {
    object: Option<Stored>,
    fill: Option<usize>,
    pass_until: Option<Instant>,
    failure: Option<(&'static str, Instant)>,
}

#[derive(Debug, Clone)]
struct Stored {
    bytes: Vec<u8>,
    lifetimes: Lifetimes,
    received: Instant,
}

/// The history of a fill.
#[derive(Debug)]
struct FillModel {
    key: usize,
    stale: Option<Stored>,
    head: Option<(Lifetimes, Instant)>,
    bytes: Vec<u8>,
    answer: Option<ModelAnswer>,
    body_end: Option<Result<(), &'static str>>,
    fill_readers: usize,
    readers_total: usize,
    over: bool,
}

#[derive(Debug)]
enum ModelAnswer {
    Object,
    Pass,
    Failed { reason: &'static str, stale: Option<Vec<u8>> },
}

impl Stored {
    fn age(&self, now: Instant) -> Duration {
        now - self.received
    }

    fn is_fresh(&self, now: Instant) -> bool {
        self.age(now) < self.lifetimes.ttl
    }

    fn is_in_grace(&self, now: Instant) -> bool {
        !self.is_fresh(now) && self.age(now) < self.lifetimes.ttl + self.lifetimes.stale_while_revalidate
    }

    fn usable_on_error(&self, now: Instant) -> Option<Vec<u8>> {
        (self.age(now) < self.lifetimes.ttl + self.lifetimes.stale_if_error).then(|| self.bytes.clone())
    }
}

impl Model {
    pub(super) fn new(keys: usize) -> Self {
        Self { keys: vec![KeyModel::default(); keys], fills: Vec::new() }
    }

    pub(super) fn expect(&self, key: usize, now: Instant) -> Expected {
        let known = &self.keys[key];
        let fresh = known.object.as_ref().filter(|object| object.is_fresh(now));
        let in_grace = known.object.as_ref().filter(|object| object.is_in_grace(now));
        let growing = known.fill.filter(|fill| self.has_head(*fill));
        let failure = known.failure.filter(|(_, until)| now < *until);
        if let Some(object) = fresh {
            Expected::Hit(object.bytes.clone())
        } else if let Some(fill) = growing {
            Expected::Join(fill)
        } else if let Some(object) = in_grace {
            let elects = known.fill.is_none() && failure.is_none();
            Expected::Stale { bytes: object.bytes.clone(), elects }
        } else if known.pass_until.is_some_and(|until| now < until) {
            Expected::Pass
        } else if let Some((reason, _)) = failure {
            let stale = known.object.as_ref().and_then(|object| object.usable_on_error(now));
            Expected::Failed { reason, stale }
        } else {
            known.fill.map_or(Expected::Miss, Expected::Join)
        }
    }

    /// Eviction may forget a key, unless a fill of it is under way.
    pub(super) fn forget(&mut self, key: usize) -> bool {
        let free = self.keys[key].fill.is_none();
        if free {
            self.purge(key);
        }
        free
    }

    pub(super) fn purge(&mut self, key: usize) {
        self.keys[key] = KeyModel::default();
    }

    pub(super) fn elect(&mut self, key: usize) -> usize {
        let known = &mut self.keys[key];
        assert!(known.fill.is_none(), "a second fill for one key");
        known.fill = Some(self.fills.len());
        self.fills.push(FillModel {
            key,
            stale: known.object.clone(),
            head: None,
            bytes: Vec::new(),
            answer: None,
            body_end: None,
            fill_readers: 0,
            readers_total: 0,
            over: false,
        });
        self.fills.len() - 1
    }

    pub(super) fn join(&mut self, fill: usize) {
        self.fills[fill].fill_readers += 1;
        self.fills[fill].readers_total += 1;
    }

    pub(super) fn leave(&mut self, fill: usize) {
        self.fills[fill].fill_readers -= 1;
    }

    pub(super) fn publish(&mut self, fill: usize, lifetimes: Lifetimes, now: Instant) {
        let model_fill = &mut self.fills[fill];
        model_fill.head = Some((lifetimes, now));
        model_fill.answer = Some(ModelAnswer::Object);
    }

    pub(super) fn append(&mut self, fill: usize, bytes: &[u8]) {
        self.fills[fill].bytes.extend_from_slice(bytes);
    }

    pub(super) fn end(&mut self, fill: usize, outcome: Outcome, now: Instant) {
        let model_fill = &mut self.fills[fill];
        let outcome = model_fill.effective(outcome);
        model_fill.close(outcome, now);
        let known = &mut self.keys[model_fill.key];
        if known.fill != Some(fill) {
            return;
        }
        known.fill = None;
        match outcome {
            Outcome::Complete | Outcome::Renewed(_) => {
                let (lifetimes, received) = model_fill.head.expect("a head came first");
                let bytes = model_fill.bytes.clone();
                *known =
                    KeyModel { object: Some(Stored { bytes, lifetimes, received }), ..KeyModel::default() };
            }
            Outcome::Pass(lifetime) => {
                known.object = None;
                known.pass_until = Some(now + lifetime);
            }
            Outcome::TooLarge(lifetime) => known.pass_until = Some(now + lifetime),
            Outcome::Failed(reason, lifetime) => known.failure = Some((reason, now + lifetime)),
            Outcome::Broken(_) | Outcome::Abandoned => {}
        }
    }

    pub(super) fn has_head(&self, fill: usize) -> bool {
        self.fills[fill].head.is_some()
    }

    pub(super) fn stale(&self, fill: usize) -> Option<&[u8]> {
        self.fills[fill].stale.as_ref().map(|stale| &*stale.bytes)
    }

    pub(super) fn is_wanted(&self, fill: usize) -> bool {
        self.fills[fill].fill_readers > 0
    }

    pub(super) fn readers_total(&self, fill: usize) -> usize {
        self.fills[fill].readers_total
    }

    pub(super) fn is_answered(&self, fill: usize) -> bool {
        self.fills[fill].answer.is_some()
    }

    pub(super) fn passed(&self, fill: usize) -> bool {
        matches!(self.fills[fill].answer, Some(ModelAnswer::Pass))
    }

    pub(super) fn failed(&self, fill: usize, reason: &str, stale: Option<&[u8]>) -> bool {
        match &self.fills[fill].answer {
            Some(ModelAnswer::Failed { reason: expected, stale: object }) => {
                *expected == reason && object.as_deref() == stale
            }
            _ => false,
        }
    }

    /// The bytes that a reader must have read, and how the body ended, if it has.
    pub(super) fn body(&self, fill: usize) -> (&[u8], Option<Result<(), &'static str>>) {
        (&self.fills[fill].bytes, self.fills[fill].body_end)
    }

    pub(super) fn attached(&self) -> u64 {
        self.keys.iter().filter(|known| known.fill.is_some()).count() as u64
    }

    pub(super) fn waiting(&self) -> u64 {
        let attached = self.keys.iter().filter_map(|known| known.fill);
        attached.map(|fill| self.fills[fill].fill_readers as u64).sum()
    }

    pub(super) fn growing_bytes(&self) -> u64 {
        let growing = self.fills.iter().filter(|model_fill| !model_fill.over);
        growing.map(|model_fill| model_fill.bytes.len() as u64).sum()
    }
}

impl FillModel {
    /// The effective end of a fill in its present state.
    fn effective(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Complete if self.head.is_none() => Outcome::Failed("fill_dropped", Duration::ZERO),
            Outcome::Renewed(_) if self.stale.is_none() => Outcome::Failed("fill_dropped", Duration::ZERO),
            Outcome::Broken(reason) if self.head.is_none() => Outcome::Failed(reason, Duration::ZERO),
            Outcome::Abandoned => {
                assert_eq!(self.fill_readers, 0, "the fill has a reader");
                outcome
            }
            outcome => outcome,
        }
    }

    /// Sets what waiting and reading clients receive.
    fn close(&mut self, outcome: Outcome, now: Instant) {
        self.over = true;
        if let (Outcome::Renewed(lifetimes), Some(stale)) = (outcome, &self.stale) {
            self.head = Some((lifetimes, now));
            self.bytes.clone_from(&stale.bytes);
        }
        let (answer, body_end) = match outcome {
            Outcome::Complete | Outcome::Renewed(_) => (ModelAnswer::Object, Ok(())),
            Outcome::Broken(reason) => (ModelAnswer::Object, Err(reason)),
            Outcome::Pass(_) => (ModelAnswer::Pass, Err("fill_dropped")),
            Outcome::TooLarge(_) => (ModelAnswer::Pass, Err("too_large")),
            Outcome::Abandoned => (ModelAnswer::Pass, Err("abandoned")),
            Outcome::Failed(reason, _) => {
                let stale = self.stale.as_ref().and_then(|stale| stale.usable_on_error(now));
                (ModelAnswer::Failed { reason, stale }, Err(reason))
            }
        };
        self.answer.get_or_insert(answer);
        self.body_end = Some(body_end);
    }
}
