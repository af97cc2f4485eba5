//! One stream that avoids one upstream, while all other streams still use it.
//!
//! An upstream may be healthy and one stream of it not: the stream's encoder has stopped, lags behind, or
//! sends invalid playlists. From then on another upstream is the first candidate for that stream, both for
//! its playlist and for the objects that the playlist announces. When the detour ends, the avoided upstream
//! is the first candidate again for the next version: if that version is usable, the stream is back,
//! otherwise the next detour takes twice as long. A version that is older than the published one is never
//! usable.

use std::sync::Arc;
use std::time::Duration;

use tidegate_upstream::{Upstream, UpstreamError};
use tokio::time::Instant;

/// A detour around an upstream.
#[derive(Debug, Clone)]
pub(super) struct Detour {
    upstream: Arc<str>,
    until: Instant,
    /// Detours before this one, without a long break.
    repeats: u32,
}

/// The first detour takes about as long as a player's buffer, so that an upstream that fails again soon after
/// does no more harm than before.
const FIRST: Duration = Duration::from_secs(10);
/// A playlist is requested within this time after a detour.
const FOUND_OUT_WITHIN: Duration = Duration::from_secs(4);
/// The longest detour.
const LONGEST: Duration = Duration::from_mins(2);

impl Detour {
    /// A detour around `upstream` that follows the detour `previous`.
    pub(super) fn around(upstream: &Arc<str>, previous: Option<&Self>, now: Instant) -> Self {
        match previous.filter(|previous| previous.upstream == *upstream) {
            // The upstream is still avoided: it received the request because there was no other.
            Some(previous) if previous.until > now => previous.clone(),
            // The upstream was usable for a long time.
            Some(previous) if now.saturating_duration_since(previous.until) > LONGEST => {
                Self::first(upstream, now)
            }
            Some(previous) => {
                let repeats = previous.repeats.saturating_add(1);
                let period = FIRST.saturating_mul(1 << repeats.min(8)).min(LONGEST);
                Self { upstream: Arc::clone(upstream), until: now + period, repeats }
            }
            None => Self::first(upstream, now),
        }
    }

    fn first(upstream: &Arc<str>, now: Instant) -> Self {
        Self { upstream: Arc::clone(upstream), until: now + FIRST, repeats: 0 }
    }

    /// Moves the avoided upstream behind the other available ones. The playlist finds out whether the
    /// upstream is usable again; the objects that it announces follow a little later.
    pub(super) fn reorder(&self, candidates: &mut [Arc<Upstream>], is_playlist: bool, now: Instant) {
        let until = if is_playlist { self.until } else { self.until + FOUND_OUT_WITHIN };
        if until <= now {
            return;
        }
        let is_avoided = |upstream: &Arc<Upstream>| *upstream.name() == self.upstream;
        candidates.sort_by_cached_key(|upstream| (!upstream.state().is_available(), is_avoided(upstream)));
    }
}

/// Whether an error concerns one stream, and not its whole upstream.
pub(super) fn is_about_stream(error: UpstreamError) -> bool {
    matches!(
        error,
        UpstreamError::Backward
            | UpstreamError::Frozen
            | UpstreamError::Unusable(_)
            | UpstreamError::Coding(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_detours_take_longer() {
        let (upstream, mut now) = (Arc::from("http://a"), Instant::now());
        let mut detour = Detour::around(&upstream, None, now);
        let mut periods = Vec::new();
        for _ in 0..5 {
            periods.push(detour.until.duration_since(now).as_secs());
            assert_eq!(
                Detour::around(&upstream, Some(&detour), now).until,
                detour.until,
                "it is avoided already"
            );
            now = detour.until + Duration::from_secs(1);
            detour = Detour::around(&upstream, Some(&detour), now);
        }
        assert_eq!(periods, [10, 20, 40, 80, 120]);
        now = detour.until + LONGEST + Duration::from_secs(1);
        assert_eq!(Detour::around(&upstream, Some(&detour), now).until, now + FIRST);
        let other = Arc::from("http://b");
        assert_eq!(Detour::around(&other, Some(&detour), now).until, now + FIRST);
    }
}
