//! The rules for a received version of a live playlist: whether it may be served, and as which version.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate_hls::{Media, Restart};
use tidegate_upstream::{Progress, UpstreamError};
use tokio::time::Instant;

use super::SitePolicy;
use crate::answer::content;
use crate::live::numbering::Version;
use crate::live::stream::Arrival;
use crate::live::{epochs, listing};

impl SitePolicy<'_> {
    /// Compares a received version of a media playlist with its stream. Returns the version to serve; `None`
    /// for a playlist that is not followed, or whose versions cannot be compared.
    pub(super) fn receive(
        &self,
        raw: &Arc<Media>,
        body: &Bytes,
        age: Duration,
        progress: &Progress,
    ) -> Result<Option<Version>, UpstreamError> {
        let known = self.stream();
        let is_followed = self.request.site.follows() && raw.is_numbered();
        if !is_followed || (known.is_none() && raw.is_ended()) {
            return Ok(None);
        }
        let streams = self.tier.streams();
        let stream =
            known.unwrap_or_else(|| streams.find_or_create(&self.request.key, self.request.is_backup));
        let old = stream.media();
        listing::remember_keys(self.tier, self.request, raw);
        if stream.is_sliding(raw) {
            return Ok(None);
        }
        // A shield has looked twice already.
        if !self.request.site.has_shields && !stream.unfinished.is_believed(body, raw, Instant::now()) {
            return Err(UpstreamError::Unfinished);
        }
        let published = || Some(content::concatenated(self.stale.as_ref()?.body.whole()?));
        let version = epochs::version(self.tier, self.request, &stream, raw, body, published);
        if version.is_outdated {
            self.admit(Arrival::Backward, progress)?;
        }
        let arrival = stream.observe(Arc::clone(&version.media), &version.body, progress.last_sent, age);
        self.admit(arrival, progress)?;
        if arrival != Arrival::Frozen
            && let Some((upstream, error)) = &progress.unusable
        {
            // Another upstream does better.
            stream.set_detour(upstream, *error);
        }
        match (arrival, old) {
            (Arrival::Restarted(why), Some(old)) => {
                self.record_restart(why.as_str(), false);
                // The new playlist reuses the names of the old one.
                listing::purge_listed(self.tier, self.request, &old);
                listing::purge_listed(self.tier, self.request, raw);
            }
            _ if version.starts_epoch => self.record_restart(Restart::SequenceReset.as_str(), true),
            _ => {}
        }
        stream.set_numbering(&version);
        Ok(Some(version))
    }

    fn record_restart(&self, why: &str, joined: bool) {
        tracing::warn!(playlist = self.request.key.path_and_query(), why, joined, "stream restarted");
        self.tier.metrics().live.restarts.inc();
    }

    /// Whether a version may be served. A frozen playlist may when no other upstream is left to try.
    pub(super) fn admit(&self, arrival: Arrival, progress: &Progress) -> Result<(), UpstreamError> {
        let metrics = &self.tier.metrics().live;
        match arrival {
            Arrival::Usable | Arrival::Restarted(_) => Ok(()),
            Arrival::Backward => {
                metrics.backward.inc();
                Err(UpstreamError::Backward)
            }
            Arrival::Frozen if self.is_last_chance(progress) => Ok(()),
            Arrival::Frozen => {
                metrics.frozen.inc();
                Err(UpstreamError::Frozen)
            }
        }
    }

    /// Whether no upstream is left to try that might have a newer version.
    fn is_last_chance(&self, progress: &Progress) -> bool {
        let all = self.request.site.upstreams.count().min(self.tier.settings().upstream.attempts_max);
        let is_second_round = progress.rounds > 0 && progress.was_frozen;
        is_second_round || progress.requests >= all
    }
}
