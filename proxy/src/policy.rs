//! What answers mean to a site: the rulings for one request's fill.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use parking_lot::Mutex;
use tidegate_cache::freshness::{RequestFacts, Verdict, judge};
use tidegate_cache::{Failure, Head, Lifetimes, Object, Variant};
use tidegate_headers::conditional;
use tidegate_headers::hop;
use tidegate_headers::vary::{self, Selection};
use tidegate_hls::{Kind, Media, Offer, Playlist, Restart};
use tidegate_upstream::{
    Ending, Event, FillPolicy, Inspection, Ruling, StoredResponse, Upstream, UpstreamError,
};
use tokio::time::Instant;

use crate::clock;
use crate::expires;
use crate::live::numbering::Version;
use crate::live::stream::{Arrival, Stream};
use crate::live::{epochs, listing};
use crate::observe::metrics::{Failover, FillEnd, UpstreamEnd};
use crate::request::parsed::Request;
use crate::site::config::LowLatency;
use crate::tier::{Role, Tier};

/// Rules on the answers to one request.
#[derive(Debug)]
pub(crate) struct SitePolicy {
    tier: Arc<Tier>,
    request: Request,
    /// What is known of the live playlist that is asked for; set when it turns out to be one.
    stream: OnceLock<Arc<Stream>>,
    /// How many sources were asked, and when the last one was.
    asked: Mutex<(usize, Instant)>,
    /// What was sent upstream, for the values of what an answer varies by.
    sent: HeaderMap,
    /// What is held already.
    stale: Option<Arc<Object>>,
    /// Whether the answer is to be held until there is something new.
    is_held: bool,
    /// What came is held from now on.
    is_stored: AtomicBool,
    /// A source was refused for standing still: better than none.
    was_frozen: AtomicBool,
    /// Whoever could be asked has been, and is asked once more.
    takes_frozen: AtomicBool,
    /// The source whose answer was of no use last.
    refused: Mutex<Option<(Arc<str>, UpstreamError)>>,
}

/// What came of a fill.
#[derive(Debug)]
pub(crate) struct Filled {
    /// The live stream whose playlist was filled.
    pub(crate) stream: Option<Arc<Stream>>,
    /// Whether the cache holds what came.
    pub(crate) is_stored: bool,
}

impl SitePolicy {
    pub(crate) fn new(tier: &Arc<Tier>, request: &Request, sent: HeaderMap) -> Self {
        Self {
            tier: Arc::clone(tier),
            stream: tier.streams().of(&request.key).map_or_else(OnceLock::new, OnceLock::from),
            asked: Mutex::new((0, Instant::now())),
            request: request.clone(),
            sent,
            stale: None,
            is_held: false,
            is_stored: AtomicBool::new(false),
            was_frozen: AtomicBool::new(false),
            takes_frozen: AtomicBool::new(false),
            refused: Mutex::new(None),
        }
    }

    /// The sources are asked to hold the request until there is something new.
    pub(crate) fn held(self, is_held: bool) -> Self {
        Self { is_held, ..self }
    }

    /// The fill is to replace this object.
    pub(crate) fn over(self, stale: Option<Arc<Object>>) -> Self {
        Self { stale, ..self }
    }

    /// What came of the fill, when it is over.
    pub(crate) fn filled(&self) -> Filled {
        Filled { stream: self.stream.get().cloned(), is_stored: self.is_stored.load(Ordering::Acquire) }
    }

    /// Holds a version of a media playlist against what is known of the stream; gives it as it goes out.
    fn arrives(&self, raw: &Media, body: &Bytes, age: Duration) -> Result<Option<Version>, UpstreamError> {
        if !self.request.site.follows() || (self.stream.get().is_none() && raw.is_ended()) {
            return Ok(None);
        }
        let stream =
            self.stream.get_or_init(|| self.tier.streams().begin(&self.request.key, self.request.is_backup));
        let old = stream.media();
        let published = || Some(crate::answer::content::joined(self.stale.as_ref()?.body.whole()?));
        let version = epochs::version(&self.tier, &self.request, stream, raw, body, published);
        if version.is_old {
            self.admit(Arrival::Backward)?;
        }
        let arrival = stream.arrives(version.media.clone(), &version.body, self.asked.lock().1, age);
        self.admit(arrival)?;
        if arrival != Arrival::Frozen
            && let Some((upstream, error)) = self.refused.lock().take()
        {
            // Somebody else does better.
            stream.set_detour(&upstream, error);
        }
        match (arrival, old) {
            (Arrival::Restarted(why), Some(old)) => {
                self.record_restart(why.as_str(), false);
                // What has slid out of the old list is known by the new one, which uses its names again.
                listing::purge_listed(&self.tier, &self.request, &old);
                listing::purge_listed(&self.tier, &self.request, raw);
            }
            _ if version.begins => self.record_restart(Restart::SequenceReset.as_str(), true),
            _ => {}
        }
        stream.set_published(&version);
        Ok(Some(version))
    }

