//! The form in which the measuring programs report a distribution.

use serde::{Deserialize, Serialize};

/// Median, 99th percentile and maximum (`tests/measure/quantiles.rs`), in the unit of the field's name.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}
