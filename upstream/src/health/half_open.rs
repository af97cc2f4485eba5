//! Trial requests to upstreams that are out.
//!
//! A wrong belief must not cost a response, so an upstream that is out receives a request now and then when
//! no other is available. The pace is the pool's, not each upstream's: when all are out, requests go out at
//! the pace of trials of one server, however many there are, and soon show when one is back.

use std::time::Duration;

use tokio::time::Instant;

/// The trials of one pool.
#[derive(Debug, Default)]
pub(crate) struct HalfOpen {
    next: Option<Instant>,
    pauses: u32,
}

/// The longest pause after the first trial; it doubles with each further one.
const PAUSE: Duration = Duration::from_millis(400);
/// The longest pause between two trials, if there are requests.
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// The shortest pause, whatever is drawn.
const PAUSE_MIN: Duration = Duration::from_millis(50);

impl HalfOpen {
    /// Whether a trial may be made now. `chance` is a number from 0 to 1 that no other node is likely to
    /// draw, and the part of the longest pause that is waited (full jitter): nodes that lost the same server
    /// do not try it together.
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
