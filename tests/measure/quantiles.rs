//! How what was measured is told: by its middle, its worst hundredth and its worst, in milliseconds.

use std::time::Duration;

use serde_json::{Value, json};

/// The quantiles of `durations` in milliseconds, to a tenth. All of them are 0 where there is no duration.
pub(crate) fn quantiles(mut durations: Vec<Duration>) -> Value {
    durations.sort_unstable();
    let at = |percent: usize| {
        let last = durations.len().saturating_sub(1);
        millis(durations.get(last * percent / 100).copied().unwrap_or_default())
    };
    json!({ "p50": at(50), "p99": at(99), "max": at(100) })
}

/// Milliseconds, to a tenth.
pub(crate) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}
