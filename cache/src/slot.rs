//! One slot per key: the cached object and the fill under way, under one short lock.
//!
//! The rules of election are here and nowhere else. Where responses vary, the slot of the request's variant
//! decides. A request gets, in this order:
//!
//! 1. the object, while it is fresh;
//! 2. the object of the fill under way, as far as it has arrived;
//! 3. the stale object within stale-while-revalidate; the first such request is elected to refresh it in the
//!    background, unless a failure is remembered;
//! 4. a pass, while the key is known to have responses that cannot be shared (hit-for-pass);
//! 5. the last failure, while it is remembered;
//! 6. a place among the readers of the fill under way;
//! 7. otherwise it is elected to start the one fill.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::fill::{Failure, Fill, FillReader};
use crate::fill_writer::FillWriter;
use crate::key::Key;
use crate::object::{Object, State};
use crate::vary::Vary;

/// The result of a look-up.
#[derive(Debug)]
pub enum Lookup {
    /// The object is fresh.
    Hit(Arc<Object>),
    /// The object is stale within stale-while-revalidate. If there is a `refresh`, this request starts a fill
    /// in the background.
    Stale {
        /// The stale object.
        object: Arc<Object>,
        /// The writer, for the one request that is elected to refresh.
        refresh: Option<FillWriter>,
    },
    /// The fill of another request is under way.
    Join(FillReader),
    /// Nothing usable is cached: this request is elected to start the fill, and reads it like any other.
    Miss(FillReader, FillWriter),
    /// Responses for this key cannot be shared: make a request of your own.
    Pass,
    /// The last fill failed a moment ago.
    Failed {
        /// The failure.
        failure: Arc<Failure>,
        /// A stale object that may be served instead (stale-if-error).
        stale: Option<Arc<Object>>,
    },
}

#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) key: Key,
    pub(crate) state: Mutex<SlotState>,
}

#[derive(Debug, Default)]
pub(crate) struct SlotState {
    pub(crate) object: Option<Arc<Object>>,
    pub(crate) fill: Option<Arc<Fill>>,
    /// Bytes reserved for the fill under way.
    pub(crate) reserved: u64,
    /// Whether the slot has been evicted since the cache was charged for this fill.
    pub(crate) is_evicted: bool,
    pub(crate) pass_until: Option<Instant>,
    pub(crate) failure: Option<(Arc<Failure>, Instant)>,
    pub(crate) vary: Option<Arc<Vary>>,
}

/// What the slot alone can decide about a request.
#[derive(Debug)]
pub(crate) enum Decision {
    Final(Lookup),
    /// The responses vary: look in the slot of the request's variant.
    Varies(Arc<Vary>),
    /// The request has to be elected.
    Elect,
}

impl Slot {
    pub(crate) fn new(key: Key) -> Self {
        Self { key, state: Mutex::default() }
    }

    /// Decides for a request at `now`, without electing.
    pub(crate) fn decide(&self, now: Instant) -> Decision {
        self.state.lock().decide(now)
    }

    /// The object, if it is fresh at `now` and the responses do not vary.
    pub(crate) fn fresh(&self, now: Instant) -> Option<Arc<Object>> {
        let state = self.state.lock();
        let object =
            state.object.as_ref().filter(|object| state.vary.is_none() && object.state(now) == State::Fresh);
        object.map(Arc::clone)
    }

    /// The object, if it may be served stale while it is revalidated at `now`.
    pub(crate) fn stale_while_revalidate(&self, now: Instant) -> Option<Arc<Object>> {
        self.state.lock().object.clone().filter(|object| object.state(now) == State::StaleWhileRevalidate)
    }

    /// Decides again and elects the request if that is still necessary. `writer` makes the fill's writer.
    pub(crate) fn elect(
        self: &Arc<Self>,
        now: Instant,
        writer: impl FnOnce(Arc<Fill>, Option<Arc<Object>>) -> FillWriter,
    ) -> Decision {
        let mut state = self.state.lock();
        match state.decide(now) {
            Decision::Elect => {}
            decision => return decision,
        }
        let old = state.object.clone().filter(|object| object.state(now) == State::StaleWhileRevalidate);
        let (fill, previous) = self.begin(&mut state, old.is_some());
        Decision::Final(match old {
            Some(object) => Lookup::Stale { object, refresh: Some(writer(fill, previous)) },
            None => Lookup::Miss(FillReader::take(&fill, true), writer(fill, previous)),
        })
    }

    /// Starts a fill for the next version while the present one is still served. `None` if a fill is under
    /// way or the responses vary.
    pub(crate) fn elect_early(
        self: &Arc<Self>,
        writer: impl FnOnce(Arc<Fill>, Option<Arc<Object>>) -> FillWriter,
    ) -> Option<FillWriter> {
        let mut state = self.state.lock();
        if state.fill.is_some() || state.vary.is_some() {
            return None;
        }
        let (fill, previous) = self.begin(&mut state, true);
        Some(writer(fill, previous))
    }

