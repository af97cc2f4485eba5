//! A short run of every fuzz target; each counts as one test.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::repository::Repository;
use crate::tally::Tally;
use crate::{needs, shell};

/// Long enough to walk through the corpus and some way beyond, short enough to run each time.
const SECONDS_PER_TARGET: u32 = 15;

/// Runs every target that `fuzz/Cargo.toml` declares, as fuzz/README.md describes a run.
pub(crate) fn run(repository: &Repository) -> Result<Tally> {
    let cargo_fuzz = needs::cargo_fuzz(repository)?;
    let mut tally = Tally::default();
    for target in targets(repository)? {
        let corpus = format!("fuzz/corpus/{target}");
        std::fs::create_dir_all(repository.path(&corpus))?;
        let mut command = Command::new(&cargo_fuzz);
        command.current_dir(repository.root()).args(["fuzz", "run", "--sanitizer", "none", &target, &corpus]);
        command.arg(format!("fuzz/seeds/{target}")).arg("--");
        command.args([&format!("-max_total_time={SECONDS_PER_TARGET}"), "-verbosity=0"]);
        let passed = shell::succeeds(&mut command)?;
        println!(
            "test fuzz {target} for {SECONDS_PER_TARGET} s ... {}",
            if passed { "ok" } else { "FAILED" }
        );
        tally += Tally::one(passed);
    }
    Ok(tally)
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

fn targets(repository: &Repository) -> Result<Vec<String>> {
    let arguments = ["metadata", "--no-deps", "--format-version", "1", "--manifest-path", "fuzz/Cargo.toml"];
    let output = shell::command_in(repository.root(), "cargo", &arguments).output()?;
    ensure!(output.status.success(), "fuzz/Cargo.toml: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let targets = metadata.packages.into_iter().flat_map(|package| package.targets);
    Ok(targets
        .filter(|target| target.kind.iter().any(|kind| kind == "bin"))
        .map(|target| target.name)
        .collect())
}
