//! A crowd at one cold object: the delay of its first bytes.

use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Settings;
use super::comparison::per;
use super::findings::Findings;
use super::quantiles::Quantiles;
use super::stage::Stage;
use super::statistics::{Bound, Spread, Verdict};
use crate::shell;

/// The result of one run of the `crowd` program (`tests/measure/crowd.rs`).
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Crowd {
    case: String,
    viewers: u64,
    edges: u64,
    origin_requests: u64,
    /// From the first byte at a reader of the shield to the first byte at the viewers.
    first_byte_delay_ms: Quantiles,
}

/// The cases, and their titles in the table.
const CASES: [(&str, &str); 3] = [
    ("plain", "all wait and read"),
    ("first-leaves", "the first viewer leaves early"),
    ("slow-reader", "one reads at 1 KiB/s"),
];
const VIEWERS: u32 = 1000;

/// Rounds of each case: a crowd slows other work on the machine, and three rounds show the variance.
const ROUNDS: u32 = 3;

/// Runs each case of the program several times.
pub(crate) fn measure(stage: &Stage, settings: &Settings) -> Result<Findings> {
    let program = stage.program("crowd");
    let run = |case: &str| shell::json(Command::new(&program).args([&VIEWERS.to_string(), case]));
    let rounds = settings.rounds.min(ROUNDS);
    let cases = CASES.iter().flat_map(|(case, _)| (0..rounds).map(move |_| case));
    let runs = cases.map(|case| run(case)).collect::<Result<Vec<Crowd>>>()?;
    let origin_requests =
        Spread::of(runs.iter().map(|crowd| per(crowd.origin_requests))).context("no rounds")?;
    let verdict = Verdict {
        what: format!("{VIEWERS} viewers on a cold object that takes 2 s: origin requests"),
        target: Bound::AtMost(1.0),
        measured: origin_requests,
    };
    let (about, tables) = (ABOUT.to_owned(), table(&runs));
    Ok(Findings { about, tables, verdicts: vec![verdict], figures: json!(runs) })
}

const ABOUT: &str = "\
## A crowd at a cold object

Viewers at two edges simultaneously request a cold object of 1 MiB that the origin takes 2 s to produce.
The delay is the time from the first byte at a reader of the shield to the first byte at a viewer.
The bytes of every viewer are compared with the origin's.
Origin, shield, edges and all viewers share one process and all cores, so the time of the viewers themselves is included.
There are three cases: all wait and read; an additional first viewer leaves as soon as the origin has received the request, so that for a moment the fill has no reader; one viewer reads 1 KiB per second.

One run: `target/dist/crowd 1000 plain`, `first-leaves` or `slow-reader`.
";

/// One line for each run, in order.
fn table(crowds: &[Crowd]) -> String {
    let mut lines = vec![
        "| case | viewers | edges | origin requests | p50 ms | p99 ms | max ms |".to_owned(),
        "|---|---:|---:|---:|---:|---:|---:|".to_owned(),
    ];
    for Crowd { case, viewers, edges, origin_requests, first_byte_delay_ms: Quantiles { p50, p99, max } } in
        crowds
    {
        let title = CASES.iter().find(|(name, _)| name == case).map_or(case.as_str(), |(_, title)| title);
        lines.push(format!(
            "| {title} | {viewers} | {edges} | {origin_requests} | {p50:.1} | {p99:.1} | {max:.1} |"
        ));
    }
    lines.join("\n") + "\n"
}
