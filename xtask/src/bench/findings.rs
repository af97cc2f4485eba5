//! What one section has found, as it is kept: words and tables for people, figures for programs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum as _;
use serde::{Deserialize, Serialize};

use super::environment::Environment;
use super::section::Section;
use super::statistics::{self, Verdict};

/// Of one section.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Findings {
    /// What was measured and how: Markdown that begins with a heading.
    pub(crate) about: String,
    /// The tables, in Markdown.
    pub(crate) tables: String,
    /// The targets that belong to it.
    pub(crate) verdicts: Vec<Verdict>,
    /// Every single figure.
    pub(crate) figures: serde_json::Value,
}

/// Findings with where they come from: a file.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Kept {
    environment: Environment,
    #[serde(flatten)]
    findings: Findings,
}

impl Kept {
    pub(crate) fn new(environment: Environment, findings: Findings) -> Self {
        Self { environment, findings }
    }

    /// Writes the file of a section.
    pub(crate) fn write(&self, section: Section, folder: &Path) -> Result<()> {
        let file = file(section, folder);
        std::fs::create_dir_all(file.parent().unwrap_or(folder))?;
        std::fs::write(&file, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| file.display().to_string())
    }
}

/// Rewrites the page from the files of all sections, in the order of the sections.
pub(crate) fn write_page(folder: &Path) -> Result<PathBuf> {
    let mut kept = Vec::new();
    for section in Section::value_variants() {
        let file = file(*section, folder);
        if file.is_file() {
            let text = std::fs::read_to_string(&file)?;
            let of_section: Kept = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
            kept.push((*section, of_section));
        }
    }
    let page = folder.join("benchmarks.md");
    std::fs::write(&page, page_of(&kept)).with_context(|| page.display().to_string())?;
    Ok(page)
}

fn file(section: Section, folder: &Path) -> PathBuf {
    folder.join("benchmarks").join(format!("{section}.json"))
}

fn page_of(kept: &[(Section, Kept)]) -> String {
    let verdicts = kept.iter().flat_map(|(_, kept)| kept.findings.verdicts.clone()).collect::<Vec<_>>();
    let sections = kept.iter().map(|(section, kept)| section_of(*section, kept));
    format!("{OPENING}\n{}\n{}", statistics::table(&verdicts), sections.collect::<Vec<_>>().join("\n"))
}

fn section_of(section: Section, kept: &Kept) -> String {
    let Kept { environment, findings } = kept;
    let Environment { machine, date, load_before, programs, rounds, seconds } = environment;
    format!(
        "{}\n{}\nOn {date}: {machine}; load average before the run {load_before}; {rounds} rounds, {seconds} s of load each.\n\
         {}.\nAll figures: [{section}.json](benchmarks/{section}.json). Again: `cargo xtask bench {section}`.\n",
        findings.about,
        findings.tables,
        programs.join(", ")
    )
}

const OPENING: &str = "\
# Benchmarks

`cargo xtask bench` writes this page; run it for your own machine.
The figure that counts is a server's CPU time per request, over all its threads and processes, because wall-clock figures of small and shared machines depend more on their neighbours.
Servers and load have a core each.
Rounds are interleaved (A B C A B C); figures are medians, with the minimum and the maximum of the rounds in parentheses.
A ratio is computed within each round.
Objects of 64 KiB and more are counted by their bytes, so that responses in progress at the end of a round count in part.

## Targets
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::statistics::{Bound, Spread};

    fn kept(about: &str) -> Kept {
        let environment = Environment {
            machine: "a machine".to_owned(),
            date: "2026-01-01".to_owned(),
            load_before: "0.01".to_owned(),
            programs: vec!["a server 1".to_owned()],
            rounds: 5,
            seconds: 2,
        };
        let measured = Spread { median: 2.0, min: 1.0, max: 3.0 };
        let verdict = Verdict { what: format!("of {about}"), target: Bound::AtLeast(1.5), measured };
        let findings = Findings {
            about: format!("## {about}\n"),
            tables: "| a |\n|---|\n".to_owned(),
            verdicts: vec![verdict],
            figures: serde_json::json!([1, 2]),
        };
        Kept { environment, findings }
    }

    #[test]
    fn the_page_opens_with_all_targets_and_goes_on_with_each_section() {
        let page = page_of(&[(Section::Hit, kept("One")), (Section::Tls, kept("Two"))]);
        let places = ["| of One |", "| of Two |", "## One\n", "hit.json", "## Two\n", "tls.json"];
        let places: Vec<_> = places.iter().map(|text| page.find(text).unwrap()).collect();
        assert!(places.is_sorted(), "{page}");
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let text = serde_json::to_string(&kept("One")).unwrap();
        let again: Kept = serde_json::from_str(&text).unwrap();
        assert_eq!(again.findings.verdicts, kept("One").findings.verdicts);
    }
}
