//! The working copy as the rules see it: the files that git tracks or would track.

use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests live inside the workspace")
}

/// Every file of the repository, relative to its root, without vendored code, which keeps its own style.
pub(crate) fn files() -> Vec<PathBuf> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(arguments).current_dir(root()).output().expect("git runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listed = String::from_utf8(output.stdout).expect("file names are UTF-8");
    let vendored = ["third_party", "web/vendor"];
    listed
        .lines()
        .map(PathBuf::from)
        .filter(|file| !vendored.iter().any(|folder| file.starts_with(folder)))
        .filter(|file| root().join(file).is_file())
        .collect()
}

pub(crate) fn files_named(extension: &str) -> Vec<PathBuf> {
    let files = files().into_iter().filter(|file| file.extension().is_some_and(|found| found == extension));
    let files: Vec<_> = files.collect();
    assert!(!files.is_empty(), "there is no .{extension} file to look at");
    files
}

pub(crate) fn read(file: &Path) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The file's text, or `None` for a picture, a film or another binary file.
pub(crate) fn read_text(file: &Path) -> Option<String> {
    String::from_utf8(std::fs::read(root().join(file)).ok()?).ok()
}

pub(crate) fn manifest(folder: &str) -> toml::Table {
    let file = Path::new(folder).join("Cargo.toml");
    read(&file).parse().unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The folders of the workspace's members.
pub(crate) fn members() -> Vec<String> {
    let members = &manifest("")["workspace"]["members"];
    let members = members.as_array().expect("members are a list").iter();
    members.map(|member| member.as_str().expect("a member is a path").to_owned()).collect()
}

/// The names of the packages that a member depends on, by any kind of dependency.
pub(crate) fn dependencies(folder: &str) -> Vec<String> {
    let manifest = manifest(folder);
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let tables = kinds.iter().filter_map(|kind| manifest.get(*kind)?.as_table());
    tables.flat_map(|table| table.keys().cloned()).collect()
}

/// Fails with one line per finding.
pub(crate) fn assert_none(findings: &[String], rule: &str) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}
