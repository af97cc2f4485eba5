//! The outcome of a request, for the counters and the access log: recorded once, when the request is over.

use std::sync::Arc;
use std::time::Duration;

use tidegate_cache::{Failure, Object};
use tidegate_headers::cmcd::Cmcd;
use tidegate_headers::proxy_status::Error;
use tidegate_hls::Kind;
use tokio::time::Instant;

use crate::clock;
use crate::fate::Fate;
use crate::observe::access_log::Entry;
use crate::observe::facts::{LoggedRequest, RequestFacts, ResponseFacts, UnreadRequest};
use crate::refusal::Refusal;
use crate::request::parsed::Request;
use crate::site::Site;
use crate::tier::Tier;
use crate::viewer::unsent::Unsent;

/// The outcome of one request.
#[derive(Debug)]
pub(crate) struct Account {
    fate: Fate,
    kind: Kind,
    site: Option<Arc<Site>>,
    cmcd: Option<String>,
    /// The reports that a player has posted.
    reports: Option<Box<[Cmcd]>>,
    upstream: Option<Arc<str>>,
    age: Option<Duration>,
    is_live_playlist: bool,
    error: Option<Error>,
    /// The stable code of a refusal.
    reason: Option<&'static str>,
    broken: bool,
}

impl Account {
    /// A request that was parsed.
    pub(crate) fn of(request: &Request, fate: Fate) -> Self {
        Self {
            site: Some(Arc::clone(&request.site)),
            cmcd: request.resource.cmcd.clone(),
            ..Self::new(request.resource.kind, fate)
        }
    }

    /// A hit on the fast path. The fields that only the log needs are left out: cloning their Arcs would
    /// contend across cores.
    pub(crate) fn hit(kind: Kind, age: Duration) -> Self {
        Self { age: Some(age), ..Self::new(kind, Fate::Hit) }
    }

    /// Adds the fields of a hit that only the log needs.
    pub(crate) fn with_log_fields(self, site: &Arc<Site>, cmcd: Option<String>, object: &Object) -> Self {
        Self { site: Some(Arc::clone(site)), cmcd, upstream: Some(Arc::clone(&object.upstream)), ..self }
    }

    fn new(kind: Kind, fate: Fate) -> Self {
        Self {
            fate,
            kind,
            site: None,
            cmcd: None,
            reports: None,
            upstream: None,
            age: None,
            is_live_playlist: false,
            error: None,
            reason: None,
            broken: false,
        }
    }

    /// A request that was refused.
    pub(crate) fn refused(refusal: &Refusal, facts: &RequestFacts) -> Self {
        Self {
            error: Some(refusal.error()),
            reason: refusal.code(),
            ..Self::from_facts(refusal.fate(), facts)
        }
    }

    /// A request whose response was cut off at the drain timeout.
    pub(crate) fn cut_off(facts: &RequestFacts) -> Self {
        Self::from_facts(facts.fate.unwrap_or(Fate::ClientClosed), facts).broken()
    }

    /// A request of which only these facts are known.
    pub(crate) fn from_facts(fate: Fate, facts: &RequestFacts) -> Self {
        Self {
            site: facts.site.clone(),
            cmcd: facts.cmcd.clone(),
            ..Self::new(facts.kind.unwrap_or(Kind::Other), fate)
        }
    }

    /// The viewer left before the response began.
    pub(crate) fn gone(request: &Request) -> Self {
        Self::of(request, Fate::ClientClosed)
    }

    pub(crate) fn with_reports(mut self, reports: Vec<Cmcd>) -> Self {
        self.reports = Some(reports.into());
        self
    }

    pub(crate) fn with_object(mut self, object: &Object) -> Self {
        self.upstream = Some(Arc::clone(&object.upstream));
        self.age = Some(object.age(Instant::now()));
        self
    }

    /// The response is a version of a live playlist.
    pub(crate) fn live(mut self) -> Self {
        self.is_live_playlist = true;
        self
    }

