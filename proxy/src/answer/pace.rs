//! The minimum rate of one viewer, where an upstream's connection waits for it: an upload arrives, and a
//! private response leaves, at the viewer's pace.
//!
//! Only the time is counted in which the viewer is waited for. A slow upstream slows no viewer.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::config::Viewers;
use crate::viewer::client::WRITE_MAX;

/// Measures one viewer.
#[derive(Debug)]
pub(super) struct Pace {
    /// Bytes that each window must bring; zero if any rate will do.
    bytes_min: u64,
    /// The longest wait for them.
    window: Duration,
    bytes: u64,
    waited: Duration,
}

/// The viewer is too slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooSlow;

impl Pace {
    /// The rate that the configuration asks of viewers.
    pub(super) fn of(viewers: &Viewers) -> Self {
        let window = viewers.rate_window.get();
        let millis = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        let bytes_min = viewers.rate_min.bytes().saturating_mul(millis) / 1000;
        let window = if bytes_min == 0 { viewers.write_timeout.get() } else { window };
        Self { bytes_min, window, bytes: 0, waited: Duration::ZERO }
    }

    /// The longest part of a response that the viewer may take within a window.
    pub(super) fn part_max(&self) -> usize {
        let part = if self.bytes_min == 0 { u64::MAX } else { self.bytes_min };
        usize::try_from(part).unwrap_or(usize::MAX).min(WRITE_MAX)
    }

    /// Waits for the viewer. `bytes_of` returns the bytes that the wait has brought.
    pub(super) async fn wait<T>(
        &mut self,
        work: impl Future<Output = T>,
        bytes_of: impl FnOnce(&T) -> usize,
    ) -> Result<T, TooSlow> {
        let began = Instant::now();
        let done = timeout(self.window.saturating_sub(self.waited), work).await.map_err(|_late| TooSlow)?;
        self.bytes += bytes_of(&done) as u64;
        self.waited += began.elapsed();
        if self.bytes >= self.bytes_min {
            (self.bytes, self.waited) = (0, Duration::ZERO);
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pace(rate: &str) -> Pace {
        let viewers = Viewers {
            rate_min: rate.parse().unwrap(),
            rate_window: "10s".parse().unwrap(),
            write_timeout: "1m".parse().unwrap(),
            ..Viewers::default()
        };
        Pace::of(&viewers)
    }

    #[tokio::test(start_paused = true)]
    async fn a_viewer_below_the_rate_is_too_slow() {
        let mut slow = pace("100B");
        for _ in 0..9 {
            slow.wait(sleep(SECOND), |()| 99).await.unwrap();
        }
        assert_eq!(slow.wait(sleep(2 * SECOND), |()| 99).await, Err(TooSlow));
    }

    #[tokio::test(start_paused = true)]
    async fn a_viewer_that_keeps_the_rate_may_take_as_long_as_it_likes() {
        let mut steady = pace("100B");
        for _ in 0..100 {
            steady.wait(sleep(9 * SECOND), |()| 1000).await.unwrap();
        }
        // The time between two waits is not the viewer's.
        sleep(100 * SECOND).await;
        steady.wait(sleep(9 * SECOND), |()| 1000).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_the_write_timeout_bounds_each_wait() {
        let mut any = pace("0B");
        assert_eq!(any.part_max(), WRITE_MAX);
        for _ in 0..3 {
            any.wait(sleep(59 * SECOND), |()| 1).await.unwrap();
        }
        assert_eq!(any.wait(sleep(61 * SECOND), |()| 1).await, Err(TooSlow));
    }
}
