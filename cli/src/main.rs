//! `tidegate`: the one binary. Flags are parsed, the configuration is read, and the part that was asked for runs
//! until a signal ends it.

mod args;
mod demo;
mod run;

use std::process::ExitCode;

use clap::Parser as _;

/// Many small allocations of many sizes on many threads: the system's allocator fragments under that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    run::command(args::Args::parse())
}
