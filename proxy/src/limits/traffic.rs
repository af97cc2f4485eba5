//! The limit for the bytes that all viewers of one site receive.
//!
//! A response is charged with its body when it begins or ends, and never interrupted: while the bytes of the
//! last seconds exceed the limit, further requests are refused.

use tidegate_access::{Bucket, Rate};
use tokio::time::Instant;

use super::{Exceeded, Limit};

/// The bytes per second of a site.
#[derive(Debug)]
pub struct Traffic {
    /// In KiB: a rate counts whole numbers of nanoseconds.
    rate: Rate,
    started: Instant,
    sent: Bucket,
}

impl Traffic {
    /// Bytes per second, and as many that may come together; `None` if there is no limit.
    pub(crate) fn new(bytes_per_second: u64) -> Option<Self> {
        let per_second = u32::try_from(bytes_per_second.div_ceil(KIB)).unwrap_or(u32::MAX);
        let rate = Rate::new(per_second, per_second)?;
        Some(Self { rate, started: Instant::now(), sent: Bucket::default() })
    }

    /// Whether another limit has the same rate.
    pub(crate) fn has_rate_of(&self, other: &Self) -> bool {
        self.rate == other.rate
    }

    /// Whether another response may begin now.
    ///
    /// # Errors
    /// When the responses before it have used up the rate.
    pub(crate) fn check(&self) -> Result<(), Exceeded> {
        let checked = self.sent.check(self.rate, self.started.elapsed());
        checked.map_err(|after| Exceeded::of(Limit::BytesPerSite, after))
    }

    /// Counts the body of a response.
    pub(crate) fn count(&self, body_bytes: u64) {
        self.sent.take_many(self.rate, body_bytes.div_ceil(KIB), self.started.elapsed());
    }
}

const KIB: u64 = 1024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn responses_begin_while_the_rate_allows() {
        let traffic = Traffic::new(1 << 20).unwrap();
        traffic.count(512 << 10);
        assert_eq!(traffic.check(), Ok(()));
        traffic.count(2 << 20);
        assert_eq!(traffic.check(), Err(Exceeded { limit: Limit::BytesPerSite, retry_after: 2 }));
        tokio::time::advance(Duration::from_millis(1600)).await;
        assert_eq!(traffic.check(), Ok(()));
        assert!(Traffic::new(0).is_none());
    }
}
