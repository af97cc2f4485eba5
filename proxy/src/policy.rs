//! What an upstream's response means to a site: the rules for one request's fill.
//!
//! A policy keeps no state of its own. `policy/arrival.rs` compares a playlist with its stream's earlier
//! versions, and the stream remembers it.

mod arrival;
pub(crate) mod coding;
mod error_response;
pub(crate) mod leaving;
mod live_lifetime;
mod looks;
pub(crate) mod playlist;
pub(crate) mod redirect;
mod retry;
mod trouble;
mod validators;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use tidegate_cache::freshness::{CountedFrom, RequestFacts, UncacheableReason, Verdict, judge};
use tidegate_cache::{Failure, FillWriter, Head, Lifetimes, Object, PurgeWatch, Variant};
use tidegate_headers::conditional;
use tidegate_headers::hop;
use tidegate_headers::vary::{self, Selection};
use tidegate_hls::{Beginning, Kind, Playlist};
use tidegate_upstream::{
    Coding, FailedResponse, FillPolicy, Inspection, Peeked, Progress, Redirect, Ruling, StoredResponse,
    Upstream, UpstreamError,
};

use crate::answer::content;
use crate::clock;
use crate::live::listing;
use crate::live::stream::Stream;
use crate::request::parsed::Request;
use crate::tier::Tier;
use looks::Looks;

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
    /// Shows whether the fill was purged.
    purge_watch: Option<PurgeWatch>,
}

impl<'a> SitePolicy<'a> {
    pub(crate) fn new(tier: &'a Tier, request: &'a Request, sent: &'a HeaderMap) -> Self {
        Self { tier, request, sent, stale: None, is_blocking: false, purge_watch: None }
    }

    /// The policy for a request that may block at the upstream until there is a new version.
    pub(crate) fn blocking(self, is_blocking: bool) -> Self {
        Self { is_blocking, ..self }
    }

    /// The policy for the fill of this writer, which may replace an object.
    pub(crate) fn filling(self, fill_writer: &FillWriter) -> Self {
        let stale = fill_writer.stale().cloned();
        Self { stale, purge_watch: Some(fill_writer.purge_watch()), ..self }
    }

    /// Whether a purge since the fill began selects a response with this head. It is not stored, and its
    /// stream must not know it.
    fn is_purged(&self, head: &Head) -> bool {
        self.purge_watch.as_ref().is_some_and(|watch| watch.selects(head))
    }

    /// The live stream of the requested playlist, if it is known.
    fn stream(&self) -> Option<Arc<Stream>> {
        self.tier.streams().of(&self.request.key)
    }

    /// Whether a response may be stored, and for how long, by the rules of HTTP and HLS.
    fn verdict(&self, head: &Head, playlist: Option<&Playlist>) -> Verdict {
        // A slice is an object of its own, and this is all of it.
        let is_slice = self.request.slice.is_some() && head.status == StatusCode::PARTIAL_CONTENT;
        let status = if is_slice { StatusCode::OK } else { head.status };
        let kind = self.kind(head, playlist);
        let known = match (playlist, kind) {
            // A playlist's lifetime is inside it; one that could not be read has none.
            (None, Kind::Playlist) if status == StatusCode::OK => None,
            _ => self.request.site.hls.of(kind, playlist, status.as_u16(), &self.request.resource.directives),
        };
        let facts = RequestFacts { authorization: self.request.is_authorized };
        let mut policy = self.request.site.policy(kind, status, known);
        // The origin's word counts for a playlist whose next version is not foreseeable.
        policy.hls_over_no_cache &= !playlist.is_some_and(Playlist::is_unpredictable);
        // A type alone does not say that the object never changes: video from a camera has one, too.
        policy.hls_over_no_cache &= kind != Kind::Segment || self.is_media();
        // A live playlist moves: its age says how far behind it is.
        if playlist.and_then(Playlist::as_media).is_some_and(|media| !media.is_ended()) {
            policy.hls_from = CountedFrom::Generation;
        }
        match judge(&facts, status, &head.headers, &policy, clock::now()) {
            Verdict::Store(lifetimes) if self.may_end_soon(kind, status) => {
                Verdict::Store(looks::at_most(lifetimes, self.request.site.hls.target_assumed))
            }
            verdict => verdict,
        }
    }

