//! How far tiers of Tidegate and of nginx are behind the origin, with many viewers and with one.

use std::process::Command;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::findings::Findings;
use super::quantiles::Quantiles;
use super::stage::Stage;
use crate::shell;

/// The result of one run of the `staleness` program (`tests/measure/staleness.rs`).
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Staleness {
    server: String,
    channels: u64,
    /// Viewers of each channel.
    viewers: u64,
    versions: u64,
    origin_requests_per_version: f64,
    answers: u32,
    stale_answers: u32,
    viewers_behind_ms: Quantiles,
    at_shield_ms: Quantiles,
    at_edges_beyond_shield_ms: Quantiles,
}

const SERVERS: [&str; 2] = ["tidegate", "nginx"];
const VIEWERS: [u32; 2] = [40, 1];
const VERSIONS: u32 = 20;

/// Runs the program once for each number of viewers and each server.
pub(crate) fn measure(stage: &Stage) -> Result<Findings> {
    let program = stage.program("staleness");
    let run = |viewers: u32, server: &str| {
        shell::json(Command::new(&program).args([&viewers.to_string(), &VERSIONS.to_string(), server]))
    };
    let runs = VIEWERS.into_iter().flat_map(|viewers| SERVERS.map(|server| (viewers, server)));
    let runs = runs.map(|(viewers, server)| run(viewers, server)).collect::<Result<Vec<Staleness>>>()?;
    let (about, tables) = (ABOUT.to_owned(), table(&runs));
    Ok(Findings { about, tables, verdicts: Vec::new(), figures: json!(runs) })
}

const ABOUT: &str = "\
## How far behind the origin

A plain live playlist with segments of 2 s, from an origin that cannot block requests, through a shield and two edges; viewers poll it at the edges, each at its own time.
Tidegate is compared with nginx as its documentation advises (`proxy_cache_valid 200 1s`, `proxy_cache_lock on`, `proxy_cache_use_stale updating`).
Four channels run in parallel, and their versions appear at different parts of a second, because nginx counts lifetimes in whole seconds.
The first ten versions, from which the shield learns, are left out.

- *Stale responses*: responses to viewers for which the origin had a newer version at the time of the request.
  *Behind*: how long it had existed; a fresh response counts as 0.
  This is what viewers see, and it is measured in the same way for both.
- *Shield*, *edges beyond it*: the time from the appearance of a version at the origin until the shield serves it to every viewer, and from then until the edges do.
  Tidegate's tiers receive a request for the version beforehand (`_HLS_msn`) and respond when they have it, which causes no upstream request.
  nginx's tiers receive none, because it would refresh them: their caches are watched.
  An entry of nginx may have expired meanwhile; then the first viewer that requests it gets a newer version than the entry.
  So with one viewer these figures depend mostly on the time of its request.

One run: `target/dist/staleness 40 20 tidegate` or `nginx`; viewers of each channel, versions.
";

/// One line for each run.
fn table(runs: &[Staleness]) -> String {
    let mut lines = vec![
        "| viewers | tiers | stale responses | behind p99 ms | max ms | shield p50 ms | p99 ms | \
         edges beyond it p50 ms | p99 ms | origin requests per version |"
            .to_owned(),
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|".to_owned(),
    ];
    lines.extend(runs.iter().map(Staleness::line));
    lines.join("\n") + "\n"
}

impl Staleness {
    fn line(&self) -> String {
        let stale = f64::from(self.stale_answers) * 100.0 / f64::from(self.answers.max(1));
        let (behind, shield, edges) =
            (self.viewers_behind_ms, self.at_shield_ms, self.at_edges_beyond_shield_ms);
        format!(
            "| {} | {} | {stale:.1} % | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.2} |",
            self.viewers,
            self.server,
            behind.p99,
            behind.max,
            shield.p50,
            shield.p99,
            edges.p50,
            edges.p99,
            self.origin_requests_per_version
        )
    }
}
