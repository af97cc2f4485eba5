//! Words that do not belong in the repository, because they mean something on one machine or for one day
//! only.

use std::path::Path;

use crate::repository::{assert_none, files, read_text};

/// This file names the words, and tools write the lock files.
const EXEMPT: &[&str] = &["tests/tidy/words.rs", "Cargo.lock"];

#[test]
fn no_path_of_a_single_machine_is_used() {
    assert_none(&lines_with(&["/home/", "/root/", "/Users/", "/work/"]), "paths of one machine");
}

#[test]
fn no_comment_leaves_work_for_later() {
    assert_none(
        &lines_with(&["TODO", "FIXME", "XXX", "HACK"]),
        "work left for later; it belongs in an issue",
    );
}

#[test]
fn no_test_is_switched_off() {
    let rust = |line: &String| line.contains(".rs:");
    let found: Vec<_> = lines_with(&["#[ignore"]).into_iter().filter(rust).collect();
    assert_none(&found, "tests that do not run");
}

#[test]
fn locked_packages_come_from_the_public_registries() {
    let mut findings = Vec::new();
    for line in read_text(Path::new("Cargo.lock")).expect("Cargo.lock is text").lines() {
        if line.starts_with("source = ") && line != CRATES_IO {
            findings.push(format!("Cargo.lock: {line}"));
        }
    }
    for file in files().iter().filter(|file| file.ends_with("package-lock.json")) {
        let text = read_text(file).expect("a lock file is text");
        let resolved = text.lines().filter(|line| line.trim_start().starts_with("\"resolved\""));
        let foreign = resolved.filter(|line| !line.contains("\"https://registry.npmjs.org/"));
        findings.extend(foreign.map(|line| format!("{}: {}", file.display(), line.trim())));
    }
    assert_none(&findings, "packages from elsewhere");
}

const CRATES_IO: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

fn lines_with(words: &[&str]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files() {
        if EXEMPT.iter().any(|free| file == Path::new(free)) {
            continue;
        }
        for (number, line) in read_text(&file).unwrap_or_default().lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                findings.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
            }
        }
    }
    findings
}
