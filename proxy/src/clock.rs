//! Wall time. It enters the proxy here and nowhere else; what needs it gets it as an argument.

use std::time::SystemTime;

/// The time of day.
#[expect(clippy::disallowed_methods, reason = "this is where wall time enters")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
