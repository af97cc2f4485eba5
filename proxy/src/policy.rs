//! What an upstream's response means to a site: the rules for one request's fill.
//!
//! A policy is pure, except for the live stream: `policy/arrival.rs` compares a playlist with the stream's
//! earlier versions, and the stream remembers it.

mod arrival;
mod error_response;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use tidegate_cache::freshness::{RequestFacts, Verdict, judge};
use tidegate_cache::{Failure, Head, Lifetimes, Object, Variant};
use tidegate_headers::conditional;
use tidegate_headers::hop;
use tidegate_headers::vary::{self, Selection};
use tidegate_hls::{Kind, Media, Offer, Playlist};
use tidegate_upstream::{
    FailedResponse, FillPolicy, Inspection, Progress, Ruling, StoredResponse, Upstream, UpstreamError,
};

use crate::clock;
use crate::live::listing;
use crate::live::stream::Stream;
use crate::request::parsed::Request;
use crate::site::config::LowLatency;
use crate::tier::{Role, Tier};

/// The rules for one request's fill. It keeps nothing: what a fill has seen so far comes as its [`Progress`].
#[derive(Debug)]
pub(crate) struct SitePolicy<'a> {
    tier: &'a Tier,
    request: &'a Request,
    /// The request header fields that were sent upstream, for the values of what a response varies by.
    sent: &'a HeaderMap,
    /// The object that the fill is to replace.
    stale: Option<Arc<Object>>,
    /// Whether the request blocks at the upstream until there is a new version.
    is_blocking: bool,
}

impl<'a> SitePolicy<'a> {
    pub(crate) fn new(tier: &'a Tier, request: &'a Request, sent: &'a HeaderMap) -> Self {
        Self { tier, request, sent, stale: None, is_blocking: false }
    }

    /// The policy for a request that may block at the upstream until there is a new version.
    pub(crate) fn blocking(self, is_blocking: bool) -> Self {
        Self { is_blocking, ..self }
    }

    /// The policy for a fill that is to replace this object.
    pub(crate) fn replacing(self, stale: Option<Arc<Object>>) -> Self {
        Self { stale, ..self }
    }

    /// The live stream of the requested playlist, if it is known.
    fn stream(&self) -> Option<Arc<Stream>> {
        self.tier.streams().of(&self.request.key)
    }

    /// A followed playlist is replaced as soon as there is a newer version. Until then no version is better:
    /// it stays fresh for as long as its follower may be delayed.
    fn lifetimes(&self, lifetimes: Lifetimes, live: Option<&Media>) -> Lifetimes {
        match (self.stream(), live) {
            (Some(_), Some(media)) if !media.is_ended() => {
                let ttl =
                    lifetimes.ttl.max(lifetimes.age + media.clamped_target_duration() * FOLLOWED_TARGETS);
                Lifetimes { ttl, ..lifetimes }
            }
            _ => lifetimes,
        }
    }

    /// Remembers the resources of which a playlist lists slices.
    fn remember_slices(&self, playlist: Option<&Media>) {
        if let Some(media) = playlist {
            listing::remember_slices(self.tier, self.request, media);
        }
    }

    /// A playlist as viewers receive it. If the site says so, a live one offers what this tier can do and the
    /// origin cannot.
    fn offered(&self, head: Head, body: Bytes, live: Option<&Media>) -> (Head, Bytes) {
        let site = &self.request.site;
        let offers =
            site.low_latency == LowLatency::Offer && self.tier.role() == Role::Edge && site.follows();
        match live.filter(|media| offers && !media.is_ended()) {
            Some(media) => {
                let offered = tidegate_hls::offer(&body, media, Offer::Both);
                (Head { headers: conditional::altered(&head.headers), ..head }, offered.into())
            }
            None => (head, body),
        }
    }

