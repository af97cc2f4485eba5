//! The whole test run, in the order in which it is cheapest to fail.

use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};

use crate::repository::Repository;
use crate::tally::Tally;
use crate::{demo, fuzz, instructions, load, needs, shell};

/// Runs what the filter leaves and ends with the sum as the last line.
pub(crate) fn run(repository: &Repository, filter: Option<&str>) -> Result<ExitCode> {
    needs::for_tests(repository)?;
    // What does not build is one failure, and says nothing about the binary that an earlier build left.
    let sum = if build(repository)? { run_built(repository, filter)? } else { Tally::one(false) };
    println!("{sum}");
    Ok(if sum.good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_built(repository: &Repository, filter: Option<&str>) -> Result<Tally> {
    let mut sum = rust(repository, filter)?;
    if wanted("players", filter) {
        sum += players(repository)?;
    }
    if wanted("demo", filter) || wanted("k6", filter) {
        sum += demo::run(repository)?;
    }
    if wanted("k6", filter) {
        sum += load::spike(repository);
    }
    if wanted("fuzz", filter) {
        sum += fuzz::run(repository)?;
    }
    if wanted("instructions", filter) {
        sum += instructions::test(repository);
    }
    Ok(sum)
}

fn wanted(step: &str, filter: Option<&str>) -> bool {
    filter.is_none_or(|filter| step.contains(filter))
}

/// Builds all that the tests run. Tests included, so that features are unified as the test run unifies them and
/// nothing is built twice.
fn build(repository: &Repository) -> Result<bool> {
    let arguments = ["build", "--workspace", "--bins", "--tests", "--locked"];
    if !shell::succeeds(&mut shell::command_in(repository.root(), "cargo", &arguments))? {
        return Ok(false);
    }
    ensure!(repository.tidegate().is_file(), "the build left no {}", repository.tidegate().display());
    Ok(true)
}

/// Rust's own tests: unit tests, promises, the repository's rules, real origins with real players.
fn rust(repository: &Repository, filter: Option<&str>) -> Result<Tally> {
    let mut test = shell::command_in(repository.root(), "cargo", &["test", "--workspace", "--no-fail-fast"]);
    test.args(filter).env("TIDEGATE_BIN", repository.tidegate());
    count(&mut test, Tally::from_libtest)
}

/// The players' own tests, k6's players among them; what they judge real streams by must itself be right.
fn players(repository: &Repository) -> Result<Tally> {
    let mut sum = Tally::default();
    for folder in ["tests/players", "load-tests"] {
        let mut test =
            shell::command_in(&repository.path(folder), "node", &["--test", "--test-reporter=tap"]);
        sum += count(&mut test, Tally::from_node)?;
    }
    Ok(sum)
}

fn count(command: &mut Command, read: impl Fn(&str) -> Option<Tally>) -> Result<Tally> {
    let mut tally = Tally::default();
    let status = shell::each_line(command, |line| {
        if let Some(more) = read(line) {
            tally += more;
        }
    })?;
    Ok(tally.or_failed(status.success()))
}
