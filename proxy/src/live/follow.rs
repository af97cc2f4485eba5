//! The follower of a live playlist: it brings one version after the other, as long as somebody watches.

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

/// Follows the playlist of `request`, if it is live and nobody does yet. `sent` are the header fields of a fill for it.
pub(crate) fn follow(tier: &Arc<Tier>, request: &Request, stream: &Arc<Stream>, sent: &HeaderMap) {
    if !stream.wants_follower() || tier.draining().is_set() || !stream.take_up() {
        return;
    }
    let follower = Follower {
        tier: Arc::clone(tier),
        request: request.clone(),
        stream: Arc::clone(stream),
        sent: sent.clone(),
    };
    tier.tasks().spawn(follower.epoch());
}

struct Follower {
    tier: Arc<Tier>,
    request: Request,
    stream: Arc<Stream>,
    sent: HeaderMap,
}

impl Follower {
    async fn epoch(self) {
        let draining = self.tier.draining().token().clone();
        let _followed = self.tier.metrics().live.follow();
        let mut in_vain = 0;
        while let Some(media) = self.stream.media().filter(|media| !media.is_ended()) {
            tokio::select! {
                () = draining.cancelled() => return,
                () = self.stream.deserted(watch_interval(&media)) => return,
                moved = self.next(&media, in_vain) => in_vain = if moved { 0 } else { in_vain + 1 },
            }
        }
    }

    /// Asks for the version after `media`; tells whether there is a newer one now.
    async fn next(&self, media: &Arc<Media>, in_vain: u32) -> bool {
        // Whoever refuses to hold a request, because its stream has begun anew for example, is asked without more ado.
        let is_held = self.is_held_upstream(media) && in_vain.is_multiple_of(2);
        if is_held && in_vain > 0 {
            // Whoever holds requests and has nothing to say is not asked again at once.
            sleep(media.clamped_target_duration() / 2).await;
        }
        if !is_held {
            sleep_until(self.moment(media, in_vain)).await;
        }
        if let Some(fill_writer) = self.tier.cache().fill_early(&self.request.key) {
            self.tier.metrics().live.polls.inc();
            let fill_options = if is_held { self.held_until_next(media) } else { FillOptions::default() };
            let filled =
                Box::pin(fill::fill(&self.tier, &self.request, fill_writer, &self.sent, fill_options)).await;
            publish(&self.tier, &self.request, &self.sent, &filled);
        } else {
            // Somebody else's fill is under way, and what it brings counts as well.
            let mut newest = self.stream.newest();
            let _in_time = timeout(media.clamped_target_duration() / 4, newest.changed()).await;
        }
        let has_moved = self.stream.media().is_some_and(|newest| newest.position() != media.position());
        if !has_moved {
            self.stream.record_wait();
        }
        has_moved
    }

    /// Whether the next version is waited for where it is asked for. A shield always can, for its edges' sake.
    fn is_held_upstream(&self, media: &Media) -> bool {
        let asks_shields = self.tier.role() == Role::Edge && self.request.site.has_shields;
        asks_shields || media.server_control.can_block_reload
    }

    /// Asks for what comes after `media`, in the numbers of whoever is asked: the next part, where there are parts, else
    /// the next segment.
    fn held_until_next(&self, media: &Media) -> FillOptions {
        let position = media.position();
        let part = media.part_target.map(|_| position.parts);
        let msn = position.sequence.saturating_add_signed(self.stream.shift().saturating_neg());
        FillOptions {
            directives: Directives { msn: Some(msn), part, skip: None },
            // Whoever holds it gives up after three target durations, and says so.
            patience: Some(media.block_max() + ANSWER_WITHIN),
            overdue: Some(self.overdue(media)),
            ..FillOptions::default()
        }
    }

    /// How long whoever holds a request may do so before another one is asked as well. Half a segment's time after the
    /// next version is due, players still have enough to play.
    fn overdue(&self, media: &Media) -> Duration {
        let due = self.stream.due().map(|due| due.saturating_duration_since(Instant::now()));
        due.unwrap_or_else(|| media.clamped_target_duration()) + media.clamped_target_duration() / 2
    }

    /// When an origin that cannot hold requests is asked.
    fn moment(&self, media: &Media, in_vain: u32) -> Instant {
        let now = Instant::now();
        match self.stream.next_look(in_vain) {
            // Nobody looked for a long time: that is not made up for.
            Some(look) if in_vain > 0 && look + media.clamped_target_duration() < now => {
                now + media.clamped_target_duration() / 2
            }
            Some(look) => look.max(now),
            None => now + media.clamped_target_duration() / 2,
        }
    }
}

impl Drop for Follower {
    /// Nobody brings the next version from now on: whoever asks next must not be given an old one.
    fn drop(&mut self) {
        self.tier.cache().expire(&self.request.key);
        self.stream.let_go();
    }
}

/// Time for an answer that is no longer held to arrive.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
