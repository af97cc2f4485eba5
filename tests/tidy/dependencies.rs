//! One table of dependencies: all of them used, all of them explained.

use std::collections::BTreeSet;
use std::path::Path;

use crate::repository::{assert_none, dependencies, files_named, manifest, members, read};

#[test]
fn every_dependency_in_the_table_is_used() {
    let used: BTreeSet<String> = members().iter().flat_map(|member| dependencies(member)).collect();
    let unused: Vec<_> = table().into_iter().filter(|name| !used.contains(name)).collect();
    assert_none(&unused, "dependencies that no member uses");
}

#[test]
fn members_use_what_they_depend_on() {
    let sources = files_named("rs");
    let mut findings = Vec::new();
    for member in members() {
        let own = sources
            .iter()
            .filter(|file| file.starts_with(&member))
            .map(|file| read(file))
            .collect::<String>();
        let unused = dependencies(&member).into_iter().filter(|name| !own.contains(&name.replace('-', "_")));
        findings.extend(unused.map(|name| format!("{member}: {name}")));
    }
    assert_none(&findings, "dependencies that their crate does not name");
}

#[test]
fn members_take_their_versions_from_the_table() {
    let mut findings = Vec::new();
    for member in members() {
        let manifest = manifest(&member);
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(table) = manifest.get(kind).and_then(toml::Value::as_table) else { continue };
            let own = table
                .iter()
                .filter(|(_, value)| value.get("workspace").and_then(toml::Value::as_bool) != Some(true));
            findings.extend(own.map(|(name, _)| format!("{member}: {name}")));
        }
    }
    assert_none(&findings, "versions outside the root table");
}

#[test]
fn every_dependency_has_a_documented_reason() {
    let reasons = read(Path::new("docs/dependencies.md"));
    let others = table().into_iter().filter(|name| !name.starts_with("tidegate-"));
    let silent: Vec<_> = others.filter(|name| !reasons.contains(&format!("`{name}`"))).collect();
    assert_none(&silent, "dependencies that docs/dependencies.md does not name");
}

fn table() -> Vec<String> {
    let manifest = manifest("");
    let table = manifest["workspace"]["dependencies"].as_table().expect("the dependencies are a table");
    table.keys().cloned().collect()
}
