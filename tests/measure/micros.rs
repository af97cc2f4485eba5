//! The unit for times below a millisecond.

use std::time::Duration;

/// Whole microseconds.
pub(crate) fn micros(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round()
}
