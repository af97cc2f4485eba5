//! Memory while a day of objects passes through the cache.

use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Settings;
use super::comparison::per;
use super::findings::Findings;
use super::stage::Stage;
use super::statistics::{Bound, Spread, Verdict};
use crate::shell;

/// The result of one run of the `churn` program (`tests/measure/churn.rs`).
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Churn {
    seconds: u64,
    visits: u64,
    /// Responses that were not 200, or not complete.
    failed: u64,
    fills: f64,
    evictions: f64,
    resident_bytes: Vec<u64>,
    plateau_bytes: u64,
    end_bytes: u64,
    peak_bytes: u64,
}

/// The share of the plateau by which the end may differ from it.
const TOLERANCE: f64 = 0.1;

pub(crate) fn measure(stage: &Stage, settings: &Settings) -> Result<Findings> {
    let mut command = Command::new(stage.program("churn"));
    command.arg(settings.churn_seconds.to_string()).env("TIDEGATE_BIN", stage.tidegate());
    let churn: Churn = shell::json(&mut command)?;
    let measured = Spread::of([churn.drift()]).context("a figure")?;
    let verdict = Verdict {
        what: "memory after a day of churn: distance from the first minute's plateau, as a share".to_owned(),
        target: Bound::AtMost(TOLERANCE),
        measured,
    };
    let (about, tables) = (ABOUT.to_owned(), table(&churn));
    Ok(Findings { about, tables, verdicts: vec![verdict], figures: json!(churn) })
}

impl Churn {
    /// The distance of the end from the plateau, up or down, as a share.
    fn drift(&self) -> f64 {
        (per(self.end_bytes) / per(self.plateau_bytes) - 1.0).abs()
    }
}

const ABOUT: &str = "\
## A day of churn

As many segments and playlists as a channel with three renditions has in a day pass through an edge in ten minutes.
There are 144 concurrent live channels, each of which ends after a minute and is replaced by another, and about 200 visits each second, each with its own connection; one in eight closes it in the middle of a segment.
The cache has 64 MiB.
The figures are the resident memory of the edge's process: the *plateau* is the median of the second half of the first tenth, the *end* that of the last twentieth.
";

fn table(churn: &Churn) -> String {
    let mebibytes = |bytes: u64| per(bytes) / 1_048_576.0;
    let Churn { seconds, visits, failed, fills, evictions, plateau_bytes, end_bytes, peak_bytes, .. } = churn;
    format!(
        "| seconds | visits | failed responses | fills | evictions | plateau MiB | end MiB | most MiB |\n|---:|---:|---:|---:|---:|---:|---:|---:|\n\
         | {seconds} | {visits} | {failed} | {fills} | {evictions} | {:.1} | {:.1} | {:.1} |\n",
        mebibytes(*plateau_bytes),
        mebibytes(*end_bytes),
        mebibytes(*peak_bytes)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shrinking_memory_is_a_drift_too() {
        let churn = |end_bytes| Churn {
            seconds: 600,
            visits: 1,
            failed: 0,
            fills: 1.0,
            evictions: 1.0,
            resident_bytes: Vec::new(),
            plateau_bytes: 100,
            end_bytes,
            peak_bytes: 120,
        };
        assert!((churn(112).drift() - 0.12).abs() < 1e-9);
        assert!((churn(88).drift() - 0.12).abs() < 1e-9);
        assert!(churn(105).drift() < TOLERANCE);
    }
}
