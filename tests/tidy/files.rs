//! The form of files: short, with an introduction, in their usual places.

use std::collections::BTreeSet;
use std::path::Path;

use crate::repository::{assert_none, files, files_named, manifest, members, read, root};

const LINES_MAX: usize = 500;

/// Files that may be longer, each with its reason.
const LONGER: &[(&str, &str)] = &[];

#[test]
fn no_file_is_too_long() {
    let excused = |file: &Path| LONGER.iter().any(|(path, _)| file == Path::new(path));
    let mut findings = Vec::new();
    for file in files_named("rs").iter().filter(|file| !excused(file)) {
        let lines = read(file).lines().count();
        if lines > LINES_MAX {
            findings.push(format!("{}: {lines} lines", file.display()));
        }
    }
    assert_none(&findings, "files over 500 lines");
}

#[test]
fn exceptions_for_length_are_still_needed() {
    let short: Vec<_> = LONGER
        .iter()
        .filter(|(path, _)| read(Path::new(path)).lines().count() <= LINES_MAX)
        .map(|(path, _)| (*path).to_owned())
        .collect();
    assert_none(&short, "files that are short enough again");
}

#[test]
fn a_module_is_a_file_beside_its_folder() {
    let found = files_named("rs").into_iter().filter(|file| file.ends_with("mod.rs"));
    let found: Vec<_> = found.map(|file| file.display().to_string()).collect();
    assert_none(&found, "mod.rs files");
}

#[test]
fn every_crate_opens_with_an_introduction() {
    let mut findings = Vec::new();
    for member in members() {
        let mut entrances = vec!["src/lib.rs".to_owned(), "src/main.rs".to_owned()];
        entrances.extend(declared_entrances(&manifest(&member)));
        let entrances: BTreeSet<_> = entrances.iter().map(|file| Path::new(&member).join(file)).collect();
        let mut found = entrances.iter().filter(|file| root().join(file).is_file()).peekable();
        if found.peek().is_none() {
            findings.push(format!("{member} has no entrance"));
        }
        for file in found {
            if !opens_with_an_introduction(&read(file)) {
                findings.push(format!("{}", file.display()));
            }
        }
    }
    assert_none(&findings, "crates that do not open with `//!`");
}

/// The files that a manifest names as its library and its programs.
fn declared_entrances(manifest: &toml::Table) -> Vec<String> {
    let programs = manifest.get("bin").and_then(toml::Value::as_array).into_iter().flatten();
    let targets = programs.chain(manifest.get("lib"));
    targets.filter_map(|target| Some(target.get("path")?.as_str()?.to_owned())).collect()
}

/// The first lines tell a newcomer what the crate is; a single word does not.
fn opens_with_an_introduction(text: &str) -> bool {
    let story: Vec<_> = text.lines().take_while(|line| line.starts_with("//!")).collect();
    story.iter().map(|line| line.trim_start_matches("//!").trim().len()).sum::<usize>() > 60
}

#[test]
fn scripts_can_be_run() {
    use std::os::unix::fs::PermissionsExt;

    let mut findings = Vec::new();
    for file in files() {
        let bytes = std::fs::read(root().join(&file)).expect("a listed file can be read");
        let mode = root().join(&file).metadata().expect("a listed file has metadata").permissions().mode();
        if bytes.starts_with(b"#!/") && mode & 0o100 == 0 {
            findings.push(file.display().to_string());
        }
    }
    assert_none(&findings, "scripts that are not executable");
}
