//! All checks of the code that do not run it.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::repository::Repository;
use crate::{needs, shell};

/// Runs every check, also after one has failed, so that one run reports all problems.
pub(crate) fn run(repository: &Repository) -> Result<ExitCode> {
    let cargo_deny = needs::cargo_deny(repository)?;
    let mut steps = [
        ("format", cargo(repository, &["fmt", "--all", "--check"])),
        (
            "lints",
            cargo(
                repository,
                &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
            ),
        ),
        ("documentation", documentation(repository, &[])),
        ("documentation of private items", documentation(repository, &["--document-private-items"])),
        // The supply chain includes crates for other systems, which no build has fetched.
        ("crates", cargo(repository, &["fetch", "--locked"])),
        ("supply chain", deny(repository, &cargo_deny)),
    ];
    let mut failed = Vec::new();
    for (name, command) in &mut steps {
        if !shell::timed(name, || shell::succeeds(command))? {
            failed.push(*name);
        }
    }
    if failed.is_empty() {
        println!("checked: {}", steps.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "));
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("check failed: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

/// The documentation for users of the crates, or for their developers: links must resolve in both.
fn documentation(repository: &Repository, more: &[&str]) -> Command {
    let mut command = cargo(repository, &["doc", "--workspace", "--no-deps", "--locked"]);
    command.args(more).env("RUSTDOCFLAGS", "-D warnings");
    command
}

/// Licenses, bans and sources. Advisories need a database from the network; `cargo deny check advisories`
/// checks them where there is one.
fn deny(repository: &Repository, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(repository.root()).args([
        "--offline",
        "--workspace",
        "check",
        "--hide-inclusion-graph",
    ]);
    command.args(["licenses", "bans", "sources"]);
    command
}

fn cargo(repository: &Repository, arguments: &[&str]) -> Command {
    shell::command_in(repository.root(), "cargo", arguments)
}
