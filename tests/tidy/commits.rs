//! Commits of one shape: a subject that every tool shows whole, and a body that says why.

use std::process::Command;

use crate::repository::{assert_none, root};

/// The commit after which the rules hold; older commits stay as they are.
const SINCE: &str = "b529df8b7f8e3cca233fcdc814791d82ec73e06d";

/// The longest subject: under 72 characters.
const SUBJECT_CHARACTERS_MAX: usize = 71;

#[test]
fn a_commit_has_a_short_subject_and_a_body() {
    let mut findings = Vec::new();
    for commit in log() {
        let mut parts = commit.trim_start().splitn(3, '\0');
        let (Some(id), Some(subject), Some(body)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        if subject.chars().count() > SUBJECT_CHARACTERS_MAX {
            findings.push(format!("{id} {subject}: more than {SUBJECT_CHARACTERS_MAX} characters"));
        }
        if body.trim().is_empty() {
            findings.push(format!("{id} {subject}: no body"));
        }
    }
    assert_none(&findings, "commits that CONTRIBUTING.md asks to write differently");
}

/// Id, subject and body of each commit that the rules bind, merges left out.
/// A tarball has no history and a shallow clone not all of it: there is nothing to check there.
fn log() -> Vec<String> {
    let range = format!("{SINCE}..HEAD");
    let arguments = ["log", "--no-merges", "--format=%h%x00%s%x00%b%x01", &range];
    let Ok(output) = Command::new("git").args(arguments).current_dir(root()).output() else {
        return Vec::new();
    };
    if !output.status.success() {
        return Vec::new();
    }
    String::from_utf8_lossy(&output.stdout).split('\u{1}').map(str::to_owned).collect()
}
