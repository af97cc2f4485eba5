//! The follower of a live playlist: it fetches one version after the other while viewers watch.
//!
//! A playlist is followed from its second use on: when it is requested again, or when a request blocks on
//! its next version. One that is requested once costs one upstream request.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use tidegate_hls::{Directives, Media};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::publish::publish;
use super::stream::{Stream, watch_interval};
use crate::fill::{self, FillOptions, Filled};
use crate::policy;
use crate::request::parsed::Request;
use crate::tier::{Role, Tier};

/// Reserves a follower for the playlist of `request`, if that is a live one that was known before and has
/// none. A fill that follows stores its version as a followed one. Fills send the fields `fill_headers`.
pub(crate) fn reserve(tier: &Arc<Tier>, request: &Request, fill_headers: &HeaderMap) -> Option<Follower> {
    let stream = tier.streams().of_request(request)?;
    if !stream.wants_follower() || tier.draining().is_set() {
        return None;
    }
    if !tier.streams().start_following(request, &stream) {
        if !stream.is_followed() {
            tier.metrics().live.followers_refused.inc();
        }
        return None;
    }
    let (tier, request, fill_headers) = (Arc::clone(tier), request.clone(), fill_headers.clone());
    let purges = stream.purges.subscribe();
    Some(Follower { tier, request, stream, fill_headers, purges, is_purged: false })
}

/// Starts a follower for the playlist of `request`, of which the tier has a version. Returns whether it is
/// followed now.
pub(crate) fn follow(tier: &Arc<Tier>, request: &Request, stream: &Stream, fill_headers: &HeaderMap) -> bool {
    if let Some(follower) = reserve(tier, request, fill_headers) {
        follower.start_with_stored_version();
    }
    stream.is_followed()
}

/// The follower of a playlist. It ends when it is dropped.
pub(crate) struct Follower {
    tier: Arc<Tier>,
    request: Request,
    stream: Arc<Stream>,
    fill_headers: HeaderMap,
    purges: watch::Receiver<u64>,
    is_purged: bool,
}

impl Follower {
    /// Starts it after a fill, which may have fetched a version.
    pub(crate) fn start(self, filled: &Filled) {
        if filled.has_response {
            self.stream.record_response();
        }
        let tasks = self.tier.tasks().clone();
        tasks.spawn(self.run(false));
    }

    /// Starts it with the version that is stored, which may be old: unless an upstream has sent it just now,
    /// or can be requested to block for the next one, the follower looks for a newer one first.
    fn start_with_stored_version(self) {
        let now = Instant::now();
        let stored = self.tier.cache().fresh(&self.request.key, now);
        let media = self.stream.media();
        if let (Some(_), Some(media)) = (&stored, &media) {
            self.tier.cache().prolong(&self.request.key, policy::playlist::followed_ttl(media));
        }
        let is_recent = stored.is_some_and(|stored| {
            stored.age(now) < RECENT || media.is_some_and(|media| self.can_upstream_block(&media))
        });
        let tasks = self.tier.tasks().clone();
        tasks.spawn(self.run(!is_recent));
    }

    async fn run(mut self, mut must_check: bool) {
        let draining = self.tier.draining().token().clone();
        let _followed = self.tier.metrics().live.follow();
        let mut empty_polls = 0;
        while let Some(media) = self.stream.media().filter(|media| !media.is_ended()) {
            if !self.renew_site() || self.stream.sliding.is_known() {
                return;
            }
            self.tier.streams().keep_known(&self.request.key, &self.stream);
            let mut purges = self.purges.clone();
            let round = if std::mem::take(&mut must_check) { Round::Check } else { Round::Next(empty_polls) };
            tokio::select! {
                () = draining.cancelled() => return,
                // The next request starts another follower.
                _purged = purges.changed() => {
                    self.is_purged = true;
                    return;
                }
                () = self.stream.wait_until_idle(watch_interval(&media)) => return,
                has_moved = self.fetch(&media, round) => {
                    empty_polls = if has_moved { 0 } else { empty_polls + 1 };
                }
            }
        }
    }

    /// Takes the site as it is after the latest reload. Returns whether it still follows playlists.
    fn renew_site(&mut self) -> bool {
        let sites = self.tier.sites();
        let Some(site) = sites.named(&self.request.site.name).filter(|site| site.follows()) else {
            return false;
        };
        self.request.site = Arc::clone(site);
        true
    }

