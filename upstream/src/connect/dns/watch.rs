//! A set of members that is kept up to date.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use super::members::{Discover, Member};
use super::resolution::Resolution;
use super::{Dns, LOOKUP, random_fraction};
use crate::error::UpstreamError;

/// Keeps asking for the members behind a name, for as long as somebody waits for [`Watch::changed`].
#[derive(Debug)]
pub struct Watch {
    dns: Dns,
    what: Discover,
    resolution: Resolution,
}

impl Watch {
    /// Knows nothing yet, and asks as soon as it is waited for.
    pub fn new(dns: Dns, what: Discover) -> Self {
        Self { dns, what, resolution: Resolution::new(Instant::now()) }
    }

    /// The last good set; empty before the first.
    pub fn members(&self) -> &[Member] {
        self.resolution.members().map(|members| &**members).unwrap_or_default()
    }

    /// What was wrong with the last answer, if it was not good. [`Watch::members`] still stands then.
    pub fn error(&self) -> Option<UpstreamError> {
        self.resolution.error()
    }

    /// Waits for one more answer, good or not. Returns the members when they are others than before.
    ///
    /// May be dropped at any time: the question is put again then.
    pub async fn answer(&mut self) -> Option<Arc<[Member]>> {
        sleep_until(self.resolution.due()).await;
        let answer = self.dns.find(&self.what, LOOKUP).await;
        if let Err(error) = &answer
            && self.resolution.error().is_none()
        {
            tracing::warn!(name = %self.what, %error, "a name is not answered; its last good members stay");
        }
        let members = self.resolution.record(Instant::now(), answer, random_fraction())?;
        tracing::info!(name = %self.what, members = members.len(), "a name has other members");
        Some(members)
    }

    /// Waits until the members are others than before, and returns them; never an empty set.
    ///
    /// May be dropped at any time.
    pub async fn changed(&mut self) -> Arc<[Member]> {
        loop {
            if let Some(members) = self.answer().await {
                return members;
            }
        }
    }
}
