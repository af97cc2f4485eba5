//! One response of an upstream: head, body, and how long it may live.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use tokio::time::Instant;

use crate::Lifetimes;
use crate::body::Body;

/// Status and end-to-end header fields, as the upstream sent them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The status of the response.
    pub status: StatusCode,
    /// End-to-end header fields. Hop-by-hop fields never reach the cache.
    pub headers: HeaderMap,
}

impl Head {
    /// A generous estimate of the memory that the head takes, in bytes.
    pub(crate) fn weight(&self) -> u64 {
        let fields: usize =
            self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 96).sum();
        fields as u64
    }
}

/// Which variant of a varying response an object is (RFC 9111 section 4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// The request header fields that the response depends on.
    pub names: Arc<[HeaderName]>,
    /// Their values in the request that caused this object's fill, in canonical form.
    pub values: String,
}

/// Whether and how an object may be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// May be served as it is.
    Fresh,
    /// May be served while a refresh is under way (stale-while-revalidate).
    StaleWhileRevalidate,
    /// May be served only when no upstream can answer (stale-if-error).
    StaleIfError,
    /// Only its validators are of use, for a conditional request.
    Expired,
}

/// A stored or streaming response. Everything but the growing body is fixed.
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
    /// Set if the response varies.
    pub variant: Option<Variant>,
    /// The upstream that sent it, for logs and headers.
    pub upstream: Arc<str>,
    /// The body in gzip, made on first use. `None` inside means that compression is not worth it.
    pub gzip: OnceLock<Option<Bytes>>,
    /// A delta update of the body, made on first use. `None` inside means that there is none.
    pub delta: OnceLock<Option<Bytes>>,
    /// The response head for the plain body, without the fields that differ from response to response; made
    /// on first use.
    pub rendered: OnceLock<RenderedHead>,
    /// The same for the body in gzip.
    pub rendered_gzip: OnceLock<RenderedHead>,
    /// What a caller has found out about the body, kept with it and not weighed: it must be small beside
    /// the body.
    pub notes: OnceLock<Arc<dyn Any + Send + Sync>>,
    /// Whether a request has received it.
    pub(crate) requested: AtomicBool,
    pub(crate) observer: OnceLock<Box<dyn Observer>>,
}

/// A rendered response head.
#[derive(Debug, Clone)]
pub struct RenderedHead {
    /// Its bytes.
    pub bytes: Bytes,
    /// Identifies the settings that it was rendered with.
    pub settings: u64,
}

/// Observes whether an object is requested. It is dropped with the object.
pub trait Observer: fmt::Debug + Send + Sync {
    /// A request has received the object. May be called more than once.
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
            notes: OnceLock::new(),
            requested: AtomicBool::new(false),
            observer: OnceLock::new(),
        }
    }

    /// The same object at the end of its freshness: usable only for its validators and for stale-if-error.
    pub(crate) fn expired(&self, now: Instant) -> Self {
        let age = self.age(now);
        let end = self.lifetimes.ttl.saturating_add(self.lifetimes.stale_if_error);
        let ttl = self.lifetimes.ttl.min(age);
        let lifetimes = Lifetimes {
            ttl,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: end.saturating_sub(ttl),
            ..self.lifetimes
        };
        Self {
            received: self.received,
            ..self.with_head(self.head.clone(), lifetimes, Arc::clone(&self.upstream))
        }
    }

    /// The same object with at least this lifetime.
    pub(crate) fn prolonged(&self, ttl: Duration) -> Self {
        let lifetimes = Lifetimes { ttl: self.lifetimes.ttl.max(ttl), ..self.lifetimes };
        Self {
            received: self.received,
            ..self.with_head(self.head.clone(), lifetimes, Arc::clone(&self.upstream))
        }
    }

    /// The same body under a new head. The forms derived from the body are kept.
    pub(crate) fn with_head(&self, head: Head, lifetimes: Lifetimes, upstream: Arc<str>) -> Self {
        Self {
            variant: self.variant.clone(),
            gzip: self.gzip.clone(),
            delta: self.delta.clone(),
            ..Self::new(head, Arc::clone(&self.body), lifetimes, upstream)
        }
    }

    /// Records that a request receives the object, and notifies the observer.
    pub fn mark_requested(&self) {
        if !self.requested.load(Ordering::Relaxed) {
            self.requested.store(true, Ordering::SeqCst);
            if let Some(observer) = self.observer.get() {
                observer.on_request();
            }
        }
    }

    /// Sets the observer. It is notified immediately if the object has been requested already. An object has
    /// at most one observer; a second one is dropped.
    pub fn set_observer(&self, observer: Box<dyn Observer>) {
        let _another = self.observer.set(observer);
        if self.requested.load(Ordering::SeqCst)
            && let Some(observer) = self.observer.get()
        {
            observer.on_request();
        }
    }

    /// The age of the response: its age on arrival plus the time since then (RFC 9111 section 4.2.3).
    pub fn age(&self, now: Instant) -> Duration {
        self.lifetimes.age + now.saturating_duration_since(self.received)
    }

    /// The state at `now`.
    pub fn state(&self, now: Instant) -> State {
        let age = self.age(now);
        let Lifetimes { ttl, stale_while_revalidate, stale_if_error, .. } = self.lifetimes;
        if age < ttl {
            State::Fresh
        } else if age < ttl.saturating_add(stale_while_revalidate) {
            State::StaleWhileRevalidate
        } else if age < ttl.saturating_add(stale_if_error) {
            State::StaleIfError
        } else {
            State::Expired
        }
    }

    /// Whether it may be served at `now` because no upstream can answer (stale-if-error).
    pub fn is_usable_on_error(&self, now: Instant) -> bool {
        self.body.is_complete()
            && self.age(now) < self.lifetimes.ttl.saturating_add(self.lifetimes.stale_if_error)
    }

    /// The weight of the head and of the derived forms, in bytes. The body is weighed separately.
    pub(crate) fn overhead(&self) -> u64 {
        let made = |form: &OnceLock<Option<Bytes>>| form.get().and_then(Option::as_ref).map_or(0, Bytes::len);
        let heads = [&self.rendered, &self.rendered_gzip].into_iter().filter_map(OnceLock::get);
        let derived =
            made(&self.gzip) + made(&self.delta) + heads.map(|head| head.bytes.len()).sum::<usize>();
        self.head.weight() + derived as u64 + 256
    }
}