    fn record_restart(&self, why: &str, joined: bool) {
        tracing::warn!(playlist = self.request.key.path_and_query(), why, joined, "stream restarted");
        self.tier.metrics().live.restarts.inc();
    }

    /// Whether a version may be given out. One that stands still may if nobody else is left to ask.
    fn admit(&self, arrival: Arrival) -> Result<(), UpstreamError> {
        let metrics = &self.tier.metrics().live;
        match arrival {
            Arrival::Welcome | Arrival::Restarted(_) => Ok(()),
            Arrival::Backward => {
                metrics.backward.inc();
                Err(UpstreamError::Backward)
            }
            Arrival::Frozen if self.is_last_asked() => Ok(()),
            Arrival::Frozen => {
                metrics.frozen.inc();
                self.was_frozen.store(true, Ordering::Relaxed);
                Err(UpstreamError::Frozen)
            }
        }
    }

    /// Whether there is nobody left to ask who might do better.
    fn is_last_asked(&self) -> bool {
        let all = self.request.site.candidates.count().min(self.tier.settings().upstream.attempts_max);
        self.takes_frozen.load(Ordering::Relaxed) || self.asked.lock().0 >= all
    }

    /// A live playlist that is followed is replaced as soon as there is a newer one. Until then there is nothing
    /// better: it stays fresh for as long as its follower may be held up.
    fn lifetimes(&self, lifetimes: Lifetimes, live: Option<&Media>) -> Lifetimes {
        match (self.stream.get(), live) {
            (Some(_), Some(media)) if !media.is_ended() => {
                let ttl =
                    lifetimes.ttl.max(lifetimes.age + media.clamped_target_duration() * FOLLOWED_TARGETS);
                Lifetimes { ttl, ..lifetimes }
            }
            _ => lifetimes,
        }
    }

    /// Remembers what a playlist lists in pieces.
    fn remember_slices(&self, playlist: Option<&Media>) {
        if let Some(media) = playlist {
            listing::remember_slices(&self.tier, &self.request, media);
        }
    }

    /// A live playlist as viewers are given it: where the site says so, with the offer of what this tier can do and
    /// the origin cannot.
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

    /// A source that does not have what a playlist has announced does not have it yet: another one may.
    fn is_early(&self, status: StatusCode) -> bool {
        matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::RANGE_NOT_SATISFIABLE)
            && self.tier.streams().has_announced(&self.request.key)
    }

    /// What HLS says about an answer, and whether it may be stored at all.
    fn verdict(&self, head: &Head, playlist: Option<&Playlist>) -> Verdict {
        // A piece that is an object of its own is all of it.
        let is_piece = self.request.slice.is_some() && head.status == StatusCode::PARTIAL_CONTENT;
        let status = if is_piece { StatusCode::OK } else { head.status };
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
                Ok(Some(Variant { names: vary.names().into(), values: vary.variant(&self.sent) }))
            }
        }
    }

    fn settings(&self) -> &crate::config::Cache {
        &self.tier.settings().cache
    }
}

