//! What became of a request, for the counters and the access log: written once, when it is over.

use std::sync::Arc;
use std::time::Duration;

use tidegate_cache::{Failure, Object};
use tidegate_headers::proxy_status::Error;
use tidegate_hls::Kind;
use tokio::time::Instant;

use crate::clock;
use crate::fate::Fate;
use crate::observe::access_log::{Cmcd, Entry};
use crate::observe::facts::{Known, LoggedRequest, Served, TurnedAway};
use crate::refusal::Refusal;
use crate::request::parsed::Request;
use crate::site::Site;
use crate::tier::{Role, Tier};
use crate::viewer::gone::Gone;

/// The outcome of one request.
#[derive(Debug)]
pub(crate) struct Account {
    fate: Fate,
    kind: Kind,
    site: Option<Arc<Site>>,
    cmcd: Option<String>,
    upstream: Option<Arc<str>>,
    age: Option<Duration>,
    is_live_playlist: bool,
    error: Option<Error>,
    broken: bool,
}

impl Account {
    /// A request that was understood.
    pub(crate) fn of(request: &Request, fate: Fate) -> Self {
        Self {
            site: Some(Arc::clone(&request.site)),
            cmcd: request.resource.cmcd.clone(),
            ..Self::bare(request.resource.kind, fate)
        }
    }

    /// A hit on the fast lane. What only the log tells is left out: the counts of who shares it are shared by all cores.
    pub(crate) fn hit(kind: Kind, age: Duration) -> Self {
        Self { age: Some(age), ..Self::bare(kind, Fate::Hit) }
    }

    /// What the log tells of a hit.
    pub(crate) fn told(self, site: &Arc<Site>, cmcd: Option<String>, object: &Object) -> Self {
        Self { site: Some(Arc::clone(site)), cmcd, upstream: Some(Arc::clone(&object.upstream)), ..self }
    }

    fn bare(kind: Kind, fate: Fate) -> Self {
        Self {
            fate,
            kind,
            site: None,
            cmcd: None,
            upstream: None,
            age: None,
            is_live_playlist: false,
            error: None,
            broken: false,
        }
    }

    /// A request that was turned away.
    pub(crate) fn refused(refusal: &Refusal, known: &Known) -> Self {
        Self { error: Some(refusal.error()), ..Self::before(refusal.fate(), known) }
    }

    /// A request whose answer was cut off by this node's own end.
    pub(crate) fn cut_off(known: &Known) -> Self {
        Self::before(known.fate.unwrap_or(Fate::ClientClosed), known).broken()
    }

    /// A request of which no more is known than this.
    pub(crate) fn before(fate: Fate, known: &Known) -> Self {
        Self {
            site: known.site.clone(),
            cmcd: known.cmcd.clone(),
            ..Self::bare(known.kind.unwrap_or(Kind::Other), fate)
        }
    }

    /// The viewer left before there was an answer.
    pub(crate) fn gone(request: &Request) -> Self {
        Self::of(request, Fate::ClientClosed)
    }

    pub(crate) fn with_object(mut self, object: &Object) -> Self {
        self.upstream = Some(Arc::clone(&object.upstream));
        self.age = Some(object.age(Instant::now()));
        self
    }

    /// It is a version of a live playlist.
    pub(crate) fn live(mut self) -> Self {
        self.is_live_playlist = true;
        self
    }

    pub(crate) fn by_source(mut self, upstream: &Arc<str>) -> Self {
        self.upstream = Some(Arc::clone(upstream));
        self
    }

    pub(crate) fn because(mut self, failure: &Failure) -> Self {
        self.error = Error::ALL.iter().copied().find(|error| error.as_str() == failure.reason);
        self.upstream.clone_from(&failure.upstream);
        self
    }

    /// The body did not reach its end.
    pub(crate) fn broken(mut self) -> Self {
        self.broken = true;
        self
    }

    pub(crate) fn sent(self, sent: Result<(), Gone>) -> Self {
        match sent {
            Ok(()) => self,
            Err(Gone) => self.broken(),
        }
    }

    /// Whether the connection may be used again.
    pub(crate) fn is_whole(&self) -> bool {
        !self.broken && self.fate != Fate::ClientClosed
    }

    /// Counts the request and writes its line.
    pub(crate) fn close(&self, tier: &Tier, served: &Served<'_>) {
        let metrics = tier.metrics();
        let first_byte = served.first_byte.map(|first| first.duration_since(served.received));
        if self.fate == Fate::Hit && served.status.is_some_and(|status| status.is_success()) {
            metrics.hit(self.kind, served.body_bytes, first_byte);
        } else {
            metrics.request(self.fate, served.status, self.kind);
            metrics.body_bytes(self.fate, served.body_bytes);
            if let Some(after) = first_byte {
                metrics.first_byte(self.fate, after);
            }
        }
        if let Some(age) = self.age.filter(|_| self.is_live_playlist) {
            metrics.playlist_served(age);
        }
        if let Some(request) = &served.request {
            self.write_line(tier, served, request, first_byte);
        }
    }

    /// The same for a request that could not be read: of that no more is known than who sent it and what it got.
    pub(crate) fn close_unread(&self, tier: &Tier, turned_away: &TurnedAway) {
        let metrics = tier.metrics();
        metrics.request(self.fate, Some(turned_away.status), self.kind);
        metrics.body_bytes(self.fate, turned_away.body_bytes);
        tier.log().record(&Entry {
            status: Some(turned_away.status),
            body_bytes: turned_away.body_bytes,
            client: Some(turned_away.peer.ip()),
            ..self.entry(tier, turned_away.at)
        });
    }

    fn write_line(
        &self,
        tier: &Tier,
        served: &Served<'_>,
        request: &LoggedRequest<'_>,
        first_byte: Option<Duration>,
    ) {
        let headers = request.headers;
        let named = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let cmcd = self.cmcd.as_deref().and_then(Cmcd::from_query).or_else(|| Cmcd::from_headers(headers));
        let entry = Entry {
            first_byte,
            method: Some(request.method),
            version: Some(request.version),
            host: named("host").or(request.host),
            path: Some(request.path),
            query: request.query,
            status: served.status,
            body_bytes: served.body_bytes,
            client: Some(request.peer.ip()),
            user_agent: named("user-agent"),
            referrer: named("referer"),
            request_id: named("x-request-id"),
            trace_id: named("traceparent").and_then(|value| value.split('-').nth(1)),
            cmcd: cmcd.as_ref(),
            ..self.entry(tier, served.received)
        };
        tier.log().record(&entry);
    }

    /// What a line says without the request itself.
    fn entry<'a>(&'a self, tier: &'a Tier, begun: Instant) -> Entry<'a> {
        Entry {
            time: clock::now() - begun.elapsed(),
            duration: begun.elapsed(),
            first_byte: None,
            method: None,
            version: None,
            host: None,
            path: None,
            query: None,
            status: None,
            body_bytes: 0,
            client: None,
            user_agent: None,
            referrer: None,
            request_id: None,
            trace_id: None,
            tier: match tier.role() {
                Role::Edge => "edge",
                Role::Shield => "shield",
            },
            node: tier.node(),
            site: self.site.as_ref().map(|site| site.name.as_str()),
            kind: self.kind,
            fate: self.fate,
            upstream: self.upstream.as_deref(),
            cache_age: self.age,
            error: self.error,
            broken: self.broken,
            cmcd: None,
        }
    }
}
