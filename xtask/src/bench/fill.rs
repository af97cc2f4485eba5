//! 1 to 5,000 viewers that wait for one object.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Settings;
use super::findings::Findings;
use super::quantiles::Quantiles;
use super::servers::{Kind, pinned};
use super::stage::{LOAD_CORE, Options, Stage, free_address};
use super::statistics::{Bound, Spread, Verdict, cell};
use crate::shell;

const VIEWERS: [u32; 4] = [1, 100, 1000, 5000];

/// The number of viewers whose cost is compared with that of as many hits.
const CROWD: u32 = 1000;

/// The result of one run of the `fill` program (`tests/measure/fill.rs`).
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Run {
    viewers: u32,
    origin_requests: f64,
    cpu_us_per_waiter_at_first: f64,
    cpu_us_per_waiter: f64,
    cpu_us_per_hit: f64,
    bytes_per_waiter: u64,
    first_byte_us: Quantiles,
}

/// A run of one server.
#[derive(Debug, Clone, Serialize)]
struct Sample {
    server: Kind,
    #[serde(flatten)]
    run: Run,
}

pub(crate) fn measure(stage: &Stage, settings: &Settings) -> Result<Findings> {
    let mut samples = Vec::new();
    for _round in 0..settings.rounds {
        for viewers in VIEWERS {
            for server in Kind::CACHES {
                let run = run(stage, server, viewers)?;
                eprintln!("{server:<10} {run:?}");
                samples.push(Sample { server, run });
            }
        }
    }
    let most = VIEWERS.into_iter().max().unwrap_or_default();
    let of =
        |viewers, figure: fn(&Run) -> f64| of(&samples, Kind::Tidegate, viewers, figure).context("no rounds");
    let origin_requests = Verdict {
        what: format!("{most} viewers on one fill: origin requests"),
        target: Bound::AtMost(1.0),
        measured: of(most, |run| run.origin_requests)?,
    };
    let cost = Verdict {
        what: format!("{CROWD} viewers on one fill: CPU, as a multiple of as many hits"),
        target: Bound::AtMost(1.2),
        measured: of(CROWD, |run| run.cpu_us_per_waiter / run.cpu_us_per_hit)?,
    };
    let (about, tables) = (ABOUT.to_owned(), table(&samples));
    Ok(Findings { about, tables, verdicts: vec![origin_requests, cost], figures: json!(samples) })
}

fn run(stage: &Stage, kind: Kind, viewers: u32) -> Result<Run> {
    let origin = free_address()?;
    let server = stage.start(kind, Options { origin: Some(origin), ..Options::default() })?;
    let mut command = pinned(LOAD_CORE, &stage.program("fill"));
    command.args([server.pid().to_string(), server.address().to_string()]);
    shell::json(command.args([origin.to_string(), viewers.to_string()]))
}

const ABOUT: &str = "\
## Viewers on one fill

Viewers with a keep-alive connection each request one cold object of 64 KiB, which the origin withholds until the server is idle and then sends.
The figure is the server's CPU time from the first request to the last byte, the fill included, for each viewer.
All viewers do this twice, each time with another object.
*At first* the server touches memory that it has never used, and the system clears it, which is additional work (in a virtual machine, the host may take milliseconds to find a huge page of 2 MiB).
The next column is the CPU time of a hit, when all viewers request the object once more.
The delay is the time from the origin's first byte to the first byte at each viewer, the second time; one thread reads for all viewers, and its time is included.
";

fn table(samples: &[Sample]) -> String {
    let mut lines = vec![
        "| viewers | server | µs of CPU per viewer | at first | of a hit | bytes per waiter | first byte ms p50 | p99 | origin requests |"
            .to_owned(),
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|".to_owned(),
    ];
    for viewers in VIEWERS {
        for server in Kind::CACHES {
            let figure =
                |digits: usize, figure: fn(&Run) -> f64| cell(of(samples, server, viewers, figure), digits);
            let memory = |run: &Run| f64::from(u32::try_from(run.bytes_per_waiter).unwrap_or(u32::MAX));
            lines.push(format!(
                "| {viewers} | {server} | {} | {} | {} | {} | {} | {} | {} |",
                figure(1, |run| run.cpu_us_per_waiter),
                figure(1, |run| run.cpu_us_per_waiter_at_first),
                figure(1, |run| run.cpu_us_per_hit),
                if viewers == 1 { "—".to_owned() } else { figure(0, memory) },
                figure(1, |run| run.first_byte_us.p50 / 1000.0),
                figure(1, |run| run.first_byte_us.p99 / 1000.0),
                figure(0, |run| run.origin_requests),
            ));
        }
    }
    lines.join("\n") + "\n"
}

fn of(samples: &[Sample], server: Kind, viewers: u32, figure: impl Fn(&Run) -> f64) -> Option<Spread> {
    let runs = samples.iter().filter(|sample| sample.server == server && sample.run.viewers == viewers);
    Spread::of(runs.map(|sample| figure(&sample.run)))
}
