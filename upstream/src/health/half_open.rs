//! When those who are out are tried all the same.
//!
//! A wrong belief must not cost an answer, so whoever is out is asked now and then when there is nobody else. That is
//! settled for the pool and not for each source: when everybody is gone, requests go out at the pace at which one
//! server would be tried, however many there are, and find it out soon when one is back.

use std::time::Duration;

use tokio::time::Instant;

/// The trials of one pool.
#[derive(Debug, Default)]
pub(crate) struct HalfOpen {
    next: Option<Instant>,
    pauses: u32,
}

/// The longest pause after the first trial; after the next one it is twice as long, and so on.
const PAUSE: Duration = Duration::from_millis(400);
/// Somebody is tried at least this often, if somebody asks.
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// No pause is shorter, whatever is drawn.
const PAUSE_MIN: Duration = Duration::from_millis(50);

impl HalfOpen {
    /// Whether somebody may be tried now. `chance` is a number from 0 to 1 that no other node is likely to draw: of the
    /// longest pause, so much is waited (full jitter). Nodes that lost the same server do not try it together.
    pub(crate) fn admit(&mut self, chance: f64, now: Instant) -> bool {
        if self.next.is_some_and(|next| now < next) {
            return false;
        }
        let pause = PAUSE.saturating_mul(1 << self.pauses.min(8)).min(PAUSE_MAX);
        self.pauses = self.pauses.saturating_add(1);
        self.next = Some(now + pause.mul_f64(chance).max(PAUSE_MIN));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(chance: f64) -> Vec<u64> {
        let (mut half_open, began) = (HalfOpen::default(), Instant::now());
        let tried = |step: &u64| half_open.admit(chance, began + Duration::from_millis(*step));
        (0..29_000).step_by(10).filter(tried).collect()
    }

    #[test]
    fn trials_come_ever_more_rarely_up_to_a_bound() {
        assert_eq!(moments(1.0), [0, 400, 1200, 2800, 6000, 12_400, 20_400, 28_400]);
    }

    #[test]
    fn nodes_wait_for_any_part_of_a_pause_and_never_without_end_or_pause() {
        assert_eq!(
            moments(0.25),
            [
                0, 100, 300, 700, 1500, 3100, 5100, 7100, 9100, 11_100, 13_100, 15_100, 17_100, 19_100,
                21_100, 23_100, 25_100, 27_100
            ]
        );
        assert_eq!(moments(0.0)[..4], [0, 50, 100, 150]);
    }
}
