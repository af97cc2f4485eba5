//! The time that a tier adds to the first byte.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Settings;
use super::findings::Findings;
use super::quantiles::Quantiles;
use super::servers::{Kind, Server, pinned};
use super::stage::{LOAD_CORE, Options, Stage, free_address};
use super::statistics::{Bound, Spread, Verdict, cell};
use crate::shell;

const OBJECTS: u32 = 20;
/// The origin without a tier.
const NO_TIER: &str = "no tier";

/// The result of one run of the `delay` program (`tests/measure/delay.rs`).
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Run {
    objects: u32,
    origin_requests: u32,
    first_us: Quantiles,
    joined_us: Quantiles,
}

/// A run of one server.
#[derive(Debug, Clone, Serialize)]
struct Sample {
    server: String,
    #[serde(flatten)]
    run: Run,
}

pub(crate) fn measure(stage: &Stage, settings: &Settings) -> Result<Findings> {
    let mut samples = Vec::new();
    for _round in 0..settings.rounds {
        for kind in Kind::CACHES.map(Some).into_iter().chain([None]) {
            let run = run(stage, kind)?;
            let server = kind.map_or_else(|| NO_TIER.to_owned(), |kind| kind.to_string());
            eprintln!("{server:<10} {run:?}");
            samples.push(Sample { server, run });
        }
    }
    let ours = of(&samples, "tidegate", |run| run.first_us.p50 / 1000.0).context("no rounds")?;
    let verdict = Verdict {
        what: "first byte through a tier, p50: ms after the origin's".to_owned(),
        target: Bound::AtMost(1.0),
        measured: ours,
    };
    let (about, tables) = (ABOUT.to_owned(), table(&samples));
    Ok(Findings { about, tables, verdicts: vec![verdict], figures: json!(samples) })
}

fn run(stage: &Stage, kind: Option<Kind>) -> Result<Run> {
    let origin = free_address()?;
    let options = Options { origin: Some(origin), ..Options::default() };
    let server = kind.map(|kind| stage.start(kind, options)).transpose()?;
    let tier = server.as_ref().map_or(origin, Server::address);
    let mut command = pinned(LOAD_CORE, &stage.program("delay"));
    shell::json(command.args([tier.to_string(), origin.to_string(), OBJECTS.to_string()]))
}

const ABOUT: &str = "\
## The first byte through a tier

Two viewers request a cold object of 200 KiB from one tier, 3 ms apart.
3 ms later the origin sends its head and 64 KiB, and 20 ms after that the rest.
The figures are the time from the origin's first byte to the first byte at each viewer: the first viewer, and the one that joins.
20 objects in each round.
";

fn table(samples: &[Sample]) -> String {
    let mut lines = vec![
        "| µs | first viewer, p50 | p99 | joining viewer, p50 | p99 | origin requests per object |"
            .to_owned(),
        "|---|---:|---:|---:|---:|---:|".to_owned(),
    ];
    for server in Kind::CACHES.map(|kind| kind.to_string()).into_iter().chain([NO_TIER.to_owned()]) {
        let micros = |figure: fn(&Run) -> f64| cell(of(samples, &server, figure), 0);
        let per_object = |run: &Run| f64::from(run.origin_requests) / f64::from(run.objects.max(1));
        lines.push(format!(
            "| {server} | {} | {} | {} | {} | {} |",
            micros(|run| run.first_us.p50),
            micros(|run| run.first_us.p99),
            micros(|run| run.joined_us.p50),
            micros(|run| run.joined_us.p99),
            cell(of(samples, &server, per_object), 2),
        ));
    }
    lines.join("\n") + "\n"
}

fn of(samples: &[Sample], server: &str, figure: impl Fn(&Run) -> f64) -> Option<Spread> {
    Spread::of(samples.iter().filter(|sample| sample.server == server).map(|sample| figure(&sample.run)))
}
