//! The number of instructions that an edge executes for a request, counted by callgrind, a tool of valgrind.
//!
//! A busy machine slows the count down but does not change it. Therefore it can fail a test run, unlike a
//! measurement of time. It covers only user space, and neither cache nor branch misses: [`mod@crate::bench`]
//! measures the cost of a request, this module detects an increase.
//!
//! 1. Each [`Case`] starts its own [`Edge`] under callgrind, with one worker thread, in front of an origin
//!    stub that runs natively. There are no live streams, probes or logs, so that the edge works only for
//!    requests.
//! 2. One connection sends the same request repeatedly, one after the other. Callgrind dumps its counters
//!    before and after a round; the figures exclude start-up and warm-up.
//! 3. The median of the rounds is compared with the [`record`]: growth beyond the tolerance fails, and a
//!    large fall requires a new record.

mod case;
mod edge;
mod http1;
mod http2;
mod record;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;

use self::case::Case;
use self::edge::Edge;
use self::record::{Figure, Record};
use crate::bench::Spread;
use crate::node::Node;
use crate::repository::Repository;
use crate::tally::Tally;
use crate::{needs, shell};

/// The binary to count, and the use of the figures.
#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    /// Count the instructions of this binary instead of building one with the profile `release`.
    #[arg(long, conflicts_with = "update")]
    tidegate: Option<PathBuf>,
    /// Record the figures instead of comparing them with the record.
    #[arg(long)]
    update: bool,
    /// The folder for each case's last profile, which `callgrind_annotate` reads [default:
    /// target/instructions]
    #[arg(long)]
    out: Option<PathBuf>,
}

/// The recorded figures of the release build.
const RECORD: &str = "docs/benchmarks/instructions.json";
const ROUNDS: u32 = 5;

/// Counts every case, and compares or records the figures.
pub(crate) fn run(repository: &Repository, settings: &Settings) -> Result<ExitCode> {
    needs::for_instructions()?;
    let program = match &settings.tidegate {
        Some(program) => program.canonicalize().with_context(|| program.display().to_string())?,
        None => build(repository)?,
    };
    let folder =
        settings.out.as_ref().map_or_else(|| folder(repository), |out| repository.path("").join(out));
    let counted = count_all(repository, &program, &folder)?;
    let file = repository.path(RECORD);
    if settings.update {
        counted.write(&file)?;
    }
    let recorded = Record::read(&file)?;
    print!("{}", counted.table(&recorded));
    Ok(if counted.tally(&recorded).failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The same as a step of the test run: each case is one test.
pub(crate) fn test(repository: &Repository) -> Tally {
    match figures(repository) {
        Ok((counted, recorded)) => {
            print!("{}", counted.table(&recorded));
            counted.tests(&recorded).iter().for_each(|line| println!("{line}"));
            counted.tally(&recorded)
        }
        Err(error) => {
            eprintln!("instructions: {error:#}");
            Tally::one(false)
        }
    }
}

/// The figures of the release build, and the recorded ones.
fn figures(repository: &Repository) -> Result<(Record, Record)> {
    needs::for_instructions()?;
    let counted = count_all(repository, &build(repository)?, &folder(repository))?;
    Ok((counted, Record::read(&repository.path(RECORD))?))
}

fn folder(repository: &Repository) -> PathBuf {
    repository.target().join("instructions")
}

/// Builds the profile `release`, which users build by default.
pub(crate) fn build(repository: &Repository) -> Result<PathBuf> {
    let arguments = ["build", "--release", "--locked", "--package", "tidegate-cli"];
    let built = shell::succeeds(&mut shell::command_in(repository.root(), "cargo", &arguments))?;
    ensure!(built, "tidegate does not build");
    Ok(repository.target().join("release/tidegate"))
}

fn count_all(repository: &Repository, program: &Path, folder: &Path) -> Result<Record> {
    Edge::prepare(folder)?;
    let origin = origin(program, folder)?;
    let mut figures = Vec::new();
    for case in Case::ALL {
        let spread = count(case, program, folder, &origin).with_context(|| case.title())?;
        eprintln!("{}: {spread:.0} instructions", case.title());
        figures.push(Figure::new(case, spread));
    }
    Edge::tidy(folder)?;
    Record::new(repository, figures)
}

fn origin(program: &Path, folder: &Path) -> Result<Node> {
    let command: [OsString; 1] = [program.into()];
    Node::start(&command, folder, "origin-stub", "origin-stub", |serving, admin| {
        format!(
            "listen = \"{serving}\"\nadmin = \"{admin}\"\nidle_timeout = \"1h\"\n\
             [bytes]\ncache_control = \"max-age=86400\"\n"
        )
    })
}

/// Instructions for each unit of a case, in each round.
fn count(case: Case, program: &Path, folder: &Path, origin: &Node) -> Result<Spread> {
    let mut edge = Edge::start(program, folder, case, origin)?;
    let mut viewer = case.connect(edge.address())?;
    let mut requests = 0..;
    let mut send = |count: u32| -> Result<()> {
        requests.by_ref().take(count as usize).try_for_each(|number| viewer.get(&case.path(number)).map(drop))
    };
    send(case.warm_up())?;
    edge.dump()?;
    let mut figures = Vec::new();
    for _round in 0..ROUNDS {
        send(case.requests())?;
        figures.push(edge.dump()? / case.units());
    }
    edge.keep_last_profile()?;
    let requests_sent = case.warm_up() + ROUNDS * case.requests();
    let fills = edge.fills()?;
    let expected = if case.is_hit() { 1.0 } else { f64::from(requests_sent) };
    ensure!(
        fills.total_cmp(&expected).is_eq(),
        "{fills} fills for {requests_sent} requests instead of {expected}"
    );
    Spread::of(figures).context("no rounds")
}