    /// Whether a response may be stored, and for how long, by the rules of HTTP and HLS.
    fn verdict(&self, head: &Head, playlist: Option<&Playlist>) -> Verdict {
        // A slice is an object of its own, and this is all of it.
        let is_slice = self.request.slice.is_some() && head.status == StatusCode::PARTIAL_CONTENT;
        let status = if is_slice { StatusCode::OK } else { head.status };
        let kind = if playlist.is_some() { Kind::Playlist } else { self.request.resource.kind };
        let known = match (playlist, kind) {
            // A playlist's lifetime is inside it; one that could not be read has none.
            (None, Kind::Playlist) if status == StatusCode::OK => None,
            _ => self.request.site.hls.of(kind, playlist, status.as_u16(), &self.request.resource.directives),
        };
        let facts = RequestFacts { authorization: self.request.is_authorized };
        judge(&facts, status, &head.headers, &self.request.site.policy(kind, known), clock::now())
    }

    fn variant(&self, head: &Head) -> Result<Option<Variant>, ()> {
        match vary::parse(&head.headers) {
            Selection::Any => Ok(None),
            Selection::Never => Err(()),
            Selection::By(vary) => {
                Ok(Some(Variant { names: vary.names().into(), values: vary.variant(self.sent) }))
            }
        }
    }

    fn settings(&self) -> &crate::config::Cache {
        &self.tier.settings().cache
    }
}

