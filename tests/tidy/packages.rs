//! The manifest of each package: its name, its metadata, its lints and its Rust version.

use std::collections::BTreeSet;
use std::path::Path;

use crate::repository::{assert_none, manifest, members, read};

/// Written once, in `[workspace.package]`.
const SHARED: &[&str] =
    &["version", "edition", "rust-version", "license", "readme", "keywords", "categories", "publish"];

#[test]
fn every_package_describes_itself() {
    let mut descriptions = BTreeSet::new();
    let mut findings = Vec::new();
    for member in members() {
        let manifest = manifest(&member);
        let description = manifest["package"].get("description").and_then(toml::Value::as_str);
        let Some(description) = description.filter(|description| !description.trim().is_empty()) else {
            findings.push(format!("{member}: no description"));
            continue;
        };
        if !descriptions.insert(description.to_owned()) {
            findings.push(format!("{member}: the description of another package"));
        }
    }
    assert_none(&findings, "packages without their own description");
}

#[test]
fn packages_share_the_metadata_of_the_workspace() {
    let mut findings = Vec::new();
    for member in members() {
        let manifest = manifest(&member);
        let inherits = |field: &&&str| {
            let value = manifest["package"].get(**field);
            value.and_then(|value| value.get("workspace")?.as_bool()) == Some(true)
        };
        findings
            .extend(SHARED.iter().filter(|field| !inherits(field)).map(|field| format!("{member}: {field}")));
    }
    assert_none(&findings, "metadata that is missing, or not `workspace = true`");
}

#[test]
fn the_oldest_rust_is_the_pinned_one() {
    let toolchain: toml::Table =
        read(Path::new("rust-toolchain.toml")).parse().expect("the toolchain is TOML");
    let pinned = toolchain["toolchain"]["channel"].as_str().expect("the channel is text");
    let mut findings = Vec::new();
    for (file, version) in [
        ("Cargo.toml", &manifest("")["workspace"]["package"]["rust-version"]),
        ("fuzz/Cargo.toml", &manifest("fuzz")["package"]["rust-version"]),
    ] {
        let version = version.as_str().expect("a Rust version is text");
        if pinned != version && !pinned.starts_with(&format!("{version}.")) {
            findings.push(format!("{file}: {version}, not {pinned}"));
        }
    }
    assert_none(&findings, "Rust versions that rust-toolchain.toml does not pin");
}

#[test]
fn packages_are_named_after_their_folders() {
    let named =
        |member: &String| manifest(member)["package"]["name"].as_str() == Some(&format!("tidegate-{member}"));
    let misnamed: Vec<_> = members().into_iter().filter(|member| !named(member)).collect();
    assert_none(&misnamed, "packages not named tidegate-<folder>");
}

#[test]
fn every_member_takes_the_lint_table() {
    let lints = |member: &String| {
        manifest(member).get("lints").and_then(|lints| lints.get("workspace")?.as_bool()) == Some(true)
    };
    let without: Vec<_> = members().into_iter().filter(|member| !lints(member)).collect();
    assert_none(&without, "members without `[lints] workspace = true`");
}
