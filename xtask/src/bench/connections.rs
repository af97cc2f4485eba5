//! 1, 100 and 10,000 keep-alive connections: CPU per request, and memory of an idle one.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Settings;
use super::answers;
use super::comparison::per;
use super::findings::Findings;
use super::load::Load;
use super::objects::Object;
use super::servers::{Kind, pinned};
use super::stage::{LOAD_CORE, Options, Stage};
use super::statistics::{Bound, Spread, Verdict, cell};
use crate::shell;

const COUNTS: [u64; 3] = [1, 100, 10_000];
/// The number of connections for the memory figure; with fewer, the servers' initial allocations hide it.
const MANY: u64 = 10_000;

/// The result of one run of the `connections` program (`tests/measure/connections.rs`).
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Run {
    connections: u64,
    idle_bytes: u64,
    requests: u64,
    cpu_seconds: f64,
}

/// A run of one server in one round.
#[derive(Debug, Clone, Serialize)]
struct Sample {
    server: Kind,
    round: u32,
    #[serde(flatten)]
    run: Run,
}

/// Each run starts its server, since freed memory is not the same as memory that was never used.
pub(crate) fn measure(stage: &Stage, settings: &Settings) -> Result<Findings> {
    let mut samples = Vec::new();
    for round in 1..=settings.rounds {
        for count in COUNTS {
            for server in Kind::CACHES {
                let run = run(stage, settings, server, count)?;
                eprintln!("round {round}: {server:<10} {run:?}");
                samples.push(Sample { server, round, run });
            }
        }
    }
    Ok(Findings {
        about: ABOUT.to_owned(),
        tables: table(&samples),
        verdicts: verdicts(&samples)?,
        figures: json!(samples),
    })
}

fn run(stage: &Stage, settings: &Settings, kind: Kind, count: u64) -> Result<Run> {
    let server = stage.start(kind, Options::default())?;
    let load = Load::of(Object::Playlist.path(), 1);
    answers::check(stage, &server, &load, true)?;
    let mut command = pinned(LOAD_CORE, &stage.program("connections"));
    command.arg(server.pid().to_string()).arg(server.address().to_string()).arg(load.path);
    shell::json(command.arg(count.to_string()).arg(settings.seconds.to_string()))
}

const ABOUT: &str = "\
## Connections

Keep-alive connections that request the playlist in turn, with at most 64 requests in flight.
Before that they are idle, and each has been used once.
With one connection the server sleeps between two requests, which costs more than the request.
The memory is the resident memory of the server's processes beyond that with 50 connections; memory of the kernel is not included.
";

fn table(samples: &[Sample]) -> String {
    let counts = COUNTS.map(|count| count.to_string()).join(" | ");
    let mut lines = vec![
        format!(
            "| µs of server CPU per request, by connections | {counts} | bytes of each idle connection of {MANY} |"
        ),
        "|---|---:|---:|---:|---:|".to_owned(),
    ];
    for server in Kind::CACHES {
        let costs = COUNTS.map(|count| cell(cost(samples, server, count), 1));
        let idle = cell(Spread::of(idle(samples, server)), 0);
        lines.push(format!("| {server} | {} | {idle} |", costs.join(" | ")));
    }
    lines.join("\n") + "\n"
}

fn verdicts(samples: &[Sample]) -> Result<Vec<Verdict>> {
    let ours = idle(samples, Kind::Tidegate);
    let shares = ours.iter().zip(idle(samples, Kind::Varnish)).map(|(ours, theirs)| ours / theirs.max(1.0));
    let share = Spread::of(shares).context("no rounds")?;
    let kibibytes = Spread::of(ours.iter().map(|bytes| bytes / 1024.0)).context("no rounds")?;
    let verdict =
        |what: &str, most, measured| Verdict { what: what.to_owned(), target: Bound::AtMost(most), measured };
    Ok(vec![
        verdict("idle connection, HTTP/1.1: KiB resident", 4.0, kibibytes),
        verdict("idle connection, HTTP/1.1: memory, as a multiple of varnish's", 0.25, share),
    ])
}

fn cost(samples: &[Sample], server: Kind, count: u64) -> Option<Spread> {
    let runs = samples.iter().filter(|sample| sample.server == server && sample.run.connections == count);
    Spread::of(runs.map(|Sample { run, .. }| run.cpu_seconds * 1e6 / per(run.requests)))
}

/// The bytes of an idle connection, in each round.
fn idle(samples: &[Sample], server: Kind) -> Vec<f64> {
    let runs = samples.iter().filter(|sample| sample.server == server && sample.run.connections == MANY);
    runs.map(|Sample { run, .. }| per(run.idle_bytes) / per(run.connections)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(server: Kind, connections: u64, idle_bytes: u64) -> Sample {
        let run = Run { connections, idle_bytes, requests: 1000, cpu_seconds: 0.01 };
        Sample { server, round: 1, run }
    }

    #[test]
    fn idle_memory_is_compared_with_four_kibibytes_and_a_quarter_of_varnishs() {
        let samples = [
            sample(Kind::Tidegate, MANY, 3 * 1024 * MANY),
            sample(Kind::Varnish, MANY, 10 * 1024 * MANY),
            sample(Kind::Tidegate, 1, 9_999_999),
        ];
        let verdicts = verdicts(&samples).unwrap();
        let measured: Vec<_> =
            verdicts.iter().map(|verdict| (verdict.measured.median, verdict.met())).collect();
        assert_eq!(measured, [(3.0, true), (0.3, false)]);
        assert!(
            table(&samples)
                .contains("| tidegate | 10.0 (10.0..10.0) | — | 10.0 (10.0..10.0) | 3072 (3072..3072) |")
        );
    }
}
