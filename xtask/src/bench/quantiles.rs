//! How the measuring programs tell what they have measured.

use serde::{Deserialize, Serialize};

/// The middle, the worst hundredth, the worst (`tests/measure/quantiles.rs`), in the unit that the name of the field tells.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}
