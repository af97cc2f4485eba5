//! The unit for times that viewers notice.

use std::time::Duration;

/// Milliseconds, to a tenth.
pub(crate) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}
