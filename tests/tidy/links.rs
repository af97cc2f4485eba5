//! The targets of links in documents exist.

use std::collections::BTreeSet;
use std::path::Path;

use crate::repository::{assert_none, files_named, manifest, members, read, root};

#[test]
fn relative_links_in_documents_have_targets() {
    let mut findings = Vec::new();
    for document in files_named("md") {
        let folder = document.parent().unwrap_or_else(|| Path::new(""));
        for link in links(&read(&document)) {
            let (path, heading) =
                link.split_once('#').map_or((link.as_str(), None), |(path, heading)| (path, Some(heading)));
            let target = if path.is_empty() { document.clone() } else { folder.join(path) };
            if !root().join(&target).exists() {
                findings.push(format!("{}: {link}", document.display()));
            } else if heading.is_some_and(|heading| !has_heading(&target, heading)) {
                findings.push(format!("{}: {link} (no such heading)", document.display()));
            }
        }
    }
    assert_none(&findings, "dead links");
}

/// rustdoc does not check links by path; crates that do not depend on each other can be linked in no other
/// way.
#[test]
fn links_between_the_pages_of_crates_lead_somewhere() {
    let pages: Vec<_> = members().iter().flat_map(|member| page_names(&manifest(member))).collect();
    let mut findings = Vec::new();
    for file in files_named("rs") {
        let text = read(&file);
        let documentation = text.lines().filter(|line| line.trim_start().starts_with("//"));
        let links = documentation.filter_map(|line| Some(line.split_once("](../")?.1.split_once('/')?.0));
        let dead = links.filter(|name| !pages.contains(&(*name).to_owned()));
        findings.extend(dead.map(|name| format!("{}: {name}", file.display())));
    }
    assert_none(&findings, "links to pages of crates that rustdoc does not write");
}

#[test]
fn the_documents_that_a_newcomer_expects_exist() {
    let wanted = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CODE_OF_CONDUCT.md",
        "CONTRIBUTING.md",
        "MAINTAINERS.md",
        "RELEASING.md",
        "SECURITY.md",
        "LICENSE",
        "docs/upgrading.md",
    ];
    let missing = wanted.iter().filter(|file| !root().join(file).is_file());
    let missing: Vec<_> = missing.map(|file| (*file).to_owned()).collect();
    assert_none(&missing, "missing documents");
}

/// Documents name a test by its module and the beginning of its name: `outage::while_both_…`.
#[test]
fn documents_name_tests_that_exist() {
    let sources: Vec<_> = files_named("rs").iter().map(|file| read(file)).collect();
    let functions: BTreeSet<_> = sources
        .iter()
        .flat_map(|text| text.lines().filter_map(|line| line.split_once("fn ")?.1.split_once('(')))
        .map(|(name, _)| name)
        .collect();
    let mut findings = Vec::new();
    for document in files_named("md") {
        for name in read(&document).split('`').filter_map(|code| code.strip_suffix("_…")) {
            let beginning = name.rsplit("::").next().unwrap_or(name);
            if !functions.iter().any(|function| function.starts_with(beginning)) {
                findings.push(format!("{}: {name}", document.display()));
            }
        }
    }
    assert_none(&findings, "tests that do not exist");
}

#[test]
fn links_are_found_in_both_spellings_and_not_in_code() {
    let text = "See [a](docs/a.md#top) and <img src=\"web/b.svg\">, not [c](https://example.org/c).\n\
                ```\n[d](docs/d.md)\n```\nor `[e](docs/e.md)`.\n";
    assert_eq!(links(text), ["docs/a.md#top", "web/b.svg"]);
}

#[test]
fn headings_are_found_by_their_anchors() {
    assert_eq!(anchor("## What must be true, and why?"), Some("what-must-be-true-and-why".to_owned()));
    assert_eq!(anchor("Not a heading"), None);
}

/// The relative targets of a Markdown text, outside code.
fn links(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect();
        for (open, close) in [("](", ')'), ("src=\"", '"'), ("href=\"", '"')] {
            found.extend(
                prose.split(open).skip(1).filter_map(|rest| Some(rest.split_once(close)?.0.to_owned())),
            );
        }
    }
    found.retain(|link| !link.contains("://") && !link.starts_with("mailto:"));
    found
}

/// The folders that rustdoc makes for a package: one for its library and each of its programs.
fn page_names(manifest: &toml::Table) -> Vec<String> {
    let name = |table: &toml::Value| Some(table.get("name")?.as_str()?.replace('-', "_"));
    let programs = manifest.get("bin").and_then(toml::Value::as_array).into_iter().flatten();
    programs.chain(manifest.get("lib")).chain(manifest.get("package")).filter_map(name).collect()
}

fn has_heading(document: &Path, heading: &str) -> bool {
    document.extension().is_none_or(|extension| extension != "md")
        || read(document).lines().filter_map(anchor).any(|anchor| anchor == heading)
}

/// A heading's anchor, as Markdown renderers make it: lower case, spaces as hyphens, other signs dropped.
fn anchor(line: &str) -> Option<String> {
    let title = line.strip_prefix('#')?.trim_start_matches('#').trim();
    let oldest = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    Some(oldest.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect())
}
