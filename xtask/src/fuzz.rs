//! A short run of every fuzz target; each counts as one test.

use std::num::NonZero;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use anyhow::{Result, anyhow};

use crate::repository::Repository;
use crate::tally::Tally;
use crate::{metadata, needs, shell};

/// Long enough to run the corpus and some new inputs, short enough for every test run.
const SECONDS_PER_TARGET: u32 = 15;

/// Runs every target that `fuzz/Cargo.toml` declares, as fuzz/README.md describes a run, one on each core.
pub(crate) fn run(repository: &Repository) -> Result<Tally> {
    let cargo_fuzz = needs::cargo_fuzz(repository)?;
    if !build(repository)? {
        return Ok(Tally::one(false));
    }
    let targets = Mutex::new(targets(repository)?);
    let run_next = || -> Result<Option<Tally>> {
        let next = targets.lock().ok().and_then(|mut targets| targets.pop());
        next.map(|target| run_target(repository, &cargo_fuzz, &target)).transpose()
    };
    let worker = || -> Result<Tally> {
        let mut tally = Tally::default();
        while let Some(one) = run_next()? {
            tally += one;
        }
        Ok(tally)
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        let mut sum = Tally::default();
        for worker in workers {
            sum += worker.join().map_err(|_panic| anyhow!("a fuzz run panicked"))??;
        }
        Ok(sum)
    })
}

/// Builds all targets. Returns whether that succeeded.
pub(crate) fn build(repository: &Repository) -> Result<bool> {
    let mut build = Command::new(needs::cargo_fuzz(repository)?);
    build.current_dir(repository.root()).args(["fuzz", "build", "--sanitizer", "none"]);
    shell::succeeds(&mut build)
}

fn run_target(repository: &Repository, cargo_fuzz: &Path, target: &str) -> Result<Tally> {
    let corpus = format!("fuzz/corpus/{target}");
    std::fs::create_dir_all(repository.path(&corpus))?;
    let mut command = Command::new(cargo_fuzz);
    command.current_dir(repository.root()).args(["fuzz", "run", "--sanitizer", "none", target, &corpus]);
    command.arg(format!("fuzz/seeds/{target}")).arg("--");
    command.args([&format!("-max_total_time={SECONDS_PER_TARGET}"), "-verbosity=0"]);
    let passed = shell::succeeds(&mut command)?;
    println!("test fuzz {target} for {SECONDS_PER_TARGET} s ... {}", if passed { "ok" } else { "FAILED" });
    Ok(Tally::one(passed))
}

fn targets(repository: &Repository) -> Result<Vec<String>> {
    let packages = metadata::packages(repository, "fuzz/Cargo.toml")?;
    let targets = packages.into_iter().flat_map(|package| package.targets);
    Ok(targets.filter(|target| target.is("bin")).map(|target| target.name).collect())
}
