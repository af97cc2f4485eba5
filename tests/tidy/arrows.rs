//! The dependencies between the crates: the arrows point one way, and ARCHITECTURE.md draws all of them.

use std::collections::BTreeSet;
use std::path::Path;

use crate::repository::{assert_none, dependencies, members, read};

/// These members are outside the drawing: they may use any crate, and no crate uses them.
const OUTSIDE: &[&str] = &["examples", "tests", "xtask"];

/// One crate uses another; both are named by their folders.
type Arrow = (String, String);

#[test]
fn the_drawing_shows_the_arrows_between_the_crates() {
    let (drawn, real) = (arrows(&read(Path::new("ARCHITECTURE.md"))), real_arrows());
    let spelled = |arrow: &Arrow| format!("{} ─► {}", arrow.0, arrow.1);
    let missing: Vec<_> = real.difference(&drawn).map(spelled).collect();
    let invented: Vec<_> = drawn.difference(&real).map(spelled).collect();
    assert_none(&missing, "arrows that ARCHITECTURE.md does not draw");
    assert_none(&invented, "arrows that ARCHITECTURE.md draws and no Cargo.toml has");
}

#[test]
fn a_drawing_may_list_and_chain() {
    let text = "players ──► edge\n\n    a, b ─► c ─► d\n    c    ─► e-f\n\nProse about a ─► b.\n";
    let expected = [("a", "c"), ("b", "c"), ("c", "d"), ("c", "e-f")];
    assert_eq!(arrows(text), expected.map(|(user, used)| (user.to_owned(), used.to_owned())).into());
}

#[test]
fn every_member_is_in_the_drawing() {
    let drawn = arrows(&read(Path::new("ARCHITECTURE.md")));
    let is_drawn = |member: &String| {
        drawn.iter().any(|(user, used)| user == member || used == member)
            || OUTSIDE.contains(&member.as_str())
    };
    let strangers: Vec<_> = members().into_iter().filter(|member| !is_drawn(member)).collect();
    assert_none(&strangers, "members without a place in the drawing");
}

#[test]
fn nothing_uses_what_stands_outside() {
    let mut findings = Vec::new();
    for member in members() {
        let used = dependencies(&member);
        let outside = OUTSIDE.iter().filter(|folder| used.contains(&format!("tidegate-{folder}")));
        findings.extend(outside.map(|folder| format!("{member} uses {folder}")));
    }
    assert_none(&findings, "arrows from the drawn crates to the tests and xtask");
}

#[test]
fn the_pure_libraries_use_neither_sockets_nor_clocks() {
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
    assert_none(&findings, "dependencies in the wrong place");
}

/// The arrows in the drawings of a Markdown text: its indented lines with `─►`. `a, b ─► c, d` is four
/// arrows.
fn arrows(text: &str) -> BTreeSet<Arrow> {
    let mut found = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with("    ")) {
        let names: Vec<Vec<&str>> =
            line.split(" ─► ").map(|list| list.split(',').map(str::trim).collect()).collect();
        for pair in names.windows(2) {
            for user in &pair[0] {
                found.extend(pair[1].iter().map(|used| ((*user).to_owned(), (*used).to_owned())));
            }
        }
    }
    found
}

/// The arrows between the crates, as their manifests have them.
fn real_arrows() -> BTreeSet<Arrow> {
    let mut found = BTreeSet::new();
    for member in members().into_iter().filter(|member| !OUTSIDE.contains(&member.as_str())) {
        for dependency in dependencies(&member) {
            if let Some(used) = dependency.strip_prefix("tidegate-") {
                found.insert((member.clone(), used.to_owned()));
            }
        }
    }
    found
}
