//! One stream that goes round one source, while all others still ask it.
//!
//! A source may be well and one stream of it not: its encoder has stopped, is behind, or sends nonsense. Whoever is asked
//! for that stream first from then on is the next one, for its playlist and for what the playlist announces. When the time
//! is over the playlist is asked for at the first source again, as its next version is due: if what comes is good, the
//! stream is back, and else the way round lasts twice as long. What is older than what was given out is never good.

use std::sync::Arc;
use std::time::Duration;

use tidegate_upstream::{Upstream, UpstreamError};
use tokio::time::Instant;

/// The way round a source.
#[derive(Debug, Clone)]
pub(super) struct Detour {
    upstream: Arc<str>,
    until: Instant,
    times: u32,
}

/// How long the first time lasts: about what a player has in its buffer, so that a source that fails again at once is no
/// more trouble than it was.
const FIRST: Duration = Duration::from_secs(10);
/// And how long the last.
const LONGEST: Duration = Duration::from_mins(2);

impl Detour {
    /// Goes round `upstream`, `before` having been the way before.
    pub(super) fn round(upstream: &Arc<str>, before: Option<&Self>, now: Instant) -> Self {
        let same = before.filter(|before| before.upstream == *upstream);
        match same {
            // It is still avoided, and was asked for want of anybody else.
            Some(before) if before.until > now => before.clone(),
            // It was good for long.
            Some(before) if now.saturating_duration_since(before.until) > LONGEST => {
                Self::first(upstream, now)
            }
            Some(before) => {
                let times = before.times.saturating_add(1);
                let lasts = FIRST.saturating_mul(1 << times.min(8)).min(LONGEST);
                Self { upstream: Arc::clone(upstream), until: now + lasts, times }
            }
            None => Self::first(upstream, now),
        }
    }

    fn first(upstream: &Arc<str>, now: Instant) -> Self {
        Self { upstream: Arc::clone(upstream), until: now + FIRST, times: 0 }
    }

    /// Puts the source that is gone round behind those that are well.
    pub(super) fn lead(&self, candidates: &mut [Arc<Upstream>], now: Instant) {
        if self.until <= now {
            return;
        }
        let is_avoided = |upstream: &Arc<Upstream>| *upstream.name() == self.upstream;
        candidates.sort_by_cached_key(|upstream| (!upstream.state().is_available(), is_avoided(upstream)));
    }
}

/// Whether it is about this stream, and not about the whole source.
pub(super) fn is_about_stream(error: UpstreamError) -> bool {
    matches!(error, UpstreamError::Backward | UpstreamError::Frozen | UpstreamError::Unusable(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_round_gets_longer_as_long_as_it_is_no_good() {
        let (upstream, mut now) = (Arc::from("http://a"), Instant::now());
        let mut way = Detour::round(&upstream, None, now);
        let mut lasted = Vec::new();
        for _ in 0..5 {
            lasted.push(way.until.duration_since(now).as_secs());
            assert_eq!(
                Detour::round(&upstream, Some(&way), now).until,
                way.until,
                "it is gone round already"
            );
            now = way.until + Duration::from_secs(1);
            way = Detour::round(&upstream, Some(&way), now);
        }
        assert_eq!(lasted, [10, 20, 40, 80, 120]);
        now = way.until + LONGEST + Duration::from_secs(1);
        assert_eq!(Detour::round(&upstream, Some(&way), now).until, now + FIRST);
        let other = Arc::from("http://b");
        assert_eq!(Detour::round(&other, Some(&way), now).until, now + FIRST);
    }
}