    pub(crate) fn with_upstream(mut self, upstream: &Arc<str>) -> Self {
        self.upstream = Some(Arc::clone(upstream));
        self
    }

    pub(crate) fn with_failure(mut self, failure: &Failure) -> Self {
        self.error = Error::ALL.iter().copied().find(|error| error.as_str() == failure.reason);
        self.upstream.clone_from(&failure.upstream);
        self
    }

    /// The body did not reach its end.
    pub(crate) fn broken(mut self) -> Self {
        self.broken = true;
        self
    }

    /// Marks the response as broken if it could not be sent.
    pub(crate) fn with_result(self, result: Result<(), Unsent>) -> Self {
        match result {
            Ok(()) => self,
            Err(Unsent) => self.broken(),
        }
    }

    /// Whether the response was sent without a break.
    pub(crate) fn is_intact(&self) -> bool {
        !self.broken && self.fate != Fate::ClientClosed
    }

    /// Counts the request and writes its line.
    pub(crate) fn close(&self, tier: &Tier, response: &ResponseFacts<'_>) {
        let metrics = tier.metrics();
        let first_byte = response.first_byte.map(|first| first.duration_since(response.received));
        if self.fate == Fate::Hit && response.status.is_some_and(|status| status.is_success()) {
            metrics.hit(self.kind, response.body_bytes, first_byte);
        } else {
            metrics.request(self.fate, response.status, self.kind);
            metrics.body_bytes(self.fate, response.body_bytes);
            if let Some(after) = first_byte {
                metrics.first_byte(self.fate, after);
            }
        }
        if let Some(age) = self.age.filter(|_| self.is_live_playlist) {
            metrics.playlist_served(age);
        }
        if let Some(request) = &response.request {
            self.write_line(tier, response, request, first_byte);
        }
    }

    /// The same for a request that could not be read: only its sender and the response are known.
    pub(crate) fn close_unread(&self, tier: &Tier, request: &UnreadRequest) {
        let metrics = tier.metrics();
        metrics.request(self.fate, Some(request.status), self.kind);
        metrics.body_bytes(self.fate, request.body_bytes);
        tier.log().record(&Entry {
            status: Some(request.status),
            body_bytes: request.body_bytes,
            client: Some(tier.log().address(request.client)),
            ..self.entry(tier, request.at)
        });
    }

    fn write_line(
        &self,
        tier: &Tier,
        response: &ResponseFacts<'_>,
        request: &LoggedRequest<'_>,
        first_byte: Option<Duration>,
    ) {
        let headers = request.headers;
        let field = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let cmcd = self.cmcd.as_deref().and_then(Cmcd::from_query).or_else(|| Cmcd::from_headers(headers));
        let entry = Entry {
            first_byte,
            method: Some(request.method),
            version: Some(request.version),
            host: field("host").or(request.host),
            path: Some(request.path),
            query: request.query,
            status: response.status,
            body_bytes: response.body_bytes,
            client: Some(tier.log().address(request.client)),
            user_agent: field("user-agent"),
            referrer: field("referer"),
            request_id: field("x-request-id"),
            trace_id: field("traceparent").and_then(|value| value.split('-').nth(1)),
            cmcd: cmcd.as_ref(),
            ..self.entry(tier, response.received)
        };
        tier.log().record(&entry);
    }

    /// The fields of a line that do not depend on the request.
    fn entry<'a>(&'a self, tier: &'a Tier, start: Instant) -> Entry<'a> {
        Entry {
            time: clock::now() - start.elapsed(),
            duration: start.elapsed(),
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
            tier: tier.role().as_str(),
            node: tier.node(),
            site: self.site.as_ref().map(|site| site.name.as_str()),
            kind: self.kind,
            fate: self.fate,
            upstream: self.upstream.as_deref(),
            cache_age: self.age,
            error: self.error,
            reason: self.reason,
            broken: self.broken,
            cmcd: None,
            cmcd_reports: self.reports.as_deref().unwrap_or_default(),
        }
    }
}
