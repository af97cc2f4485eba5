//! The findings of one section: text and tables for people, figures for programs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum as _;
use serde::{Deserialize, Serialize};

use super::environment::Environment;
use super::section::Section;
use super::statistics::{self, Verdict};

/// The findings of one section.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Findings {
    /// The heading and the description of the measurement, in Markdown.
    pub(crate) about: String,
    /// The tables, in Markdown.
    pub(crate) tables: String,
    /// The targets of the section.
    pub(crate) verdicts: Vec<Verdict>,
    /// All figures.
    pub(crate) figures: serde_json::Value,
}

/// The file of a section: its findings and their environment.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Record {
    environment: Environment,
    #[serde(flatten)]
    findings: Findings,
}

impl Record {
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

/// Writes the page from the files of all sections, in their order.
pub(crate) fn write_page(folder: &Path) -> Result<PathBuf> {
    let mut records = Vec::new();
    for section in Section::value_variants() {
        let file = file(*section, folder);
        if file.is_file() {
            let text = std::fs::read_to_string(&file)?;
            let record: Record = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
            records.push((*section, record));
        }
    }
    let page = folder.join("benchmarks.md");
    std::fs::write(&page, page_of(&records)).with_context(|| page.display().to_string())?;
    Ok(page)
}

fn file(section: Section, folder: &Path) -> PathBuf {
    folder.join("benchmarks").join(format!("{section}.json"))
}

fn page_of(records: &[(Section, Record)]) -> String {
    let verdicts =
        records.iter().flat_map(|(_, record)| record.findings.verdicts.clone()).collect::<Vec<_>>();
    let sections = records.iter().map(|(section, record)| section_of(*section, record));
    format!("{OPENING}\n{}\n{}", statistics::table(&verdicts), sections.collect::<Vec<_>>().join("\n"))
}

fn section_of(section: Section, record: &Record) -> String {
    let Record { environment, findings } = record;
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

    fn record(about: &str) -> Record {
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
        Record { environment, findings }
    }

    #[test]
    fn the_page_begins_with_all_targets_and_has_each_section() {
        let page = page_of(&[(Section::Hit, record("One")), (Section::Tls, record("Two"))]);
        let places = ["| of One |", "| of Two |", "## One\n", "hit.json", "## Two\n", "tls.json"];
        let places: Vec<_> = places.iter().map(|text| page.find(text).unwrap()).collect();
        assert!(places.is_sorted(), "{page}");
    }

    #[test]
    fn a_record_is_read_back() {
        let text = serde_json::to_string(&record("One")).unwrap();
        let again: Record = serde_json::from_str(&text).unwrap();
        assert_eq!(again.findings.verdicts, record("One").findings.verdicts);
    }
}
