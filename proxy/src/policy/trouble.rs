//! Short trouble of an origin: refusals of a stream that played a moment ago.
//!
//! An origin that restarts, moves or loses its storage for some seconds answers 403, 404 or 429, and players
//! give up at the first of them. For a known stream such a response counts as a failure for some time:
//! another upstream is tried, and then the version in the cache is served. After that time it is the truth.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::SitePolicy;

impl SitePolicy<'_> {
    /// Whether a refusal counts as a failure.
    pub(super) fn is_trouble(&self, status: StatusCode) -> bool {
        // Otherwise the origin decides, whatever it says.
        let hls_decides = self.request.site.follows();
        is_refusal(status) && hls_decides && (self.bridges() || self.tier.streams().needs(&self.request.key))
    }

    /// Whether the version in the cache is recent enough to be served in place of a refusal.
    fn bridges(&self) -> bool {
        let Some(stale) = self.stale.as_ref().filter(|stale| stale.head.status == StatusCode::OK) else {
            return false;
        };
        let (now, lifetimes) = (Instant::now(), &stale.lifetimes);
        // A followed playlist is confirmed all the time; the lifetime of another one has to end first.
        let trouble = if let Some(stream) = self.stream() {
            if self.request.site.has_shields {
                // A shield confirms a version for as long as it bridges the trouble itself: the time of both
                // tiers together is limited.
                stream.time_since_change()
            } else {
                now.saturating_duration_since(stale.received)
            }
        } else if self.is_playlist() && !lifetimes.must_revalidate {
            stale.age(now).saturating_sub(lifetimes.ttl)
        } else {
            return false;
        };
        trouble < self.request.site.lifetimes.stale_if_client_error.get()
    }

    fn is_playlist(&self) -> bool {
        self.request.resource.kind == tidegate_hls::Kind::Playlist
    }

    /// How long a key is remembered as uncacheable: a refusal ends as suddenly as it begins.
    pub(super) fn remember_uncacheable(&self, status: StatusCode) -> Duration {
        let usual = self.settings().hit_for_pass.get();
        if status.is_client_error() { usual.min(self.request.site.hls.target_assumed) } else { usual }
    }
}

fn is_refusal(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::GONE
            | StatusCode::TOO_MANY_REQUESTS
    )
}
