//! What answers mean to a site: the rulings for one request's fill.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use tidegate_cache::freshness::{RequestFacts, Verdict, judge};
use tidegate_cache::{Failure, Head, Lifetimes, Object, Variant};
use tidegate_hls::{Directives, Kind, Playlist};
use tidegate_upstream::{Desk, Ending, Event, Inspection, Ruling, Source, Trouble};

use crate::conditional;
use crate::expires;
use crate::hop;
use crate::metrics::{Failover, FillEnd, UpstreamEnd};
use crate::request::Request;
use crate::tier::Tier;
use crate::vary::{self, Selection};

/// Rules on the answers to one request.
#[derive(Debug)]
pub(crate) struct Rulings {
    tier: Arc<Tier>,
    site: Arc<crate::site::Site>,
    kind: Kind,
    directives: Directives,
    authorization: bool,
    /// What was sent upstream, for the values of what an answer varies by.
    sent: HeaderMap,
}

impl Rulings {
    pub(crate) fn new(tier: &Arc<Tier>, request: &Request, sent: HeaderMap) -> Self {
        Self {
            tier: Arc::clone(tier),
            site: Arc::clone(&request.site),
            kind: request.resource.kind,
            directives: request.resource.directives,
            authorization: request.is_authorized,
            sent,
        }
    }

    /// What HLS says about an answer, and whether it may be stored at all.
    fn verdict(&self, head: &Head, playlist: Option<&Playlist>) -> Verdict {
        let kind = if playlist.is_some() { Kind::Playlist } else { self.kind };
        let known = match (playlist, kind) {
            // A playlist's lifetime is inside it; one that could not be read has none.
            (None, Kind::Playlist) if head.status == StatusCode::OK => None,
            _ => self.site.hls.of(kind, playlist, head.status.as_u16(), &self.directives),
        };
        let facts = RequestFacts { authorization: self.authorization };
        judge(&facts, head.status, &head.headers, &self.site.policy(kind, known), now())
    }

    fn variant(&self, head: &Head) -> Result<Option<Variant>, ()> {
        match vary::parse(&head.headers) {
            Selection::Any => Ok(None),
            Selection::Never => Err(()),
            Selection::By(vary) => {
                Ok(Some(Variant { names: vary.names().into(), values: vary.variant(&self.sent) }))
            }
        }
    }

    fn settings(&self) -> &crate::config::Cache {
        &self.tier.settings().cache
    }
}

impl Desk for Rulings {
    fn rule(&self, head: &Head) -> Ruling {
        if is_failure(head.status) {
            return Ruling::Refuse(Trouble::Status(head.status));
        }
        let pass = Ruling::Pass { remember: self.settings().hit_for_miss.get() };
        match (self.verdict(head, None), self.variant(head)) {
            (Verdict::Uncacheable(_), _) | (_, Err(())) => pass,
            (Verdict::Store(_), Ok(_)) if may_be_playlist(self.kind, head) => {
                Ruling::Collect { max: self.settings().playlist_max.bytes() }
            }
            (Verdict::Store(lifetimes), Ok(variant)) => Ruling::Store { lifetimes, variant },
        }
    }

    fn inspect(&self, head: &Head, body: &Bytes) -> Inspection {
        let playlist = match Playlist::parse(body) {
            Ok(playlist) => Some(playlist),
            // Asked for as a playlist, it must be one; only labelled as one, it is passed on for what it is.
            Err(_error) if self.kind == Kind::Playlist => {
                return Inspection::Refuse(Trouble::Unusable("it is not a playlist"));
            }
            Err(_error) => None,
        };
        match (self.verdict(head, playlist.as_ref()), self.variant(head)) {
            (Verdict::Store(lifetimes), Ok(variant)) => Inspection::Store { lifetimes, variant },
            _ => Inspection::Refuse(Trouble::Unusable("it cannot be stored")),
        }
    }

    fn renew(&self, stale: &Object, head: &Head) -> Option<(Head, Lifetimes)> {
        let mut fresh = head.headers.clone();
        expires::tell_in_seconds(&mut fresh, now());
        let renewed =
            Head { status: stale.head.status, headers: conditional::renew(&stale.head.headers, &fresh) };
        let playlist = stale
            .body
            .whole()
            .filter(|_| may_be_playlist(self.kind, &renewed))
            .and_then(|pieces| Playlist::parse(&crate::answer::joined(pieces)).ok());
        // The age is that of the 304, not of the stored answer.
        let mut judged = renewed.clone();
        judged.headers.remove(header::AGE);
        if let Some(age) = head.headers.get(header::AGE) {
            judged.headers.insert(header::AGE, age.clone());
        }
        match self.verdict(&judged, playlist.as_ref()) {
            Verdict::Store(lifetimes) => Some((renewed, lifetimes)),
            Verdict::Uncacheable(_) => None,
        }
    }

    fn kept(&self, head: &Head) -> Head {
        let mut headers = hop::end_to_end(&head.headers);
        // The length is known from the body, and a cookie that a site ignores is nobody's. The marks of the tiers
        // above stay: they tell how what is held came here.
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::SET_COOKIE);
        expires::tell_in_seconds(&mut headers, now());
        Head { status: head.status, headers }
    }

    fn failure(&self, trouble: Trouble, source: Option<&Source>, head: Option<&Head>) -> Failure {
        let retry_after = head
            .and_then(|head| head.headers.get(header::RETRY_AFTER))
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        Failure {
            status: trouble.status(),
            reason: trouble.token(),
            source: source.map(|source| Arc::clone(source.name())),
            retry_after,
            lifetime: self.settings().failure_lifetime.get(),
        }
    }

    fn note(&self, event: Event) {
        let metrics = self.tier.metrics();
        match event {
            Event::Asked => metrics.origin_requests.inc(),
            Event::Over(outcome) => metrics.upstream_request(UpstreamEnd::from(outcome)),
            Event::FailedOver(trouble) => metrics.failover(Failover::from(trouble)),
            Event::Rescued(_) => metrics.rescued_bodies.inc(),
            Event::Ended(ending, viewers) => metrics.fill_ended(ending.into(), viewers),
        }
    }
}

impl From<Ending> for FillEnd {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Stored => Self::Stored,
            Ending::Renewed => Self::Renewed,
            Ending::Passed => Self::Uncacheable,
            Ending::Failed => Self::Failed,
            Ending::Broken => Self::Broken,
            Ending::Abandoned => Self::Abandoned,
        }
    }
}

/// Statuses that another source may do better at. 501 and 505 are about the request and would be the same anywhere.
fn is_failure(status: StatusCode) -> bool {
    status.is_server_error()
        && !matches!(status, StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED)
}

/// Whether the whole answer is to be read before it is judged.
fn may_be_playlist(kind: Kind, head: &Head) -> bool {
    let labelled = || {
        let value = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| Kind::of_content_type(value) == Kind::Playlist)
    };
    let encoded = head.headers.contains_key(header::CONTENT_ENCODING);
    head.status == StatusCode::OK
        && !encoded
        && (kind == Kind::Playlist || (kind == Kind::Other && labelled()))
}

/// Wall time enters the proxy here and nowhere else; what needs it gets it as an argument.
#[expect(clippy::disallowed_methods, reason = "this is where wall time enters")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
