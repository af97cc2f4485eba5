//! The limit for the requests with one token: a shared token does not serve a crowd.

use std::sync::Arc;
use std::time::Duration;

use tidegate_access::Rate;
use tokio::time::Instant;

use super::table::Table;
use super::usage::Usage;
use super::{Exceeded, Limit};

/// The requests per second with each token of a site.
#[derive(Debug)]
pub(crate) struct TokenLimit {
    rate: Rate,
    started: Instant,
    /// By the hashes of the tokens, so that a token takes no more memory than an address.
    table: Table<u64>,
    hasher: ahash::RandomState,
}

impl TokenLimit {
    /// `None` if there is no limit.
    pub(crate) fn new(per_second: u32, burst: u32) -> Option<Self> {
        Some(Self {
            rate: Rate::new(per_second, burst)?,
            started: Instant::now(),
            table: Table::new(TOKENS_MAX),
            hasher: ahash::RandomState::new(),
        })
    }

    /// The use of a token. It must have been verified: others would push it out of the table.
    pub(crate) fn usage(&self, token: &str) -> Arc<Usage> {
        self.table.usage(self.hasher.hash_one(token), self.now())
    }

    /// Whether the token admits another request now. It is not counted.
    pub(crate) fn may_request(&self, usage: &Usage) -> bool {
        usage.requests.check(self.rate, self.now()).is_ok()
    }

    /// Counts a request.
    ///
    /// # Errors
    /// When there were too many with this token.
    pub(crate) fn request(&self, usage: &Usage) -> Result<(), Exceeded> {
        let taken = usage.requests.try_take(self.rate, self.now());
        taken.map_err(|after| Exceeded::of(Limit::RequestsPerToken, after))
    }

    /// Forgets the tokens without requests lately.
    pub(crate) fn tidy(&self) {
        self.table.tidy(self.now());
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Tokens that a site remembers, of about 100 bytes each.
const TOKENS_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_token_has_its_own_rate() {
        let limit = TokenLimit::new(2, 3).unwrap();
        let (one, two) = (limit.usage("one"), limit.usage("two"));
        for _ in 0..3 {
            assert!(limit.may_request(&one) && limit.request(&one).is_ok());
        }
        let exceeded = limit.request(&one).unwrap_err();
        assert_eq!((exceeded.limit, exceeded.retry_after), (Limit::RequestsPerToken, 1));
        assert!(!limit.may_request(&one) && limit.may_request(&two));
        assert!(Arc::ptr_eq(&one, &limit.usage("one")));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert!(limit.request(&one).is_ok() && limit.request(&one).is_err());
        assert!(TokenLimit::new(0, 3).is_none());
    }
}