    /// Starts a fill. Also returns the object that the upstream may confirm as current.
    fn begin(
        self: &Arc<Self>,
        state: &mut SlotState,
        is_background: bool,
    ) -> (Arc<Fill>, Option<Arc<Object>>) {
        let previous = state.object.clone();
        let fill = Arc::new(Fill::new(Arc::clone(self), is_background, previous.is_some()));
        state.fill = Some(Arc::clone(&fill));
        (fill, previous)
    }

    /// Ends the freshness of the object, and its time for stale-while-revalidate.
    pub(crate) fn expire(&self) {
        let mut state = self.state.lock();
        if let Some(object) = &state.object {
            state.object = Some(Arc::new(object.expired(Instant::now())));
        }
    }

    /// Prolongs the lifetime of the object, if it is fresh, to `ttl` from `now` on.
    pub(crate) fn prolong(&self, now: Instant, ttl: Duration) {
        let mut state = self.state.lock();
        if let Some(object) = state.object.as_ref().filter(|object| object.state(now) == State::Fresh) {
            state.object = Some(Arc::new(object.prolonged(object.age(now).saturating_add(ttl))));
        }
    }

    /// Drops the object after an eviction: moka frees an evicted slot some time later, and until then its
    /// bytes would be in memory uncharged. The object that a fill under way may fall back on stays.
    pub(crate) fn drop_object(&self) {
        let mut state = self.state.lock();
        state.is_evicted = true;
        let object = if state.fill.is_none() { state.object.take() } else { None };
        drop(state);
        drop(object);
    }

    /// Removes a remembered failure and a cached 4xx. Returns whether there was one.
    pub(crate) fn purge_negative(&self) -> bool {
        let mut state = self.state.lock();
        let failure = state.failure.take();
        let missing = state.object.take_if(|object| object.head.status.is_client_error());
        let found = failure.is_some() || missing.is_some();
        drop((state, failure, missing));
        found
    }

    /// The bytes that the cache is charged for this slot; zero if there is nothing to keep.
    pub(crate) fn weight(&self) -> u64 {
        let state = self.state.lock();
        if state.is_empty() {
            return 0;
        }
        let object = state.object.as_ref().map_or(0, |object| {
            object.overhead() + object.body.full_len().unwrap_or_else(|| object.body.len())
        });
        self.key.as_str().len() as u64 + 384 + object + state.reserved
    }
}

impl SlotState {
    pub(crate) fn is_empty(&self) -> bool {
        self.object.is_none()
            && self.fill.is_none()
            && self.pass_until.is_none()
            && self.failure.is_none()
            && self.vary.is_none()
    }

    fn decide(&mut self, now: Instant) -> Decision {
        if let Some(vary) = &self.vary {
            return Decision::Varies(Arc::clone(vary));
        }
        let object = self.object.as_ref().map(|object| (object, object.state(now)));
        if let Some((object, State::Fresh)) = object {
            return Decision::Final(Lookup::Hit(Arc::clone(object)));
        }
        if let Some(fill) = self.fill.as_ref().filter(|fill| fill.has_object()) {
            return Decision::Final(Lookup::Join(FillReader::take(fill, false)));
        }
        let failure = self.failure.as_ref().filter(|(_, until)| now < *until).map(|(failure, _)| failure);
        if let Some((object, State::StaleWhileRevalidate)) = object {
            if self.fill.is_none() && failure.is_none() {
                return Decision::Elect;
            }
            return Decision::Final(Lookup::Stale { object: Arc::clone(object), refresh: None });
        }
        if self.pass_until.is_some_and(|until| now < until) {
            return Decision::Final(Lookup::Pass);
        }
        if let Some(failure) = failure {
            let stale = self.object.clone().filter(|object| object.is_usable_on_error(now));
            return Decision::Final(Lookup::Failed { failure: Arc::clone(failure), stale });
        }
        match &self.fill {
            Some(fill) => Decision::Final(Lookup::Join(FillReader::take(fill, false))),
            None => Decision::Elect,
        }
    }

    /// Whether `fill` is this slot's fill.
    pub(crate) fn is_filled_by(&self, fill: &Arc<Fill>) -> bool {
        self.fill.as_ref().is_some_and(|mine| Arc::ptr_eq(mine, fill))
    }

    /// What the responses vary by, if that is of this generation.
    pub(crate) fn vary_of(&self, generation: u64) -> Option<&Vary> {
        self.vary.as_deref().filter(|vary| vary.generation == generation)
    }

    /// Detaches `fill` and applies `update`, if it is still this slot's fill: a purge detaches it earlier.
    /// Returns whether it was.
    pub(crate) fn detach(&mut self, fill: &Arc<Fill>, update: impl FnOnce(&mut Self)) -> bool {
        if !self.is_filled_by(fill) {
            return false;
        }
        self.fill = None;
        self.reserved = 0;
        update(self);
        true
    }
}
