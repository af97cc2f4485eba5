//! Decisions are numbered pages of one shape, so that a newcomer can read them in order.

use std::path::{Path, PathBuf};

use crate::repository::{assert_none, files, read};

#[test]
fn decisions_are_numbered_without_a_gap() {
    let decisions = decisions();
    assert!(!decisions.is_empty(), "docs/decisions has no page");
    let expected = (1..=decisions.len()).map(|number| format!("{number:04}-"));
    let wrong = decisions.iter().zip(expected).filter(|(file, prefix)| !name(file).starts_with(prefix));
    let wrong: Vec<_> =
        wrong.map(|(file, prefix)| format!("{} should begin with {prefix}", name(file))).collect();
    assert_none(&wrong, "decisions out of order");
}

#[test]
fn a_decision_has_a_context_and_consequences() {
    let mut findings = Vec::new();
    for file in decisions() {
        let text = read(&file);
        let wanted = ["## Context", "## Decision", "## Consequences"];
        findings.extend(
            wanted
                .iter()
                .filter(|part| !text.contains(*part))
                .map(|part| format!("{}: no {part}", name(&file))),
        );
    }
    assert_none(&findings, "decisions that leave something out");
}

fn decisions() -> Vec<PathBuf> {
    let folder = Path::new("docs/decisions");
    let mut decisions: Vec<_> =
        files().into_iter().filter(|file| file.starts_with(folder) && name(file) != "README.md").collect();
    decisions.sort();
    decisions
}

fn name(file: &Path) -> &str {
    file.file_name().and_then(|name| name.to_str()).expect("a listed file has a name")
}
