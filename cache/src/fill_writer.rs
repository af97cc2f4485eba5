//! The writing side of a fill, and the ways in which a fill can end.
//!
//! Every fill ends, and its end is an answer to every reader: dropping the writer without an end counts as a
//! failure. A broken response is never stored. When the last reader is gone, the writer may
//! [`abandon`](FillWriter::abandon) the fill.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::Lifetimes;
use crate::body::{Body, Broken};
use crate::fill::{Answer, Failure, Fill, Refused};
use crate::key::Key;
use crate::object::{Head, Object, Variant};
use crate::slot::{Slot, SlotState};
use crate::store::Inner;

/// The writing side of a fill. There is one; what it writes reaches every reader.
#[derive(Debug)]
pub struct FillWriter {
    cache: Arc<Inner>,
    fill: Arc<Fill>,
    stale: Option<Arc<Object>>,
    object: Option<Arc<Object>>,
    reserved: u64,
    /// The part of the reserved bytes that has not arrived.
    unarrived: u64,
    ended: bool,
    /// The slot that the fill has left for that of the whole. It keeps the fill until the head is published.
    left: Option<Arc<Slot>>,
}

/// Shows whether a fill was purged, also after its writer is gone.
#[derive(Debug, Clone)]
pub struct PurgeWatch(Arc<Fill>);

impl PurgeWatch {
    /// Whether a purge since the fill began selects its key or its response, which is not stored.
    pub fn is_purged(&self) -> bool {
        self.0.is_purged()
    }

    /// Whether that holds, or will once a response with this head is published.
    pub fn selects(&self, head: &Head) -> bool {
        self.0.is_purged() || self.0.was_selected(head)
    }
}

impl FillWriter {
    pub(crate) fn new(cache: Arc<Inner>, fill: Arc<Fill>, stale: Option<Arc<Object>>) -> Self {
        Self { cache, fill, stale, object: None, reserved: 0, unarrived: 0, ended: false, left: None }
    }

    pub(crate) fn cache(&self) -> &Inner {
        &self.cache
    }

    pub(crate) fn fill(&self) -> &Arc<Fill> {
        &self.fill
    }

    /// The fill has left `slot`. Its stale object is of another key.
    pub(crate) fn leave(&mut self, slot: Arc<Slot>) {
        self.stale = None;
        self.left = Some(slot);
    }

    /// Shows whether the fill was purged.
    pub fn purge_watch(&self) -> PurgeWatch {
        PurgeWatch(Arc::clone(&self.fill))
    }

    /// The largest object that the cache stores, in bytes.
    pub fn object_max(&self) -> u64 {
        self.cache.limits().object_max
    }

    /// The key of the fill.
    pub fn key(&self) -> Key {
        self.fill.slot.lock().key.clone()
    }

    /// The stale object, for a conditional request.
    pub fn stale(&self) -> Option<&Arc<Object>> {
        self.stale.as_ref()
    }

    /// The object that is being written, once its head is published.
    pub fn object(&self) -> Option<&Arc<Object>> {
        self.object.as_ref()
    }

    /// Publishes the head: from now on readers follow the body as it grows. `content_length` is the length
    /// that the upstream declared. Call it once.
    ///
    /// # Errors
    /// When the object is too large or there is no room for it. Nothing has been published then.
    pub fn publish(
        &mut self,
        head: Head,
        lifetimes: Lifetimes,
        variant: Option<Variant>,
        content_length: Option<u64>,
        upstream: Arc<str>,
    ) -> Result<(), Refused> {
        self.publish_head(head, lifetimes, variant, content_length, upstream)?;
        self.charge();
        Ok(())
    }

    /// The same for an object of `len` bytes that have all arrived. [`FillWriter::complete_with`] must follow
    /// immediately; it charges the cache for the object, so that this call need not.
    ///
    /// # Errors
    /// When the object is too large or there is no room for it. Nothing has been published then.
    pub fn publish_whole(
        &mut self,
        head: Head,
        lifetimes: Lifetimes,
        variant: Option<Variant>,
        len: u64,
        upstream: Arc<str>,
    ) -> Result<(), Refused> {
        self.publish_head(head, lifetimes, variant, Some(len), upstream)
    }

    fn publish_head(
        &mut self,
        head: Head,
        lifetimes: Lifetimes,
        variant: Option<Variant>,
        content_length: Option<u64>,
        upstream: Arc<str>,
    ) -> Result<(), Refused> {
        self.reserve(content_length.unwrap_or_default())?;
        if let Some(first) = &self.object {
            // Its readers have the head of another upstream.
            first.body.break_off(Broken("head_twice"));
        }
        if self.fill.was_selected(&head) {
            return Err(self.purge());
        }
        self.cache.move_to_variant(&self.fill, variant.as_ref());
        let body = Arc::new(Body::new(content_length, self.cache.ledger()));
        let object = Arc::new(Object { variant, ..Object::new(head, body, lifetimes, upstream) });
        self.object = Some(Arc::clone(&object));
        if !self.fill.publish_object(object) {
            self.object = None;
            return Err(self.purge());
        }
        self.detach_left();
        Ok(())
    }

