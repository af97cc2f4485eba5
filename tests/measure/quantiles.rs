//! How what was measured is told: by its middle, its worst hundredth and its worst.

use std::time::Duration;

use serde_json::{Value, json};

/// The quantiles of `durations`, each as `tell` tells it. All of them are 0 where there is no duration.
pub(crate) fn quantiles(mut durations: Vec<Duration>, tell: impl Fn(Duration) -> f64) -> Value {
    durations.sort_unstable();
    let at = |percent: usize| {
        let last = durations.len().saturating_sub(1);
        tell(durations.get(last * percent / 100).copied().unwrap_or_default())
    };
    json!({ "p50": at(50), "p99": at(99), "max": at(100) })
}
