//! Reloads of the configuration.

use std::time::SystemTime;

use prometheus::{IntCounter, IntGauge, Result};

use super::labels::Reload;
use super::table::{CounterTable, Registrar};
use crate::clock;

/// The instruments of reloads.
#[derive(Debug)]
pub struct Reloads {
    results: CounterTable,
    is_successful: IntGauge,
    success: IntGauge,
}

impl Reloads {
    /// The start has read the configuration for the first time.
    pub(super) fn new(registrar: &Registrar<'_>) -> Result<Self> {
        let reloads = Self {
            results: registrar.counters(
                "tidegate_config_reloads_total",
                "Reloads of the configuration, by result.",
                &[("result", Reload::ALL.len())],
            )?,
            is_successful: registrar.gauge(
                "tidegate_config_last_reload_successful",
                "1 if the last reload of the configuration was successful, else 0.",
            )?,
            success: registrar.gauge(
                "tidegate_config_last_reload_success_timestamp_seconds",
                "Time of the last successful reload of the configuration, or of the start, in seconds since 1970.",
            )?,
        };
        reloads.succeed();
        Ok(reloads)
    }

    /// Counts a reload.
    pub fn record(&self, result: Reload) {
        self.results.with([&result], IntCounter::inc);
        match result {
            Reload::Success => self.succeed(),
            Reload::Failure => self.is_successful.set(0),
        }
    }

    fn succeed(&self) {
        let since_1970 = clock::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.is_successful.set(1);
        self.success.set(i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX));
    }
}
