//! A set of members that is kept up to date.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use super::members::{Discover, Member};
use super::resolution::Resolution;
use super::{Dns, LOOKUP, random_fraction};
use crate::error::UpstreamError;

/// Repeats the lookup of a name, as long as a task waits for [`Watch::changed`].
#[derive(Debug)]
pub struct Watch {
    dns: Dns,
    what: Discover,
    resolution: Resolution,
}

impl Watch {
    /// Without members. The first lookup begins with the first wait.
    pub fn new(dns: Dns, what: Discover) -> Self {
        Self { dns, what, resolution: Resolution::new(Instant::now()) }
    }

    /// The last good set; empty before the first.
    pub fn members(&self) -> &[Member] {
        self.resolution.members().map(|members| &**members).unwrap_or_default()
    }

    /// The error of the last lookup, if it failed. [`Watch::members`] is still valid then.
    pub fn error(&self) -> Option<UpstreamError> {
        self.resolution.error()
    }

    /// Waits for one more result, good or not. Returns the members if they have changed.
    ///
    /// Safe to cancel: the lookup is made again then.
    pub async fn answer(&mut self) -> Option<Arc<[Member]>> {
        sleep_until(self.resolution.due()).await;
        let answer = self.dns.find(&self.what, LOOKUP).await;
        if let Err(error) = &answer
            && self.resolution.error().is_none()
        {
            tracing::warn!(name = %self.what, %error, "lookup failed, the last good members stay");
        }
        let members = self.resolution.record(Instant::now(), answer, random_fraction())?;
        tracing::info!(name = %self.what, members = members.len(), "members of a name changed");
        Some(members)
    }

    /// Waits until the members change, and returns them; never an empty set.
    ///
    /// Safe to cancel.
    pub async fn changed(&mut self) -> Arc<[Member]> {
        loop {
            if let Some(members) = self.answer().await {
                return members;
            }
        }
    }
}
