//! A short run of every fuzz target; each counts as one test.

use std::process::Command;

use anyhow::Result;

use crate::repository::Repository;
use crate::tally::Tally;
use crate::{metadata, needs, shell};

/// Long enough to run the corpus and some new inputs, short enough for every test run.
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

fn targets(repository: &Repository) -> Result<Vec<String>> {
    let packages = metadata::packages(repository, "fuzz/Cargo.toml")?;
    let targets = packages.into_iter().flat_map(|package| package.targets);
    Ok(targets.filter(|target| target.is("bin")).map(|target| target.name).collect())
}
