//! `tidegate`: the one binary. It parses the flags, reads the configuration, and runs the requested part
//! until a signal ends it.

mod args;
mod demo;
mod run;

use std::process::ExitCode;

use clap::Parser as _;

/// Many small allocations of many sizes on many threads fragment the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    run::command(args::Args::parse())
}
