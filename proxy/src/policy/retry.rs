//! When a fill whose candidates have all failed tries them again.

use std::time::Duration;

use tidegate_upstream::{FillPolicy as _, Progress, UpstreamError};

use super::SitePolicy;

impl SitePolicy<'_> {
    /// The longest pause before the next round; `None` if the failure is final.
    pub(super) fn pause_before_retry(&self, error: UpstreamError, progress: &Progress) -> Option<Duration> {
        let rounds = progress.rounds;
        if rounds == 1 && progress.was_frozen {
            // No upstream has a newer version: the second round takes the frozen one.
            return Some(Duration::ZERO);
        }
        if error == UpstreamError::Unfinished {
            // A playlist is written within a moment.
            return (rounds <= EARLY_ROUNDS && progress.began.elapsed() < EARLY_WAIT)
                .then_some(UNFINISHED_PAUSE);
        }
        let UpstreamError::Status(status) = error else { return None };
        // The time in which the next tier has waited for the object counts: it need not be waited for twice.
        let left = EARLY_WAIT.saturating_sub(progress.began.elapsed());
        let may_come = rounds <= EARLY_ROUNDS && !left.is_zero() && self.may_appear(status);
        let doublings = u32::try_from(rounds).ok()?.checked_sub(1)?;
        let pause = EARLY_PAUSE.saturating_mul(1 << doublings.min(8)).min(EARLY_PAUSE_MAX);
        may_come.then(|| pause.min(left))
    }
}

/// The longest pause before the first retry for an announced object that is missing; it doubles each time.
const EARLY_PAUSE: Duration = Duration::from_millis(100);
/// The limit of these pauses.
const EARLY_PAUSE_MAX: Duration = Duration::from_millis(800);
/// The time since the first request after which there is no other: a backup may be that far behind.
const EARLY_WAIT: Duration = Duration::from_millis(1500);
/// The most retries, however short the random pauses are.
const EARLY_ROUNDS: usize = 16;
/// The longest pause before a playlist that may be unfinished is read again.
const UNFINISHED_PAUSE: Duration = Duration::from_millis(400);
