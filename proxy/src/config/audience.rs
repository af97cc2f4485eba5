//! `[audience]`: how viewers are counted.

use serde::{Deserialize, Serialize};
use tidegate_hls::{QueryRules, Resource};

use super::check::Breach;
use super::units::Period;

/// How an edge counts viewers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audience {
    /// Whether viewers are counted at all.
    pub enabled: bool,
    /// How long a viewer counts after a request. More than zero.
    pub window: Period,
    /// Streams, those with the most viewers, that have metrics.
    pub streams_max: usize,
    /// The path of all sites to which players post reports (CMCD events); in normal form, without a query.
    pub reports_path: Option<String>,
}

impl Default for Audience {
    fn default() -> Self {
        Self { enabled: true, window: Period::secs(30), streams_max: 20, reports_path: None }
    }
}

impl Audience {
    /// Checks the window and the path.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), Breach> {
        if self.window.get().is_zero() {
            return Err(Breach::new(&["audience", "window"], "must be more than 0s"));
        }
        let is_normal = |path: &String| {
            Resource::parse("host", path, &QueryRules::default())
                .is_ok_and(|resource| resource.target() == *path)
                && !path.contains('?')
        };
        if !self.reports_path.iter().all(is_normal) {
            let message = "must be a path in its normal form, without a query, such as \"/cmcd\"";
            return Err(Breach::new(&["audience", "reports_path"], message));
        }
        Ok(())
    }
}