    /// Whether a status says that a part of a stream is not there, or not there yet: it may be the next
    /// moment, whatever lifetime the origin gives this response (HLS appendix B.1).
    fn may_end_soon(&self, kind: Kind, status: StatusCode) -> bool {
        let is_of_stream = kind != Kind::Other || self.tier.streams().needs(&self.request.key);
        let is_empty_success = matches!(status.as_u16(), 201 | 202 | 204 | 205);
        let is_absent = status.is_client_error() || status == StatusCode::NOT_IMPLEMENTED;
        self.request.site.follows() && is_of_stream && (is_empty_success || is_absent)
    }

    /// The lifetimes of a response that is not a playlist. No segment and no initialisation section is empty
    /// (HLS section 3).
    fn unless_empty(&self, head: &Head, lifetimes: Lifetimes) -> Lifetimes {
        if looks::is_empty(head) && self.is_media() {
            Lifetimes { stale_if_error: Duration::ZERO, ..looks::at_most(lifetimes, EMPTY_FOR) }
        } else {
            lifetimes
        }
    }

    /// Whether the requested object is a segment or an initialisation section.
    pub(crate) fn is_media(&self) -> bool {
        matches!(self.request.resource.kind, Kind::Segment | Kind::Init)
            || self.tier.streams().has_announced(&self.request.key)
    }

    /// The kind of the response: by its content if that is known, else by its name, by its content type, and
    /// by the live playlist that lists it.
    fn kind(&self, head: &Head, playlist: Option<&Playlist>) -> Kind {
        let kind = self.request.resource.kind;
        match (kind, looks::labelled_kind(head)) {
            _ if playlist.is_some() => Kind::Playlist,
            (Kind::Other, Kind::Other) if self.is_media() => Kind::Segment,
            (Kind::Other, labelled) => labelled,
            _ => kind,
        }
    }

    /// What the response varies by.
    ///
    /// # Errors
    /// It cannot be shared for this reason.
    fn variant(
        &self,
        head: &Head,
        playlist: Option<&Playlist>,
    ) -> Result<Option<Variant>, UncacheableReason> {
        let vary = UncacheableReason::VaryStar;
        if self.request.site.ignored(self.kind(head, playlist)).contains(&vary) {
            return Ok(None);
        }
        match vary::parse(&head.headers, &self.request.site.forwarding) {
            Selection::Any => Ok(None),
            Selection::Never => Err(vary),
            Selection::By(vary) => {
                Ok(Some(Variant { names: vary.names().into(), values: vary.variant(self.sent) }))
            }
        }
    }

    fn settings(&self) -> &crate::config::Cache {
        &self.tier.settings().cache
    }

    /// A shield that answers remembers its failure itself. If the edge remembered it as long again, viewers
    /// would see the recovery twice as late.
    fn failure_lifetime(&self, error: UpstreamError) -> Duration {
        let lifetime = self.settings().failure_lifetime.get();
        let is_of_shield = self.request.site.has_shields && matches!(error, UpstreamError::Status(_));
        if is_of_shield { lifetime / SHIELD_FAILURE_SHARE } else { lifetime }
    }
}

