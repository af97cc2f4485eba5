//! The unit of what takes less than milliseconds.

use std::time::Duration;

/// Whole microseconds.
pub(crate) fn micros(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round()
}
