//! `[audience]`: how viewers are counted.

use serde::{Deserialize, Serialize};

use super::check::Breach;
use super::units::Period;

/// How an edge counts viewers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audience {
    /// Whether viewers are counted at all.
    pub enabled: bool,
    /// How long a viewer counts after a request. More than zero.
    pub window: Period,
    /// Streams, those with the most viewers, that have metrics.
    pub streams_max: usize,
}

impl Default for Audience {
    fn default() -> Self {
        Self { enabled: true, window: Period::secs(30), streams_max: 20 }
    }
}

impl Audience {
    /// Checks the window.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), Breach> {
        if self.window.get().is_zero() {
            return Err(Breach::new(&["audience", "window"], "must be more than 0s"));
        }
        Ok(())
    }
}
