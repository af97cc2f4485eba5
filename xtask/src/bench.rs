//! The benchmarks: Tidegate beside nginx and Varnish, in sections that can run alone.
//!
//! The measure is the server's CPU time per request, summed over its processes and threads, because
//! wall-clock figures of small or shared machines depend more on their neighbours. The servers are pinned to
//! one core and the load to another. Rounds are interleaved (A B C A B C), so that a slower machine affects
//! all servers. Figures are medians over the rounds, and ratios are computed within each round.
//!
//! [`section`] lists the sections. Most compare servers under the same load ([`comparison`]); the others run
//! a program of `tests/measure` and read its results. Each section writes its [`findings`] to a file, and
//! docs/benchmarks.md is made from these files, so that a section that runs alone, or fails, does not change
//! the others.

mod answers;
mod churn;
mod comparison;
mod configuration;
mod connections;
mod crowd;
mod delay;
mod environment;
mod fill;
mod findings;
mod hits;
mod load;
mod misses;
mod objects;
mod population;
mod quantiles;
mod section;
mod servers;
mod stage;
mod staleness;
mod statistics;
mod threads;
mod tokens;
mod usage;
mod waiters;
pub(crate) mod wire;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum as _};

use self::environment::Environment;
use self::findings::Record;
use self::section::Section;
use self::stage::Stage;
pub(crate) use self::statistics::Spread;
use self::statistics::Verdict;
use crate::needs;
use crate::repository::Repository;

/// The sections, their duration and the number of rounds.
#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    /// The sections to run; without any, all but `churn`, which takes ten minutes by itself.
    #[arg(value_enum)]
    sections: Vec<Section>,
    /// Seconds of load per measurement.
    #[arg(long, default_value_t = 2)]
    seconds: u32,
    /// Rounds: how often each load is measured for each server.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Seconds that the section `churn` takes for its day.
    #[arg(long, default_value_t = 600)]
    churn_seconds: u32,
    /// The greatest number of objects of the section `population`.
    #[arg(long, default_value_t = 1_000_000)]
    objects_max: u64,
    /// Cargo profile to build Tidegate with; releases are built with `dist`.
    #[arg(long, default_value = "dist")]
    profile: String,
    /// A binary of Tidegate to measure instead of building one.
    #[arg(long, env = "TIDEGATE_BIN")]
    tidegate: Option<PathBuf>,
    /// Fail if a target is missed, and list the missed ones.
    #[arg(long)]
    check: bool,
    /// Measure the programs of an earlier build.
    #[arg(long)]
    no_build: bool,
    /// The folder of `benchmarks.md` and of `benchmarks/*.json`, from which the page is made.
    #[arg(long, default_value = "docs")]
    out: PathBuf,
}

impl Settings {
    fn sections(&self) -> Vec<Section> {
        if !self.sections.is_empty() {
            return self.sections.clone();
        }
        Section::value_variants().iter().copied().filter(|section| *section != Section::Churn).collect()
    }
}

/// Runs the sections, prints their tables and writes the page.
pub(crate) fn run(repository: &Repository, settings: &Settings) -> Result<ExitCode> {
    needs::for_bench()?;
    ensure!(std::thread::available_parallelism()?.get() >= 2, "servers and load need a core each");
    let environment = Environment::now(settings)?;
    let stage = Stage::build(repository, settings)?;
    let folder = repository.path("").join(&settings.out);
    let (mut verdicts, mut failed) = (Vec::new(), Vec::new());
    for section in settings.sections() {
        match measure_and_write(section, &stage, settings, &environment, &folder) {
            Ok(more) => verdicts.extend(more),
            Err(error) => {
                eprintln!("{section} failed: {error:#}");
                failed.push(section.to_string());
            }
        }
    }
    ensure!(failed.is_empty(), "these sections failed: {}", failed.join(", "));
    let missed = if settings.check { statistics::missed(&verdicts) } else { Vec::new() };
    ensure!(
        missed.is_empty(),
        "{} of {} targets missed:\n{}",
        missed.len(),
        verdicts.len(),
        missed.join("\n")
    );
    Ok(ExitCode::SUCCESS)
}

/// Measures one section and returns its verdicts. The page is written before the next section begins, so that
/// an interruption does not lose this section.
fn measure_and_write(
    section: Section,
    stage: &Stage,
    settings: &Settings,
    environment: &Environment,
    folder: &Path,
) -> Result<Vec<Verdict>> {
    eprintln!("== {section}");
    let findings = section.measure(stage, settings)?;
    println!("{}\n{}", findings.about, findings.tables);
    if !findings.verdicts.is_empty() {
        println!("{}", statistics::table(&findings.verdicts));
    }
    let verdicts = findings.verdicts.clone();
    Record::new(environment.clone(), findings).write(section, folder)?;
    findings::write_page(folder)?;
    Ok(verdicts)
}
