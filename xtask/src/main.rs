//! `cargo xtask check | test | load | bench | instructions`: the commands for checks, tests and measurements.
//!
//! Developers and the continuous integration run the same commands, so that a pass means the same everywhere:
//!
//! - [`check`] reads the code without running it: format, lints, documentation, supply chain;
//! - [`suite`] runs it: Rust's own tests, real players, a public suite of cache tests, the load smoke and a
//!   short fuzz run, and ends with one line, `N passed, N failed`;
//! - [`mod@load`] runs k6 players against tiers that are processes, and reports their experience;
//! - [`mod@bench`] compares it with nginx and Varnish by server CPU time per request;
//! - [`instructions`] counts the instructions of a request and fails on an increase.
//!
//! Begin with [`suite`]; [`needs`] lists the required tools and installs them where it may.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool writes to its streams")]

mod bench;
mod cache_suite;
mod check;
mod demo;
mod fuzz;
mod instructions;
mod load;
mod machine;
mod metadata;
mod needs;
mod node;
mod output;
mod repository;
mod scanner;
mod shell;
mod suite;
mod tally;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::repository::Repository;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Check, test and measure Tidegate")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check format, lints, documentation and supply chain, without running the code.
    Check,
    /// Run all tests; the last line is `N passed, N failed`.
    Test {
        /// Run only tests with this text in their names.
        filter: Option<String>,
    },
    /// Run a load scenario against an origin, a shield and two edges of its own.
    Load(load::Settings),
    /// Compare the hit path with nginx and Varnish; rewrites docs/benchmarks.md.
    Bench(bench::Settings),
    /// Build what the last steps of the tests need; the test run starts this beside its first steps.
    #[command(hide = true)]
    BuildAhead,
    /// Count the instructions of a hit, a miss and a fill under valgrind, and compare them with the record.
    Instructions(instructions::Settings),
}

fn main() -> ExitCode {
    let repository = Repository::here();
    let outcome = match Arguments::parse().task {
        Task::Check => check::run(&repository),
        Task::Test { filter } => suite::run(&repository, filter.as_deref()),
        Task::BuildAhead => suite::ahead::build(&repository),
        Task::Load(settings) => load::run(&repository, &settings),
        Task::Bench(settings) => bench::run(&repository, &settings),
        Task::Instructions(settings) => instructions::run(&repository, &settings),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
