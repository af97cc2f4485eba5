//! Load tests: k6 players on an origin stub, a shield and two edges, each a process.
//!
//! [`run`] is `cargo xtask load SCENARIO`; [`spike`] is the flash crowd of every test run. The scenarios are
//! in `load-tests/`; they get the addresses of the cluster as settings of k6.

mod cluster;
mod players;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};

use self::cluster::Cluster;
use self::players::Players;
use crate::repository::Repository;
use crate::tally::Tally;
use crate::{needs, shell};

/// The scenario and its settings.
#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    /// The scenario of the players; load-tests/README.md describes them.
    scenario: Scenario,
    /// A setting of the scenario, such as PLAYERS=200 or DURATION=5m; may be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    assignments: Vec<(String, String)>,
    /// With `failover`: end the shield that has the stream, instead of the origin.
    #[arg(long)]
    end_shield: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    Smoke,
    Steady,
    Spike,
    Soak,
    Seek,
    LowLatency,
    Failover,
}

impl Scenario {
    /// The name of the script, without its extension.
    const fn name(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Steady => "steady",
            Self::Spike => "spike",
            Self::Soak => "soak",
            Self::Seek => "seek",
            Self::LowLatency => "low-latency",
            Self::Failover => "failover",
        }
    }
}

/// Runs one scenario and writes its report to the target folder.
pub(crate) fn run(repository: &Repository, settings: &Settings) -> Result<ExitCode> {
    needs::for_load(repository)?;
    let arguments = ["build", "--locked", "--package", "tidegate-cli"];
    let built = shell::succeeds(&mut shell::command_in(repository.root(), "cargo", &arguments))?;
    ensure!(built, "tidegate does not build");

    let spare = settings.scenario == Scenario::Failover;
    let mut cluster = if spare { Cluster::with_spares(repository)? } else { Cluster::start(repository)? };
    let mut players = cluster.with_addresses(k6(repository, settings.scenario.name()));
    if settings.scenario == Scenario::Spike {
        players = players.set("BASELINE", &baseline(repository, &cluster)?);
    }
    for (name, value) in &settings.assignments {
        players = players.set(name, value);
    }
    let passed = if settings.end_shield {
        players.set("LOSE", "hands").run(|line| cluster.end_or_restart_shield(line))?
    } else {
        shell::succeeds(&mut players.command())?
    };
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A flash crowd on two edges, compared with a few players on an origin alone; one test.
pub(crate) fn spike(repository: &Repository) -> Tally {
    let passed = crowd(repository).unwrap_or_else(|error| {
        eprintln!("load: {error:#}");
        false
    });
    let verdict = if passed { "ok" } else { "FAILED" };
    println!(
        "test five hundred k6 players arrive together and make one origin request per object ... {verdict}"
    );
    Tally::one(passed)
}

fn crowd(repository: &Repository) -> Result<bool> {
    let cluster = Cluster::start(repository)?;
    let baseline = baseline(repository, &cluster)?;
    let crowd = cluster.with_addresses(k6(repository, "spike")).set("BASELINE", &baseline);
    shell::succeeds(&mut crowd.set("DURATION", "25s").command())
}

/// Runs ten players on the origin alone, before all others. Returns the path of their report in JSON. Each of
/// them starts five times, so that their p95 is over fifty starts.
fn baseline(repository: &Repository, cluster: &Cluster) -> Result<String> {
    let players = k6(repository, "steady").set("BASE_URL", &cluster.origin()).reported_as("alone");
    let players = players.set("PLAYERS", "10").set("ARRIVE", "2s").set("DURATION", "10s").set("VISIT", "2s");
    let served = shell::succeeds(&mut players.command())?;
    ensure!(served, "ten players on the origin alone miss their limits");
    Ok(format!("{}.json", players.report()))
}

/// k6 with one of the scenarios of `load-tests/`.
pub(crate) fn k6(repository: &Repository, scenario: &'static str) -> Players {
    Players::of(repository, scenario)
}

fn assignment(text: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once('=').unwrap_or_default();
    ensure!(!name.is_empty(), "a setting looks like PLAYERS=200");
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_is_a_script() {
        for scenario in Scenario::value_variants() {
            let script = Repository::here().path(&format!("load-tests/{}.js", scenario.name()));
            assert!(script.is_file(), "{}", script.display());
        }
    }

    #[test]
    fn a_setting_is_a_name_and_a_value() {
        assert_eq!(assignment("FAULT={\"a\":\"b=c\"}").unwrap(), ("FAULT".into(), "{\"a\":\"b=c\"}".into()));
        assert!(assignment("PLAYERS").is_err() && assignment("=3").is_err());
    }
}
