//! Wall time. The proxy reads it only here; code that needs it takes it as an argument.

use std::time::SystemTime;

/// The current wall time.
#[expect(clippy::disallowed_methods, reason = "the one place that reads wall time")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