impl FillPolicy for SitePolicy<'_> {
    fn redirect(&self, head: &Head, upstream: &Arc<Upstream>, target: &str) -> Option<Redirect> {
        self.follow(head, upstream, target)
    }

    fn codings(&self, head: &mut Head) -> Vec<Coding> {
        coding::remove(&mut head.headers)
    }

    fn rule(&self, head: &Head) -> Ruling {
        // An upstream whose stream has restarted, or that has not seen a restart, refuses the blocking
        // request.
        let is_too_far = self.is_blocking && head.status == StatusCode::BAD_REQUEST;
        let is_trouble = self.may_appear(head.status) || self.is_trouble(head.status);
        if is_failure(head.status) || is_trouble || is_too_far {
            return Ruling::Refuse(UpstreamError::Status(head.status));
        }
        let remember = self.remember_uncacheable(head.status);
        let max = self.settings().playlist_max.bytes();
        // Codings that are known have been removed.
        let is_coded = head.headers.contains_key(header::CONTENT_ENCODING);
        if is_coded && self.request.resource.kind == Kind::Playlist {
            // It cannot be followed, and its lifetime is not to be believed.
            return Ruling::Pass { remember, reason: UncacheableReason::ContentCoding };
        }
        match (self.verdict(head, None), self.variant(head, None)) {
            (Verdict::Uncacheable(reason), _) | (_, Err(reason)) => {
                let pass = Ruling::Pass { remember, reason };
                // If it turns out to be a playlist, the site may share it all the same.
                let may_be_shared = !is_coded
                    && self.request.site.ignored(Kind::Playlist).contains(&reason)
                    && Looks::of(self.request.resource.kind, head, max) == Looks::Unclear;
                if may_be_shared { Ruling::Peek { otherwise: Box::new(pass) } } else { pass }
            }
            (Verdict::Store(lifetimes), Ok(variant)) => {
                self.report_stored_redirect(head);
                let store = Ruling::Store { lifetimes: self.unless_empty(head, lifetimes), variant };
                if is_coded {
                    return store;
                }
                match Looks::of(self.request.resource.kind, head, max) {
                    Looks::LikePlaylist => Ruling::Collect { max },
                    Looks::Unclear => Ruling::Peek { otherwise: Box::new(store) },
                    Looks::Different => store,
                }
            }
        }
    }

    fn rule_beginning(&self, beginning: &[u8]) -> Peeked {
        match Beginning::of(beginning) {
            Beginning::Playlist => {
                Peeked::Rule(Ruling::Collect { max: self.settings().playlist_max.bytes() })
            }
            Beginning::Unclear => Peeked::More,
            Beginning::Other => Peeked::Otherwise,
        }
    }

    fn inspect(&self, head: &Head, body: Bytes, progress: &Progress) -> Inspection {
        let (head, body) = self.with_own_uris(head, body, progress);
        let head = &head;
        let playlist = match self.read(&body) {
            Ok(playlist) => playlist,
            Err(error) => return Inspection::Refuse(error),
        };
        if playlist.is_some() {
            self.report_leaving(&body);
        }
        if let Some(Playlist::Multivariant(multivariant)) = &playlist {
            listing::remember_renditions(self.tier, self.request, multivariant);
        }
        match (self.verdict(head, playlist.as_ref()), self.variant(head, playlist.as_ref())) {
            (Verdict::Store(lifetimes), Ok(variant)) => {
                let raw = playlist.as_ref().and_then(Playlist::as_media);
                if raw.is_some() && variant.is_some() {
                    self.report_varying();
                }
                // A response that varies is several playlists, which cannot be followed as one.
                let live = raw.filter(|_| variant.is_none() && !self.is_purged(head));
                let version =
                    match live.map(|raw| self.receive(raw, &body, lifetimes.age, progress)).transpose() {
                        Ok(version) => version.flatten(),
                        Err(error) => return Inspection::Refuse(error),
                    };
                let followed = version.as_ref().map(|version| &*version.media);
                let media = followed.or_else(|| raw.map(|raw| &**raw));
                self.remember_slices(media);
                let lifetimes = match &playlist {
                    Some(playlist) if followed.is_none() && self.is_doubtful(&body, playlist) => {
                        Self::doubted(lifetimes)
                    }
                    Some(playlist) => self.lifetimes(lifetimes, playlist, followed),
                    None if body.is_empty() => looks::at_most(lifetimes, EMPTY_FOR),
                    None => lifetimes,
                };
                let (stored, body) = match &version {
                    Some(version) => (version.head(storable_head(head)), version.body.clone()),
                    None => (storable_head(head), body),
                };
                let (stored, body) = self.offered(stored, body, followed);
                let head = self.stored_playlist_head(stored, head, &body, playlist.as_ref());
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
        let mut renewed =
            Head { status: stale.head.status, headers: conditional::renew(&stale.head.headers, &fresh) };
        let playlist = stale
            .body
            .whole()
            .filter(|chunks| {
                let first = chunks.first().map_or(&b""[..], |first| first);
                let may_be_playlist = matches!(self.request.resource.kind, Kind::Playlist | Kind::Other)
                    || looks::is_labelled(&renewed);
                may_be_playlist && Beginning::of(first) != Beginning::Other
            })
            .and_then(|chunks| self.reread(&content::concatenated(chunks)));
        // The age is that of the 304, not of the stored response.
        let mut judged = renewed.clone();
        judged.headers.remove(header::AGE);
        if let Some(age) = head.headers.get(header::AGE) {
            judged.headers.insert(header::AGE, age.clone());
        }
        let media = playlist.as_ref().and_then(Playlist::as_media).map(|media| &**media);
        self.remember_slices(media);
        let is_live = media.is_some_and(|media| !media.is_ended()) && self.request.site.follows();
        Self::keep_validators(&mut renewed.headers, &stale.head.headers, is_live);
        self.limit_lifetime(&mut renewed.headers, playlist.as_ref());
        match self.verdict(&judged, playlist.as_ref()) {
            Verdict::Store(lifetimes) => {
                let is_purged = self.is_purged(&renewed);
                let live = media.filter(|media| !is_purged && stale.variant.is_none() && media.is_numbered());
                if let Some(stream) = self.stream().filter(|_| live.is_some()) {
                    self.admit(stream.confirm_unchanged(progress.last_sent, lifetimes.age), progress)?;
                }
                let lifetimes =
                    playlist.as_ref().map_or(lifetimes, |playlist| self.lifetimes(lifetimes, playlist, live));
                Ok((renewed, lifetimes))
            }
            Verdict::Uncacheable(_) => Err(UpstreamError::Unusable("what it renews cannot be stored")),
        }
    }

    fn stored_head(&self, head: &Head) -> Head {
        let mut stored = storable_head(head);
        self.set_validators(&mut stored.headers, head, None, false);
        if self.may_end_soon(self.kind(head, None), head.status) {
            self.limit_told(&mut stored.headers, self.request.site.hls.target_assumed);
        }
        stored
    }

    fn may_appear(&self, status: StatusCode) -> bool {
        matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::RANGE_NOT_SATISFIABLE)
            && self.tier.streams().has_announced(&self.request.key)
    }

    fn retry_pause(&self, error: UpstreamError, progress: &Progress) -> Option<Duration> {
        self.pause_before_retry(error, progress)
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
            lifetime: self.failure_lifetime(error),
            response: response.and_then(error_response::shared),
        }
    }
}

/// The edge remembers a shield's failure for this part of `failure_lifetime`.
const SHIELD_FAILURE_SHARE: u32 = 4;

/// How long an empty segment is believed: its file has just been created.
const EMPTY_FOR: Duration = Duration::from_millis(500);

/// Retry-After when the upstreams are full: as long as a request waits for a permit by default.
const RETRY_FULL_AFTER: Duration = Duration::from_secs(1);

/// The head as received, without the fields that are not stored.
fn storable_head(head: &Head) -> Head {
    let mut headers = hop::end_to_end(&head.headers);
    // The length is known from the body, and a cookie that the site ignores belongs to no viewer. The marks
    // of the tiers above stay: they show how the object came here.
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::SET_COOKIE);
    hop::date(&mut headers, clock::now());
    Head { status: head.status, headers }
}

/// Whether another upstream may respond better. 501 and 505 are about the request: all upstreams would agree.
fn is_failure(status: StatusCode) -> bool {
    status.is_server_error()
        && !matches!(status, StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED)
}