impl FillPolicy for SitePolicy {
    fn rule(&self, head: &Head) -> Ruling {
        // Who knows another stream than this tier, one that has begun anew, finds the request to be a bad one.
        let is_too_far = self.is_held && head.status == StatusCode::BAD_REQUEST;
        if is_failure(head.status) || self.is_early(head.status) || is_too_far {
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

    fn inspect(&self, head: &Head, body: Bytes) -> Inspection {
        let playlist = match Playlist::parse(&body) {
            Ok(playlist) => Some(playlist),
            // Asked for as a playlist, it must be one; only labelled as one, it is passed on for what it is.
            Err(_error) if self.request.resource.kind == Kind::Playlist => {
                return Inspection::Refuse(UpstreamError::Unusable("it is not a playlist"));
            }
            Err(_error) => None,
        };
        if let Some(Playlist::Multivariant(multivariant)) = &playlist {
            listing::remember_renditions(&self.tier, &self.request, multivariant);
        }
        match (self.verdict(head, playlist.as_ref()), self.variant(head)) {
            (Verdict::Store(lifetimes), Ok(variant)) => {
                let raw = playlist.as_ref().and_then(Playlist::as_media);
                // What varies is several playlists in one, which cannot be followed as one.
                let live = raw.filter(|_| variant.is_none());
                let version = match live.map(|raw| self.arrives(raw, &body, lifetimes.age)).transpose() {
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

    fn renew(&self, stale: &Object, head: &Head) -> Result<(Head, Lifetimes), UpstreamError> {
        let mut fresh = head.headers.clone();
        expires::replace_with_max_age(&mut fresh, clock::now());
        let renewed =
            Head { status: stale.head.status, headers: conditional::renew(&stale.head.headers, &fresh) };
        let playlist = stale
            .body
            .whole()
            .filter(|_| may_be_playlist(self.request.resource.kind, &renewed))
            .and_then(|pieces| Playlist::parse(&crate::answer::content::joined(pieces)).ok());
        // The age is that of the 304, not of the stored answer.
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
                if let Some(stream) = self.stream.get().filter(|_| live.is_some()) {
                    let asked = self.asked.lock().1;
                    self.admit(stream.confirm_unchanged(asked, lifetimes.age))?;
                }
                Ok((renewed, self.lifetimes(lifetimes, live)))
            }
            Verdict::Uncacheable(_) => Err(UpstreamError::Unusable("what it renews cannot be stored")),
        }
    }

    fn stored_head(&self, head: &Head) -> Head {
        let mut headers = hop::end_to_end(&head.headers);
        // The length is known from the body, and a cookie that a site ignores is nobody's. The marks of the tiers
        // above stay: they tell how what is held came here.
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::SET_COOKIE);
        expires::replace_with_max_age(&mut headers, clock::now());
        Head { status: head.status, headers }
    }

    fn retry_pause(&self, error: UpstreamError, rounds: usize, waited: Duration) -> Option<Duration> {
        if rounds == 1 && self.was_frozen.load(Ordering::Relaxed) {
            // Nobody does better than the one that stands still.
            self.takes_frozen.store(true, Ordering::Relaxed);
            return Some(Duration::ZERO);
        }
        let UpstreamError::Status(status) = error else { return None };
        let may_come = rounds <= EARLY_ROUNDS && waited < EARLY_WAIT && self.is_early(status);
        let doublings = u32::try_from(rounds).ok()?.checked_sub(1)?;
        may_come.then(|| EARLY_PAUSE.saturating_mul(1 << doublings.min(8)).min(EARLY_PAUSE_MAX))
    }

    fn failure(&self, error: UpstreamError, upstream: Option<&Upstream>, head: Option<&Head>) -> Failure {
        let retry_after = head
            .and_then(|head| head.headers.get(header::RETRY_AFTER))
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs)
            .or_else(|| (error == UpstreamError::Full).then_some(RETRY_FULL_AFTER));
        Failure {
            status: error.status(),
            reason: error.token(),
            upstream: upstream.map(|upstream| Arc::clone(upstream.name())),
            retry_after,
            lifetime: self.settings().failure_lifetime.get(),
        }
    }

    fn record_unusable(&self, upstream: &Upstream, error: UpstreamError) {
        *self.refused.lock() = Some((Arc::clone(upstream.name()), error));
    }

    fn note(&self, event: Event) {
        let metrics = self.tier.metrics();
        match event {
            Event::Requested => {
                let mut asked = self.asked.lock();
                *asked = (asked.0 + 1, Instant::now());
                metrics.origin_requests.inc();
            }
            Event::Finished(outcome) => metrics.upstream_request(UpstreamEnd::from(outcome)),
            Event::FailedOver(error) => metrics.failover(Failover::from(error)),
            Event::Rescued(_) => metrics.upstreams.rescued_bodies.inc(),
            Event::Hedged => metrics.upstreams.hedges.inc(),
            Event::HedgeWon => metrics.upstreams.hedges_won.inc(),
            Event::BudgetExhausted => metrics.upstreams.retry_budget_exhausted.inc(),
            Event::Ended(ending, viewers) => {
                self.is_stored.store(ending == Ending::Stored, Ordering::Release);
                metrics.fill_ended(ending.into(), viewers);
            }
        }
    }
}

impl From<Ending> for FillEnd {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Stored => Self::Stored,
            Ending::Renewed => Self::Revalidated,
            Ending::Passed => Self::Uncacheable,
            Ending::Failed => Self::Failed,
            Ending::Broken => Self::Broken,
            Ending::Abandoned => Self::Abandoned,
        }
    }
}

/// What has been announced and is missing is asked for again within so long, then within twice as long, and so on.
const EARLY_PAUSE: Duration = Duration::from_millis(100);
/// The longest of these pauses.
const EARLY_PAUSE_MAX: Duration = Duration::from_millis(800);
/// Until so much time has been waited: a backup may be that far behind.
const EARLY_WAIT: Duration = Duration::from_millis(1500);
/// And never more often, however short the pauses turn out.
const EARLY_ROUNDS: usize = 16;

/// Whoever finds an upstream full may come back after so long: as long as one waits for its turn by default.
const RETRY_FULL_AFTER: Duration = Duration::from_secs(1);

/// For so many target durations a live playlist serves whose follower brings nothing. A player that has had nothing
/// new for as long has given up.
const FOLLOWED_TARGETS: u32 = 10;

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
