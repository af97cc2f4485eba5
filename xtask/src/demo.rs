//! Tests of the demo: its page in a real browser, then a small crowd by k6.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::repository::Repository;
use crate::tally::Tally;
use crate::{load, output, shell};

/// Plays the demo's page, then runs k6's players against it; each is one test.
pub(crate) fn run(repository: &Repository) -> Result<Tally> {
    let demo = match Demo::start(repository) {
        Ok(demo) => demo,
        Err(error) => {
            eprintln!("demo: {error:#}");
            return Ok(Tally::one(false));
        }
    };
    let mut tally = Tally::default();
    tally += verdict("the demo's page plays in a browser", &mut play(repository, &demo.ready))?;
    tally +=
        verdict("fifty k6 players make one origin request per object", &mut smoke(repository, &demo.ready))?;
    Ok(tally)
}

fn verdict(name: &str, command: &mut Command) -> Result<Tally> {
    let passed = shell::succeeds(command)?;
    println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
    Ok(Tally::one(passed))
}

fn play(repository: &Repository, ready: &Ready) -> Command {
    let folder = repository.path("tests/players");
    shell::command_in(&folder, "node", &["play.mjs", "--page", &ready.page, "--seconds", "20"])
}

fn smoke(repository: &Repository, ready: &Ready) -> Command {
    let nodes = |origins| ready.admins(origins);
    load::k6(repository, "smoke")
        .set("BASE_URL", &ready.edges.join(","))
        .set("STREAM", &ready.stream)
        .set("METRICS", &nodes(false))
        .set("ORIGINS", &nodes(true))
        .command()
}

/// The output of `tidegate demo --json` when it is ready.
#[derive(Debug, Deserialize)]
struct Ready {
    page: String,
    edges: Vec<String>,
    stream: String,
    admin: BTreeMap<String, String>,
}

impl Ready {
    /// The operators' listeners of the origins, or of the tiers.
    fn admins(&self, origins: bool) -> String {
        let admins = self.admin.iter().filter(|(name, _)| name.starts_with("origin") == origins);
        admins.map(|(_, url)| url.as_str()).collect::<Vec<_>>().join(",")
    }
}

/// A running demo, which ends when this value is dropped, or by itself after some minutes.
struct Demo {
    process: Child,
    ready: Ready,
}

impl Demo {
    fn start(repository: &Repository) -> Result<Self> {
        let mut command = Command::new(repository.tidegate());
        command.args(["demo", "--json", "--port", "0", "--seconds", "180"]);
        let mut process = command.stdout(Stdio::piped()).spawn().context("tidegate cannot be started")?;
        match first_line(&mut process).and_then(|line| Ok(serde_json::from_str(&line)?)) {
            Ok(ready) => Ok(Self { process, ready }),
            Err(error) => {
                end(&mut process);
                Err(error)
            }
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

fn first_line(process: &mut Child) -> Result<String> {
    let output = process.stdout.take().context("the demo has no output")?;
    output::first(output, |line| Some(line.to_owned()))
}

fn end(process: &mut Child) {
    let ended = process.kill().and_then(|()| process.wait());
    if let Err(error) = ended {
        eprintln!("demo: it could not be ended: {error}");
    }
}
