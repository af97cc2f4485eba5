//! How measurements are reported: by their median, their worst hundredth and their maximum.

use std::time::Duration;

use serde_json::{Value, json};

/// The quantiles of `durations`, each converted by `convert`. All of them are 0 where there is no duration.
pub(crate) fn quantiles(mut durations: Vec<Duration>, convert: impl Fn(Duration) -> f64) -> Value {
    durations.sort_unstable();
    let at = |percent: usize| {
        let last = durations.len().saturating_sub(1);
        convert(durations.get(last * percent / 100).copied().unwrap_or_default())
    };
    json!({ "p50": at(50), "p99": at(99), "max": at(100) })
}