    /// Purges the fill, whose response a purge selects. It is detached first, so that no request joins it
    /// after its readers have left.
    fn purge(&mut self) -> Refused {
        self.detach_left();
        let slot = Arc::clone(&self.fill.slot.lock());
        self.cache.detach(&slot, &self.fill);
        self.fill.purge();
        Refused::Purged
    }

    /// Adds bytes to the body.
    ///
    /// # Errors
    /// When the object exceeds a limit. The body is broken then.
    pub fn append(&mut self, bytes: Bytes) -> Result<(), Refused> {
        let Some(object) = self.object.clone() else { return Ok(()) };
        let len = object.body.len() + bytes.len() as u64;
        if len > self.reserved {
            if let Err(refused) = self.reserve_ahead(len) {
                object.body.break_off(refused.broken());
                return Err(refused);
            }
            self.charge();
        }
        let arrived = (bytes.len() as u64).min(self.unarrived);
        self.unarrived -= arrived;
        object.body.append(bytes);
        self.cache.arrived(arrived);
        self.keep_charged();
        Ok(())
    }

    /// Ends the fill and stores the object. A body that is broken, or not as long as its head declares, is
    /// not stored.
    pub fn complete(mut self) {
        let Some(object) = self.object.clone() else { return };
        if object.body.full_len().is_some_and(|full| full != object.body.len()) {
            return self.break_off(Broken("wrong_length"));
        }
        self.store(&object);
        object.body.complete();
    }

    /// Whether these bytes are the last of a body whose length was declared.
    pub fn is_last(&self, bytes: &Bytes) -> bool {
        let body = self.object.as_ref().map(|object| &object.body);
        body.is_some_and(|body| body.full_len() == Some(body.len() + bytes.len() as u64))
    }

    /// Ends the fill with the last bytes of its body and stores the object.
    pub fn complete_with(mut self, last: Bytes) {
        let Some(object) = self.object.clone() else { return };
        self.store(&object);
        object.body.append(last);
        object.body.complete();
    }

    /// Stores the object before its body becomes complete: a client that has the whole body and repeats its
    /// request must not find the fill still under way.
    fn store(&mut self, object: &Arc<Object>) {
        let is_intact = !object.body.has_ended();
        // The object outlives the writer: closing the fill must not break its body.
        self.object = None;
        self.end(|state| {
            if is_intact {
                state.failure = None;
                state.pass_until = None;
                state.object = Some(Arc::clone(object));
            }
        });
    }

    /// Ends the fill with an error after its head was published: readers get the error, nothing is stored.
    pub fn break_off(mut self, why: Broken) {
        match &self.object {
            Some(object) => {
                object.body.break_off(why);
                self.end(|_| {});
            }
            None => self.fail_with(Arc::new(Failure::transient(why.0))),
        }
    }

    /// Ends the fill because the object exceeds a limit: readers get an error, and requests within `lifetime`
    /// pass.
    pub fn end_too_large(mut self, lifetime: Duration) {
        if let Some(object) = &self.object {
            object.body.break_off(TOO_LARGE);
        }
        self.fill.publish(Answer::Pass);
        let until = Instant::now() + lifetime;
        self.end(|state| state.pass_until = Some(until));
    }

    /// Ends the fill with the stale object's bytes under an updated head (a 304, RFC 9111 section 4.3.4).
    pub fn renew(mut self, head: Head, lifetimes: Lifetimes, upstream: Arc<str>) {
        let Some(stale) = self.stale.clone() else { return };
        let renewed = Arc::new(stale.with_head(head, lifetimes, upstream));
        if self.fill.was_selected(&renewed.head) || !self.fill.publish_object(Arc::clone(&renewed)) {
            self.purge();
        }
        self.end(|state| {
            state.failure = None;
            state.pass_until = None;
            state.object = Some(renewed);
        });
    }

    /// Ends the fill because its response cannot be shared. Requests within `lifetime` pass without waiting.
    pub fn pass(mut self, lifetime: Duration) {
        let until = Instant::now() + lifetime;
        self.fill.publish(Answer::Pass);
        self.end(|state| {
            state.object = None;
            state.pass_until = Some(until);
        });
    }