    /// Makes one request for a version after `media`. Returns whether there is a newer one now.
    async fn fetch(&self, media: &Arc<Media>, round: Round) -> bool {
        let is_blocking = self.wait_for_round(media, round).await;
        if let Some(fill_writer) = self.tier.cache().fill_early(&self.request.key) {
            self.tier.metrics().live.polls.inc();
            let fill_options =
                if is_blocking { self.blocking_options(media) } else { FillOptions::default() };
            let filled = Box::pin(fill::fill(
                &self.tier,
                &self.request,
                fill_writer,
                &self.fill_headers,
                fill_options,
            ))
            .await;
            publish(&self.tier, &self.request, &self.fill_headers, &filled);
            if filled.has_response {
                self.stream.record_response();
            }
        } else {
            // A request of a viewer has started a fill, which may bring the next version as well.
            let mut versions = self.stream.subscribe();
            let _in_time = timeout(media.clamped_target_duration() / 4, versions.changed()).await;
        }
        let has_moved = self.stream.media().is_some_and(|newest| newest.position() != media.position());
        if has_moved {
            self.stream.record_response();
        } else {
            self.stream.record_empty_poll();
        }
        has_moved
    }

    /// Waits until it is time for the request of a round. Returns whether the upstream is to block it.
    async fn wait_for_round(&self, media: &Arc<Media>, round: Round) -> bool {
        let Round::Next(empty_polls) = round else { return false };
        // An upstream may refuse to block, for example because its stream has restarted: every second request
        // is plain.
        let is_blocking = self.can_upstream_block(media) && empty_polls.is_multiple_of(2);
        if is_blocking && empty_polls > 0 {
            // The last blocked request brought nothing new.
            sleep(media.clamped_target_duration() / 2).await;
        }
        if !is_blocking {
            sleep_until(self.next_poll(media, empty_polls)).await;
        }
        is_blocking
    }

    /// Whether the upstream can block a request until the next version is there. A shield always can.
    fn can_upstream_block(&self, media: &Media) -> bool {
        let is_shield = self.tier.role() == Role::Edge && self.request.site.has_shields;
        is_shield || media.server_control.can_block_reload
    }

    /// A request that blocks for what comes after `media`, in the upstream's numbers: the next part if there
    /// are parts, otherwise the next segment.
    fn blocking_options(&self, media: &Media) -> FillOptions {
        let position = media.position();
        let part = media.part_target.map(|_| position.parts);
        let msn = position.sequence.saturating_add_signed(self.stream.shift().saturating_neg());
        FillOptions {
            directives: Directives { msn: Some(msn), part, skip: None },
            // The upstream gives up after three target durations, and responds with an error.
            head_timeout: Some(media.block_max() + RESPONSE_MARGIN),
            late_after: Some(self.late_after(media)),
            ..FillOptions::default()
        }
    }

    /// How long an upstream may block before another one receives the request as well: until half a target
    /// duration after the next version is due. Then players still have enough to play.
    fn late_after(&self, media: &Media) -> Duration {
        let due = self.stream.due().map(|due| due.saturating_duration_since(Instant::now()));
        due.unwrap_or_else(|| media.clamped_target_duration()) + media.clamped_target_duration() / 2
    }

    /// When to poll an origin that cannot block.
    fn next_poll(&self, media: &Media, empty_polls: u32) -> Instant {
        let now = Instant::now();
        match self.stream.next_poll(empty_polls) {
            // Missed polls are not made up for.
            Some(poll) if empty_polls > 0 && poll + media.clamped_target_duration() < now => {
                now + media.clamped_target_duration() / 2
            }
            Some(poll) => poll.max(now),
            None => now + media.clamped_target_duration() / 2,
        }
    }
}

impl Drop for Follower {
    /// Without a follower the cached version gets old: the next request must start a fill. After a purge,
    /// the cached version is a newer one.
    fn drop(&mut self) {
        if !self.is_purged {
            self.tier.cache().expire(&self.request.key);
        }
        self.tier.streams().stop_following(&self.request, &self.stream);
    }
}

/// One request of a follower.
#[derive(Debug, Clone, Copy)]
enum Round {
    /// A request to be answered immediately: the stored version may be old.
    Check,
    /// The request for the next version, after this many without a newer one.
    Next(u32),
}

/// A version of this age needs no check.
const RECENT: Duration = Duration::from_millis(250);
/// Time for the response to arrive after the upstream has stopped blocking.
const RESPONSE_MARGIN: Duration = Duration::from_secs(2);
