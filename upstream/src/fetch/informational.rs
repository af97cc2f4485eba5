//! The informational responses (1xx) before a final one. Their number is free (RFC 9110 section 15.2), but
//! each of them restarts the timeout for the next head, so their bytes and their time are bounded.

use std::time::Duration;

use tidegate_cache::Head;
use tokio::time::Instant;

use crate::error::UpstreamError;

/// Bytes of all informational heads before one response: as many as one head may have.
const BYTES_MAX: usize = tidegate_http1::HEAD_BYTES_MAX;

/// What a head without fields counts for: its status line, and the work that it makes.
const HEAD_BYTES_MIN: usize = 64;

/// The time for all of them, in timeouts of one head.
const TIMEOUTS_MAX: u32 = 8;

/// The informational heads before one response.
#[derive(Debug)]
pub(crate) struct Informational {
    began: Option<Instant>,
    bytes: usize,
}

impl Informational {
    /// None so far.
    pub(crate) const fn none() -> Self {
        Self { began: None, bytes: 0 }
    }

    /// Counts a head, for which the wait was at most `head_timeout`.
    ///
    /// # Errors
    /// The heads are too large, or take too long.
    pub(crate) fn admit(&mut self, head: &Head, head_timeout: Duration) -> Result<(), UpstreamError> {
        let began = *self.began.get_or_insert_with(Instant::now);
        let fields = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
        self.bytes += HEAD_BYTES_MIN + fields.sum::<usize>();
        if self.bytes > BYTES_MAX {
            return Err(UpstreamError::Protocol);
        }
        if began.elapsed() > head_timeout.saturating_mul(TIMEOUTS_MAX) {
            return Err(UpstreamError::FirstByteTimeout);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, StatusCode};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn hint(bytes: usize) -> Head {
        let mut headers = HeaderMap::new();
        headers.insert("link", HeaderValue::from_str(&"a".repeat(bytes)).unwrap());
        Head { status: StatusCode::EARLY_HINTS, headers }
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_and_time_are_bounded_and_the_number_is_not() {
        let mut few = Informational::none();
        for _ in 0..500 {
            few.admit(&hint(10), SECOND).unwrap();
        }
        let mut large = Informational::none();
        assert_eq!(large.admit(&hint(BYTES_MAX), SECOND), Err(UpstreamError::Protocol));

        let mut slow = Informational::none();
        slow.admit(&hint(1), SECOND).unwrap();
        tokio::time::advance(SECOND * TIMEOUTS_MAX).await;
        slow.admit(&hint(1), SECOND).unwrap();
        tokio::time::advance(SECOND).await;
        assert_eq!(slow.admit(&hint(1), SECOND), Err(UpstreamError::FirstByteTimeout));
    }
}
