//! What a playlist in a response means: its version, its lifetime, and what viewers receive of it.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tidegate_cache::freshness::UncacheableReason;
use tidegate_cache::{Head, Lifetimes};
use tidegate_headers::conditional;
use tidegate_hls::{Kind, Media, Offer, Playlist};
use tidegate_upstream::UpstreamError;

use super::{SitePolicy, live_lifetime, looks};
use crate::answer::content;
use crate::clock;
use crate::live::{listing, unfinished};
use crate::observe::unshared::Subject;
use crate::site::config::LowLatency;
use crate::tier::Role;

impl SitePolicy<'_> {
    /// A followed playlist is replaced as soon as there is a newer version. Until then no version is better:
    /// it stays fresh for as long as its follower may be delayed. `followed` is its version.
    pub(super) fn lifetimes(
        &self,
        lifetimes: Lifetimes,
        playlist: &Playlist,
        followed: Option<&Media>,
    ) -> Lifetimes {
        let stream = self.stream().filter(|stream| stream.is_followed());
        match (stream, followed) {
            (Some(_), Some(media)) if !media.is_ended() => {
                let ttl = lifetimes.ttl.max(lifetimes.age + followed_ttl(media));
                Lifetimes { ttl, ..lifetimes }
            }
            // Nothing fetches the next version of a playlist that may change: no viewer receives an old one
            // while it is fetched.
            _ if self.request.site.follows() && may_change(playlist) => {
                looks::at_most(lifetimes, lifetimes.ttl)
            }
            _ => lifetimes,
        }
    }

    /// The playlist in a collected body; `None` if it is something else.
    pub(super) fn read(&self, body: &Bytes) -> Result<Option<Playlist>, UpstreamError> {
        let stream = self.stream();
        let is_known = || stream.as_ref().is_some_and(|stream| stream.is_live());
        match stream.as_ref().map_or_else(|| Playlist::parse(body), |stream| stream.read(body)) {
            // An encoder that starts writes the first line and nothing else.
            Ok(Playlist::Untagged) if is_known() => {
                Err(UpstreamError::Unusable("its playlist lists nothing"))
            }
            Ok(playlist) => Ok(Some(playlist)),
            // A resource with the name of a playlist must be one; one that is only labelled as a playlist
            // need not.
            Err(_error) if self.request.resource.kind == Kind::Playlist || is_known() => {
                Err(UpstreamError::Unusable("it is not a playlist"))
            }
            Err(_error) => Ok(None),
        }
    }

    /// The playlist in a cached body. The stream has read its newest version already.
    pub(super) fn reread(&self, body: &Bytes) -> Option<Playlist> {
        let known = self.stream().and_then(|stream| stream.version_of(body)).map(Playlist::Media);
        known.or_else(|| Playlist::parse(body).ok())
    }

    /// Whether a playlist that is not followed may have been read while it was written. It is not believed
    /// for long before another look has shown the same.
    pub(super) fn is_doubtful(&self, body: &Bytes, playlist: &Playlist) -> bool {
        let has_end =
            unfinished::is_finished(body) || playlist.as_media().is_some_and(|media| media.end_list);
        let known = || Some(content::concatenated(self.stale.as_ref()?.body.whole()?));
        !has_end && known().as_ref() != Some(body)
    }

    /// The head of a playlist as it is stored: what it says of its version and its lifetime is true of it.
    pub(super) fn stored_playlist_head(
        &self,
        stored: Head,
        received: &Head,
        body: &[u8],
        playlist: Option<&Playlist>,
    ) -> Head {
        let mut headers = stored.headers;
        let media = playlist.and_then(Playlist::as_media);
        let is_live = media.is_some_and(|media| !media.is_ended()) && self.request.site.follows();
        self.set_validators(&mut headers, received, Some(body), is_live);
        self.limit_lifetime(&mut headers, playlist);
        Head { status: stored.status, headers }
    }

    /// Limits what viewers are told of the lifetime of a playlist that may change.
    pub(super) fn limit_lifetime(&self, headers: &mut HeaderMap, playlist: Option<&Playlist>) {
        let hls = &self.request.site.hls;
        let max = match playlist {
            _ if !self.request.site.follows() => return,
            Some(Playlist::Untagged) => hls.unpredictable,
            Some(Playlist::Media(media)) if !media.end_list => media.target_duration / 2,
            None | Some(Playlist::Multivariant(_) | Playlist::Media(_)) => return,
        };
        self.limit_told(headers, max);
    }

    /// Limits what viewers are told of the lifetime of a response.
    pub(super) fn limit_told(&self, headers: &mut HeaderMap, max: Duration) {
        if self.tier.role() == Role::Edge {
            live_lifetime::limit(headers, max, clock::now());
        }
    }

    /// Reports a playlist that varies by a field of its viewers' requests: it is several playlists, and none
    /// is followed.
    pub(super) fn report_varying(&self) {
        let site = &self.request.site;
        let subject = Subject::new(self.tier.metrics(), &site.name, &self.request.resource);
        site.unshared.record_private(subject, UncacheableReason::VaryStar);
    }

    /// Remembers the resources of which a playlist lists slices.
    pub(super) fn remember_slices(&self, playlist: Option<&Media>) {
        if let Some(media) = playlist {
            listing::remember_slices(self.tier, self.request, media);
        }
    }

    /// A playlist as viewers receive it. If the site says so, a live one offers what this tier can do and the
    /// origin cannot.
    pub(super) fn offered(&self, head: Head, body: Bytes, live: Option<&Media>) -> (Head, Bytes) {
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

    /// The lifetimes of a doubtful playlist.
    pub(super) fn doubted(lifetimes: Lifetimes) -> Lifetimes {
        looks::at_most(lifetimes, DOUBTFUL_FOR)
    }
}

/// How long a followed playlist is fresh without a newer version.
pub(crate) fn followed_ttl(media: &Media) -> Duration {
    media.clamped_target_duration() * FOLLOWED_TARGETS
}

/// Target durations for which a live playlist is fresh without a newer version. By then a player has given
/// up.
const FOLLOWED_TARGETS: u32 = 10;

/// Whether a playlist may get another version that nothing announces.
fn may_change(playlist: &Playlist) -> bool {
    let is_open = playlist.as_media().is_some_and(|media| !media.end_list && media.is_ended());
    is_open || playlist.is_unpredictable()
}

/// How long a playlist is believed that may be unfinished and has no earlier version.
const DOUBTFUL_FOR: Duration = Duration::from_secs(2);
