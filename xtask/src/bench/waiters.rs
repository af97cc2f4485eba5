//! Ten thousand players that wait for the next version of a playlist: their cost, and the effect of their
//! release on others.

use std::process::Command;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Settings;
use super::findings::Findings;
use super::quantiles::Quantiles;
use super::stage::Stage;
use crate::shell;

/// The result of one run of the `waiters` program (`tests/measure/waiters.rs`).
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Waiters {
    players: u64,
    bytes_per_idle_connection: u64,
    bytes_per_waiter: u64,
    released_in_ms: f64,
    others_before_ms: Quantiles,
    others_meanwhile_ms: Quantiles,
    shield_requests: u64,
    origin_requests: u64,
    left: u64,
    forgotten_in_ms: f64,
}

const PLAYERS: u32 = 10_000;
/// Each player needs a file descriptor at both ends, so the limit is raised to the maximum for this user.
const WITH_ALL_DESCRIPTORS: &str = "ulimit -Sn \"$(ulimit -Hn)\" && exec \"$0\" \"$@\"";

/// The maximum of rounds.
const ROUNDS: u32 = 3;

/// Runs the program several times.
pub(crate) fn measure(stage: &Stage, settings: &Settings) -> Result<Findings> {
    let run = |_round| {
        let mut command = Command::new("sh");
        command.args(["-c", WITH_ALL_DESCRIPTORS]).arg(stage.program("waiters")).arg(PLAYERS.to_string());
        shell::json(command.env("TIDEGATE_BIN", stage.tidegate()))
    };
    let runs = (0..settings.rounds.min(ROUNDS)).map(run).collect::<Result<Vec<Waiters>>>()?;
    let (about, tables) = (ABOUT.to_owned(), table(&runs));
    Ok(Findings { about, tables, verdicts: Vec::new(), figures: json!(runs) })
}

const ABOUT: &str = "\
## Ten thousand blocked players

Players wait at one edge for the next version of one playlist (`_HLS_msn`), each on an HTTP/1.1 connection that has been used before.
The edge is a process of its own.

- *Bytes per idle connection*: the edge's resident memory with all players connected and idle, beyond that without players.
  *Bytes more per waiter*: the memory beyond that when all of them wait.
- *All released in*: the time from the first response with the new version to the last; each is compared byte for byte.
  A single reader takes them one after the other, so that the players use little of the machine.
- *Longest response to another*: every 5 ms another viewer requests a small cached object; from before the version arrives until all players have it, and before that, while all wait.
- *Requests*: the edge's requests to the shield for that version, and the shield's to the origin, which cannot block requests and is polled.
- *Half forgotten in*: half of the waiting players close their connections; the time until the edge counts only the other half.

One run: `TIDEGATE_BIN=target/dist/tidegate target/dist/waiters 10000`; it needs some more open files (`ulimit -n`) than that.
";

/// One line for each run, in order.
fn table(runs: &[Waiters]) -> String {
    let mut lines = vec![
        "| run | players | bytes per idle connection | bytes more per waiter | all released in ms | \
         longest response to another meanwhile ms | and before ms | shield requests | origin requests | \
         half forgotten in ms |"
            .to_owned(),
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|".to_owned(),
    ];
    for (run, waiters) in (1..).zip(runs) {
        lines.push(format!("| {run} {}", waiters.cells()));
    }
    lines.join("\n") + "\n"
}

impl Waiters {
    fn cells(&self) -> String {
        format!(
            "| {} | {} | {} | {:.1} | {:.1} | {:.1} | {} | {} | {:.1} |",
            self.players,
            self.bytes_per_idle_connection,
            self.bytes_per_waiter,
            self.released_in_ms,
            self.others_meanwhile_ms.max,
            self.others_before_ms.max,
            self.shield_requests,
            self.origin_requests,
            self.forgotten_in_ms
        )
    }
}
