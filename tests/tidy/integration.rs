//! The continuous integration runs the same commands as people.

use std::path::Path;

use crate::repository::{assert_none, read};

#[test]
fn the_continuous_integration_runs_the_two_commands() {
    let mut findings = Vec::new();
    for file in [".ci/run", ".github/workflows/ci.yml"] {
        let found = commands(&read(Path::new(file)));
        if found != ["cargo xtask check", "cargo xtask test"] {
            findings.push(format!("{file}: {}", found.join(", ")));
        }
    }
    assert_none(&findings, "other commands than `cargo xtask check` and `cargo xtask test`");
}

/// The calls of cargo in a script or a workflow, without the rest of their line.
fn commands(text: &str) -> Vec<String> {
    let steps = text.lines().map(|line| line.trim().trim_start_matches("run: "));
    let calls = steps.filter(|step| step.starts_with("cargo "));
    calls.map(|call| call.split(" ||").next().unwrap_or(call).to_owned()).collect()
}