    /// Ends the fill because another one serves its readers: they look up again.
    pub fn yield_to_other(mut self) {
        self.fill.publish(Answer::Pass);
        self.end(|_| {});
    }

    /// Ends the fill because no upstream could answer. The failure is remembered for its lifetime.
    pub fn fail(mut self, failure: Failure) {
        self.fail_with(Arc::new(failure));
    }

    fn fail_with(&mut self, failure: Arc<Failure>) {
        let now = Instant::now();
        let stale = self.stale.clone().filter(|object| object.is_usable_on_error(now));
        self.fill.publish(Answer::Failed { failure: Arc::clone(&failure), stale });
        if let Some(object) = &self.object {
            object.body.break_off(Broken(failure.reason));
        }
        let until = now + failure.lifetime;
        self.end(|state| state.failure = Some((failure, until)));
    }

    /// Waits until the fill has no reader. Never resolves for a refresh in the background.
    pub async fn until_unwanted(&self) {
        self.fill.until_unwanted().await;
    }

    /// How many readers this fill has had.
    pub fn readers_total(&self) -> usize {
        self.fill.readers_total()
    }

    /// Ends the fill if it has no reader. The check and the end are one step.
    ///
    /// # Errors
    /// Returns the writer when the fill has a reader.
    pub fn abandon(mut self) -> Result<(), Self> {
        // From now on all readers come by one slot.
        self.detach_left();
        let slot = Arc::clone(&self.fill.slot.lock());
        let detached = {
            let mut state = slot.state.lock();
            if self.fill.readers() > 0 {
                drop(state);
                return Err(self);
            }
            state.detach(&self.fill, |_| {})
        };
        // No reader is left to see this; it keeps the promise that every fill ends in an answer.
        self.fill.publish(Answer::Pass);
        if let Some(object) = &self.object {
            object.body.break_off(ABANDONED);
        }
        self.close(&slot, detached);
        Ok(())
    }

    /// Reserves memory for `len` bytes and, where there is room, for as much again.
    fn reserve_ahead(&mut self, len: u64) -> Result<(), Refused> {
        let ahead = (len * 2).max(FIRST_RESERVE).min(self.cache.limits().object_max);
        if ahead > len && self.reserve(ahead).is_ok() {
            return Ok(());
        }
        self.reserve(len)
    }

    fn reserve(&mut self, bytes: u64) -> Result<(), Refused> {
        if bytes > self.reserved {
            let more = bytes - self.reserved;
            self.cache.reserve(bytes, more)?;
            self.reserved = bytes;
            self.unarrived += more;
        }
        Ok(())
    }

    /// Charges the cache for the reserved bytes, so that older objects make room now and not when it is too
    /// late.
    fn charge(&self) {
        let slot = Arc::clone(&self.fill.slot.lock());
        let mine = {
            let mut state = slot.state.lock();
            let mine = state.is_filled_by(&self.fill);
            if mine {
                state.reserved = self.reserved;
                state.is_evicted = false;
            }
            mine
        };
        if mine && self.reserved > 0 {
            self.cache.insert(&slot);
        }
    }

    /// A growing object is in use. If other traffic evicted its slot, its bytes would stay in memory
    /// uncharged.
    fn keep_charged(&self) {
        let slot = Arc::clone(&self.fill.slot.lock());
        let is_evicted = slot.state.lock().is_evicted;
        if is_evicted {
            self.charge();
        }
    }

    fn end(&mut self, update: impl FnOnce(&mut SlotState)) {
        let slot = Arc::clone(&self.fill.slot.lock());
        let detached = slot.state.lock().detach(&self.fill, update);
        self.close(&slot, detached);
    }

    /// Detaches the fill from the slot that it has left.
    fn detach_left(&mut self) {
        if let Some(slot) = self.left.take() {
            self.cache.detach(&slot, &self.fill);
        }
    }

    fn close(&mut self, slot: &Arc<Slot>, detached: bool) {
        self.ended = true;
        self.detach_left();
        if let Some(object) = &self.object {
            // Changes nothing for a body that has ended, and keeps no reader waiting for one that has not.
            object.body.break_off(DROPPED);
        }
        self.cache.release(std::mem::take(&mut self.reserved), std::mem::take(&mut self.unarrived));
        self.cache.finish_fill(slot, detached);
    }
}

impl Drop for FillWriter {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.fail_with(Arc::new(Failure::transient(DROPPED.0)));
    }
}

/// The first reservation for a body of unknown length, in bytes.
const FIRST_RESERVE: u64 = 64 * 1024;

const TOO_LARGE: Broken = Broken("too_large");

const DROPPED: Broken = Broken("fill_dropped");

/// The error of a body whose fill was abandoned.
pub const ABANDONED: Broken = Broken("abandoned");