impl FillPolicy for SitePolicy<'_> {
    fn rule(&self, head: &Head) -> Ruling {
        // An upstream whose stream has restarted, or that has not seen a restart, refuses the blocking
        // request.
        let is_too_far = self.is_blocking && head.status == StatusCode::BAD_REQUEST;
        if is_failure(head.status) || self.may_appear(head.status) || is_too_far {
            return Ruling::Refuse(UpstreamError::Status(head.status));
        }
        let pass = Ruling::Pass { remember: self.settings().hit_for_miss.get() };
        match (self.verdict(head, None), self.variant(head)) {
            (Verdict::Uncacheable(_), _) | (_, Err(())) => pass,
            (Verdict::Store(_), Ok(_)) if may_be_playlist(self.request.resource.kind, head) => {
                Ruling::Collect { max: self.settings().playlist_max.bytes() }
            }
            (Verdict::Store(lifetimes), Ok(variant)) => Ruling::Store { lifetimes, variant },
        }
    }

    fn inspect(&self, head: &Head, body: Bytes, progress: &Progress) -> Inspection {
        let playlist = match Playlist::parse(&body) {
            Ok(playlist) => Some(playlist),
            // A resource with the name of a playlist must be one; one that is only labelled as a playlist
            // need not.
            Err(_error) if self.request.resource.kind == Kind::Playlist => {
                return Inspection::Refuse(UpstreamError::Unusable("it is not a playlist"));
            }
            Err(_error) => None,
        };
        if let Some(Playlist::Multivariant(multivariant)) = &playlist {
            listing::remember_renditions(self.tier, self.request, multivariant);
        }
        match (self.verdict(head, playlist.as_ref()), self.variant(head)) {
            (Verdict::Store(lifetimes), Ok(variant)) => {
                let raw = playlist.as_ref().and_then(Playlist::as_media);
                // A response that varies is several playlists, which cannot be followed as one.
                let live = raw.filter(|_| variant.is_none());
                let version =
                    match live.map(|raw| self.receive(raw, &body, lifetimes.age, progress)).transpose() {
                        Ok(version) => version.flatten(),
                        Err(error) => return Inspection::Refuse(error),
                    };
                let media = version.as_ref().map(|version| &version.media).or(raw);
                self.remember_slices(media);
                let live = media.filter(|_| variant.is_none());
                let (head, body) = match &version {
                    Some(version) => (version.head(self.stored_head(head)), version.body.clone()),
                    None => (self.stored_head(head), body),
                };
                let (head, body) = self.offered(head, body, live);
                let lifetimes = self.lifetimes(lifetimes, live);
                Inspection::Store(Box::new(StoredResponse { head, body, lifetimes, variant }))
            }
            _ => Inspection::Refuse(UpstreamError::Unusable("it cannot be stored")),
        }
    }

    fn renew(
        &self,
        stale: &Object,
        head: &Head,
        progress: &Progress,
    ) -> Result<(Head, Lifetimes), UpstreamError> {
        let mut fresh = head.headers.clone();
        hop::date(&mut fresh, clock::now());
        let renewed =
            Head { status: stale.head.status, headers: conditional::renew(&stale.head.headers, &fresh) };
        let playlist = stale
            .body
            .whole()
            .filter(|_| may_be_playlist(self.request.resource.kind, &renewed))
            .and_then(|chunks| Playlist::parse(&crate::answer::content::concatenated(chunks)).ok());
        // The age is that of the 304, not of the stored response.
        let mut judged = renewed.clone();
        judged.headers.remove(header::AGE);
        if let Some(age) = head.headers.get(header::AGE) {
            judged.headers.insert(header::AGE, age.clone());
        }
        let media = playlist.as_ref().and_then(Playlist::as_media);
        self.remember_slices(media);
        match self.verdict(&judged, playlist.as_ref()) {
            Verdict::Store(lifetimes) => {
                let live = media.filter(|_| stale.variant.is_none());
                if let Some(stream) = self.stream().filter(|_| live.is_some()) {
                    self.admit(stream.confirm_unchanged(progress.last_sent, lifetimes.age), progress)?;
                }
                Ok((renewed, self.lifetimes(lifetimes, live)))
            }
            Verdict::Uncacheable(_) => Err(UpstreamError::Unusable("what it renews cannot be stored")),
        }
    }

    fn stored_head(&self, head: &Head) -> Head {
        let mut headers = hop::end_to_end(&head.headers);
        // The length is known from the body, and a cookie that the site ignores belongs to no viewer. The
        // marks of the tiers above stay: they show how the object came here.
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::SET_COOKIE);
        hop::date(&mut headers, clock::now());
        Head { status: head.status, headers }
    }

    fn may_appear(&self, status: StatusCode) -> bool {
        matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::RANGE_NOT_SATISFIABLE)
            && self.tier.streams().has_announced(&self.request.key)
    }

    fn retry_pause(&self, error: UpstreamError, progress: &Progress) -> Option<Duration> {
        let rounds = progress.rounds;
        if rounds == 1 && progress.was_frozen {
            // No upstream has a newer version: the second round takes the frozen one.
            return Some(Duration::ZERO);
        }
        let UpstreamError::Status(status) = error else { return None };
        let may_come = rounds <= EARLY_ROUNDS && progress.waited < EARLY_WAIT && self.may_appear(status);
        let doublings = u32::try_from(rounds).ok()?.checked_sub(1)?;
        may_come.then(|| EARLY_PAUSE.saturating_mul(1 << doublings.min(8)).min(EARLY_PAUSE_MAX))
    }

    fn failure(
        &self,
        error: UpstreamError,
        upstream: Option<&Upstream>,
        response: Option<&FailedResponse>,
    ) -> Failure {
        let retry_after = response
            .and_then(|response| response.head.headers.get(header::RETRY_AFTER))
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs)
            .or_else(|| (error == UpstreamError::Full).then_some(RETRY_FULL_AFTER));
        Failure {
            status: error.status(),
            reason: error.token(),
            upstream: upstream.map(|upstream| Arc::clone(upstream.name())),
            retry_after,
            lifetime: self.settings().failure_lifetime.get(),
            response: response.and_then(error_response::shared),
        }
    }
}

/// The longest pause before the first retry for an announced object that is missing; it doubles each time.
const EARLY_PAUSE: Duration = Duration::from_millis(100);
/// The limit of these pauses.
const EARLY_PAUSE_MAX: Duration = Duration::from_millis(800);
/// The total of these pauses after which there is no other: a backup may be that far behind.
const EARLY_WAIT: Duration = Duration::from_millis(1500);
/// The most retries, however short the random pauses are.
const EARLY_ROUNDS: usize = 16;

/// Retry-After when the upstreams are full: as long as a request waits for a permit by default.
const RETRY_FULL_AFTER: Duration = Duration::from_secs(1);

/// Target durations for which a live playlist is fresh without a newer version. By then a player has given
/// up.
const FOLLOWED_TARGETS: u32 = 10;

/// Whether another upstream may respond better. 501 and 505 are about the request: all upstreams would agree.
fn is_failure(status: StatusCode) -> bool {
    status.is_server_error()
        && !matches!(status, StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED)
}

/// Whether the whole response is read before it is judged.
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
