//! One answer of a source: head, body, and how long it may live.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use tokio::time::Instant;

use crate::Lifetimes;
use crate::body::Body;

/// Status and end-to-end header fields, as the source sent them.
#[derive(Debug, Clone)]
pub struct Head {
    /// The status of the answer.
    pub status: StatusCode,
    /// End-to-end header fields; hop-by-hop ones never reach the cache.
    pub headers: HeaderMap,
}

impl Head {
    /// A generous estimate of the memory that the head takes.
    pub(crate) fn weight(&self) -> u64 {
        let fields: usize =
            self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 96).sum();
        fields as u64
    }
}

/// Which variant of a varying answer an object is (RFC 9111 section 4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// The request header fields that the answer depends on.
    pub names: Arc<[HeaderName]>,
    /// Their values in the request that brought this object, in canonical form.
    pub values: String,
}

/// Where an object stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// May be given out as it is.
    Fresh,
    /// May be given out while a refresh is under way (stale-while-revalidate).
    Grace,
    /// May be given out only when no source can answer (stale-if-error).
    Keep,
    /// Only good for its validators.
    Expired,
}

/// A stored or streaming answer. Everything but the growing body is fixed.
#[derive(Debug)]
pub struct Object {
    /// Status and header fields.
    pub head: Head,
    /// The bytes, perhaps still arriving.
    pub body: Arc<Body>,
    /// How long it may live, counted from `received`.
    pub lifetimes: Lifetimes,
    /// When the head arrived (or was renewed) at this tier.
    pub received: Instant,
    /// Set where the answer varies.
    pub variant: Option<Variant>,
    /// Who sent it, for logs and headers.
    pub upstream: Arc<str>,
    /// The body in gzip, made by the first who needs it; `None` inside where it is not worth it.
    pub gzip: OnceLock<Option<Bytes>>,
    /// A shorter form of the body (a delta update), made by the first who needs it; `None` inside where there is none.
    pub delta: OnceLock<Option<Bytes>>,
    /// The head of an answer with the body as it is, ready to be sent but for what differs from answer to answer; made
    /// by the first who needs it.
    pub rendered: OnceLock<Bytes>,
    /// The same for the body in gzip.
    pub rendered_gzip: OnceLock<Bytes>,
    /// Whether anybody was given it.
    pub(crate) requested: AtomicBool,
    pub(crate) observer: OnceLock<Box<dyn Observer>>,
}

/// Wants to know whether anybody is given an object. It is dropped with the object.
pub trait Observer: fmt::Debug + Send + Sync {
    /// Somebody was given it; may be told more than once.
    fn on_request(&self);
}

impl Object {
    pub(crate) fn new(head: Head, body: Arc<Body>, lifetimes: Lifetimes, upstream: Arc<str>) -> Self {
        Self {
            head,
            body,
            lifetimes,
            received: Instant::now(),
            variant: None,
            upstream,
            gzip: OnceLock::new(),
            delta: OnceLock::new(),
            rendered: OnceLock::new(),
            rendered_gzip: OnceLock::new(),
            requested: AtomicBool::new(false),
            observer: OnceLock::new(),
        }
    }

    /// The same object at the end of its freshness: only good for its validators, and where no source can answer.
    pub(crate) fn expired(&self, now: Instant) -> Self {
        let age = self.age(now);
        let end = self.lifetimes.ttl.saturating_add(self.lifetimes.keep);
        let ttl = self.lifetimes.ttl.min(age);
        let lifetimes =
            Lifetimes { ttl, grace: Duration::ZERO, keep: end.saturating_sub(ttl), ..self.lifetimes };
        Self {
            received: self.received,
            ..self.with_head(self.head.clone(), lifetimes, Arc::clone(&self.upstream))
        }
    }

    /// The same body from now on under another head: what was derived from it goes along.
    pub(crate) fn with_head(&self, head: Head, lifetimes: Lifetimes, upstream: Arc<str>) -> Self {
        Self {
            variant: self.variant.clone(),
            gzip: self.gzip.clone(),
            delta: self.delta.clone(),
            ..Self::new(head, Arc::clone(&self.body), lifetimes, upstream)
        }
    }

    /// Somebody is given it.
    pub fn mark_requested(&self) {
        if !self.requested.load(Ordering::Relaxed) {
            self.requested.store(true, Ordering::SeqCst);
            if let Some(observer) = self.observer.get() {
                observer.on_request();
            }
        }
    }

    /// Has `observer` told when somebody is given the object, or that somebody was. There is one at most.
    pub fn set_observer(&self, observer: Box<dyn Observer>) {
        let _another = self.observer.set(observer);
        if self.requested.load(Ordering::SeqCst)
            && let Some(observer) = self.observer.get()
        {
            observer.on_request();
        }
    }

    /// The age of the answer: what it brought along plus how long it has been here (RFC 9111 section 4.2.3).
    pub fn age(&self, now: Instant) -> Duration {
        self.lifetimes.age + now.saturating_duration_since(self.received)
    }

    /// Where it stands at `now`.
    pub fn state(&self, now: Instant) -> State {
        let age = self.age(now);
        let Lifetimes { ttl, grace, keep, .. } = self.lifetimes;
        if age < ttl {
            State::Fresh
        } else if age < ttl.saturating_add(grace) {
            State::Grace
        } else if age < ttl.saturating_add(keep) {
            State::Keep
        } else {
            State::Expired
        }
    }

    /// Whether it may stand in for an answer that no source can give at `now`.
    pub fn is_usable_on_error(&self, now: Instant) -> bool {
        self.body.is_complete() && self.age(now) < self.lifetimes.ttl.saturating_add(self.lifetimes.keep)
    }

    /// The weight of the head and of what was derived from the object; the body is weighed apart.
    pub(crate) fn overhead(&self) -> u64 {
        let made = |form: &OnceLock<Option<Bytes>>| form.get().and_then(Option::as_ref).map_or(0, Bytes::len);
        let heads = [&self.rendered, &self.rendered_gzip].into_iter().filter_map(OnceLock::get);
        let derived = made(&self.gzip) + made(&self.delta) + heads.map(Bytes::len).sum::<usize>();
        self.head.weight() + derived as u64 + 256
    }
}
