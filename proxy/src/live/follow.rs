//! The follower of a live playlist: it fetches one version after the other while viewers watch.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use tidegate_hls::{Directives, Media};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::publish::publish;
use super::stream::{Stream, watch_interval};
use crate::fill::{self, FillOptions};
use crate::request::parsed::Request;
use crate::tier::{Role, Tier};

/// Starts a follower for the playlist of `request`, if it is live and has none. `sent` are the header fields
/// of a fill for it.
pub(crate) fn follow(tier: &Arc<Tier>, request: &Request, stream: &Arc<Stream>, sent: &HeaderMap) {
    if !stream.wants_follower() || tier.draining().is_set() || !stream.start_following() {
        return;
    }
    let follower = Follower {
        tier: Arc::clone(tier),
        request: request.clone(),
        stream: Arc::clone(stream),
        sent: sent.clone(),
    };
    tier.tasks().spawn(follower.run());
}

struct Follower {
    tier: Arc<Tier>,
    request: Request,
    stream: Arc<Stream>,
    sent: HeaderMap,
}

impl Follower {
    async fn run(self) {
        let draining = self.tier.draining().token().clone();
        let _followed = self.tier.metrics().live.follow();
        let mut empty_polls = 0;
        while let Some(media) = self.stream.media().filter(|media| !media.is_ended()) {
            tokio::select! {
                () = draining.cancelled() => return,
                () = self.stream.wait_until_idle(watch_interval(&media)) => return,
                has_moved = self.fetch_next(&media, empty_polls) => {
                    empty_polls = if has_moved { 0 } else { empty_polls + 1 };
                }
            }
        }
    }

    /// Requests the version after `media`. Returns whether there is a newer one now.
    async fn fetch_next(&self, media: &Arc<Media>, empty_polls: u32) -> bool {
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
        if let Some(fill_writer) = self.tier.cache().fill_early(&self.request.key) {
            self.tier.metrics().live.polls.inc();
            let fill_options =
                if is_blocking { self.blocking_options(media) } else { FillOptions::default() };
            let filled =
                Box::pin(fill::fill(&self.tier, &self.request, fill_writer, &self.sent, fill_options)).await;
            publish(&self.tier, &self.request, &self.sent, &filled);
        } else {
            // A request of a viewer has started a fill, which may bring the next version as well.
            let mut versions = self.stream.subscribe();
            let _in_time = timeout(media.clamped_target_duration() / 4, versions.changed()).await;
        }
        let has_moved = self.stream.media().is_some_and(|newest| newest.position() != media.position());
        if !has_moved {
            self.stream.record_empty_poll();
        }
        has_moved
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
            patience: Some(media.block_max() + RESPONSE_MARGIN),
            overdue: Some(self.overdue(media)),
            ..FillOptions::default()
        }
    }

    /// How long an upstream may block before another one receives the request as well: until half a target
    /// duration after the next version is due. Then players still have enough to play.
    fn overdue(&self, media: &Media) -> Duration {
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
    /// Without a follower the cached version gets old: the next request must start a fill.
    fn drop(&mut self) {
        self.tier.cache().expire(&self.request.key);
        self.stream.stop_following();
    }
}

/// Time for the response to arrive after the upstream has stopped blocking.
const RESPONSE_MARGIN: Duration = Duration::from_secs(2);
