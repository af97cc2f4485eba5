//! What takes less than milliseconds: told as its middle, its worst hundredth and its worst in microseconds.

use std::time::Duration;

use serde_json::{Value, json};

/// The quantiles of `durations` in microseconds. All of them are 0 where there is no duration.
pub(crate) fn micros(mut durations: Vec<Duration>) -> Value {
    durations.sort_unstable();
    let at = |percent: usize| {
        let last = durations.len().saturating_sub(1);
        (durations.get(last * percent / 100).copied().unwrap_or_default().as_secs_f64() * 1e6).round()
    };
    json!({ "p50": at(50), "p99": at(99), "max": at(100) })
}
