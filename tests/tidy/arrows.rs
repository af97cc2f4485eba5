//! Who may know whom: the arrows between the crates point one way.

use crate::repository::{assert_none, dependencies, manifest, members};

/// Each library, and those of ours that it may use. The tests and xtask stand outside the house and may use any.
const ARROWS: &[(&str, &[&str])] = &[
    ("cli", &["edge", "shield", "origin-stub"]),
    ("edge", &["proxy", "upstream"]),
    ("shield", &["proxy", "upstream"]),
    ("proxy", &["upstream", "cache", "hls", "http1"]),
    ("upstream", &["cache", "hls", "http1"]),
    ("cache", &[]),
    ("hls", &[]),
    ("http1", &[]),
    ("origin-stub", &[]),
];

const OUTSIDE: &[&str] = &["tests", "xtask"];

#[test]
fn crates_use_only_those_that_the_drawing_shows() {
    let mut findings = Vec::new();
    for (folder, allowed) in ARROWS {
        for dependency in dependencies(folder) {
            let Some(ours) = dependency.strip_prefix("tidegate-") else { continue };
            if !allowed.contains(&ours) {
                findings.push(format!("{folder} uses {ours}"));
            }
        }
    }
    assert_none(&findings, "arrows that are not drawn");
}

#[test]
fn every_member_is_in_the_drawing() {
    let drawn = |member: &String| {
        ARROWS.iter().any(|(folder, _)| folder == member) || OUTSIDE.contains(&member.as_str())
    };
    let strangers: Vec<_> = members().into_iter().filter(|member| !drawn(member)).collect();
    assert_none(&strangers, "members without a place in the drawing");
}

#[test]
fn nothing_uses_the_tests_or_xtask() {
    let mut findings = Vec::new();
    for member in members() {
        let used = dependencies(&member);
        let outside = OUTSIDE.iter().filter(|folder| used.contains(&format!("tidegate-{folder}")));
        findings.extend(outside.map(|folder| format!("{member} uses {folder}")));
    }
    assert_none(&findings, "arrows from inside the house to what stands outside");
}

#[test]
fn the_pure_libraries_know_neither_sockets_nor_clocks() {
    let forbidden = [
        ("hls", ["tokio", "pingora-core", "hyper", "axum"]),
        ("http1", ["tokio", "pingora-core", "hyper", "axum"]),
        ("cache", ["quick-m3u8", "pingora-core", "hyper", "axum"]),
    ];
    let mut findings = Vec::new();
    for (folder, names) in forbidden {
        let used = dependencies(folder);
        findings.extend(
            names
                .iter()
                .filter(|name| used.iter().any(|used| used == *name))
                .map(|name| format!("{folder} uses {name}")),
        );
    }
    assert_none(&findings, "knowledge in the wrong place");
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
