//! The recorded figures, and their comparison with new ones.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::case::Case;
use crate::bench::Spread;
use crate::repository::Repository;
use crate::shell;
use crate::tally::Tally;

/// All figures of one run.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub(super) struct Record {
    environment: Environment,
    figures: Vec<Figure>,
}

/// Instructions for one unit of a case.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
pub(super) struct Figure {
    case: Case,
    instructions: f64,
    /// From the lowest round to the highest.
    spread_percent: f64,
}

/// The environment that the figures depend on besides the code. valgrind shows all programs the same
/// processor; only the largest instruction set depends on the machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
struct Environment {
    processor: String,
    rustc: String,
    c_compiler: String,
    libc: String,
    valgrind: String,
}

/// The share by which a figure may grow in the environment of the record: several times the difference
/// between runs.
const TOLERANCE: f64 = 0.02;
/// The same with other compilers or libraries, which change some figures a little.
const TOLERANCE_ELSEWHERE: f64 = 0.1;
/// A fall by more than this share needs a new record, or it would hide a later regression.
const FALL: f64 = 0.05;

/// The verdict on a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Within,
    Grown,
    Fallen,
    /// There is no recorded figure.
    Unrecorded,
    /// The record is from another processor.
    Incomparable,
}

impl Record {
    pub(super) fn new(repository: &Repository, figures: Vec<Figure>) -> Result<Self> {
        Ok(Self { environment: Environment::here(repository)?, figures })
    }

    pub(super) fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        serde_json::from_str(&text).with_context(|| file.display().to_string())
    }

    pub(super) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(file, text).with_context(|| file.display().to_string())
    }

    /// The table of these figures and the recorded ones.
    pub(super) fn table(&self, recorded: &Self) -> String {
        let mut lines = vec![
            "| instructions of | on record | now | change | spread | |".to_owned(),
            "|---|---:|---:|---:|---:|---|".to_owned(),
        ];
        lines.extend(self.verdicts(recorded).map(|(figure, before, verdict)| {
            let (case, now, spread) = (figure.case.title(), figure.instructions, figure.spread_percent);
            let on_record = before.map_or_else(|| "—".to_owned(), |before| format!("{before:.0}"));
            let change =
                before.map_or_else(String::new, |before| format!("{:+.2} %", change(before, now) * 100.0));
            format!("| {case} | {on_record} | {now:.0} | {change} | {spread:.2} % | {verdict} |")
        }));
        lines.join("\n") + "\n" + &self.environment.beside(&recorded.environment)
    }

    /// One line for each comparable case, in the format of libtest.
    pub(super) fn tests(&self, recorded: &Self) -> Vec<String> {
        let judged = self.verdicts(recorded).filter(|(_, _, verdict)| *verdict != Verdict::Incomparable);
        judged
            .map(|(figure, _, verdict)| {
                let outcome = if verdict.passes() { "ok" } else { "FAILED" };
                format!("test instructions of {} ... {outcome}", figure.case.title())
            })
            .collect()
    }

    /// One test for each comparable case.
    pub(super) fn tally(&self, recorded: &Self) -> Tally {
        let mut tally = Tally::default();
        for (_, _, verdict) in self.verdicts(recorded) {
            if verdict != Verdict::Incomparable {
                tally += Tally::one(verdict.passes());
            }
        }
        tally
    }

    fn verdicts(&self, recorded: &Self) -> impl Iterator<Item = (&Figure, Option<f64>, Verdict)> {
        let tolerance = self.environment.tolerance(&recorded.environment);
        self.figures.iter().map(move |figure| {
            let before = recorded.figures.iter().find(|before| before.case == figure.case);
            let before = before.map(|before| before.instructions);
            let verdict = match (tolerance, before) {
                (None, _) => Verdict::Incomparable,
                (_, None) => Verdict::Unrecorded,
                (Some(tolerance), Some(before)) => {
                    Verdict::of(change(before, figure.instructions), tolerance)
                }
            };
            (figure, before, verdict)
        })
    }
}

impl Figure {
    /// The median, rounded to significant digits.
    pub(super) fn new(case: Case, spread: Spread) -> Self {
        let percent = (spread.max / spread.min - 1.0) * 100.0;
        Self { case, instructions: spread.median.round(), spread_percent: (percent * 100.0).round() / 100.0 }
    }
}

impl Environment {
    fn here(repository: &Repository) -> Result<Self> {
        let first_line = |program: &str, arguments: &[&str]| -> Result<String> {
            let mut command = shell::command_in(repository.root(), program, arguments);
            let output = command.output().with_context(|| shell::describe(&command))?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            Ok(text.lines().next().unwrap_or("unknown").trim().to_owned())
        };
        Ok(Self {
            processor: processor(),
            rustc: first_line("rustc", &["--version"])?,
            c_compiler: first_line("cc", &["--version"])?,
            libc: first_line("getconf", &["GNU_LIBC_VERSION"])?,
            valgrind: first_line("valgrind", &["--version"])?,
        })
    }

    /// The share by which figures may grow; `None` if they are not comparable.
    fn tolerance(&self, recorded: &Self) -> Option<f64> {
        if self == recorded {
            Some(TOLERANCE)
        } else {
            (self.processor == recorded.processor).then_some(TOLERANCE_ELSEWHERE)
        }
    }

    /// The text about both environments if they differ.
    fn beside(&self, recorded: &Self) -> String {
        match self.tolerance(recorded) {
            None => format!(
                "The record is that of another processor, so nothing is compared.\n{self}\n{recorded}\n"
            ),
            Some(tolerance) if self != recorded => format!(
                "The record was made elsewhere, so figures may grow by {:.0} %.\nHere: {self}\nThere: {recorded}\n",
                tolerance * 100.0
            ),
            Some(_) => String::new(),
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processor, rustc, c_compiler, libc, valgrind } = self;
        write!(f, "{processor}, {rustc}, {c_compiler}, {libc}, {valgrind}")
    }
}

impl Verdict {
    fn of(change: f64, tolerance: f64) -> Self {
        if change > tolerance {
            Self::Grown
        } else if change < -FALL {
            Self::Fallen
        } else {
            Self::Within
        }
    }

    /// Whether the case passes. One without a record fails, since it would detect no growth.
    fn passes(self) -> bool {
        !matches!(self, Self::Grown | Self::Unrecorded)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Within => "ok",
            Self::Grown => "**grown**: look at the profile, or record it with `--update` and say why",
            Self::Fallen => "fallen: record it with `--update`",
            Self::Unrecorded => "**not on record**: record it with `--update`",
            Self::Incomparable => "not compared",
        })
    }
}

fn change(before: f64, now: f64) -> f64 {
    now / before - 1.0
}

/// The architecture, and the largest instruction set that valgrind supports on it.
fn processor() -> String {
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = information.lines().find_map(|line| line.strip_prefix("flags")?.split_once(':'));
    let has_avx2 = flags.is_some_and(|(_, flags)| flags.split(' ').any(|flag| flag == "avx2"));
    format!("{}{}", std::env::consts::ARCH, if has_avx2 { " with AVX2" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(instructions: f64) -> Record {
        let environment = Environment {
            processor: "x86_64 with AVX2".to_owned(),
            rustc: "rustc 1".to_owned(),
            c_compiler: "cc 1".to_owned(),
            libc: "glibc 1".to_owned(),
            valgrind: "valgrind-1".to_owned(),
        };
        Record { environment, figures: vec![figure(Case::Hit, instructions)] }
    }

    fn figure(case: Case, instructions: f64) -> Figure {
        Figure { case, instructions, spread_percent: 0.5 }
    }

    #[test]
    fn a_figure_is_the_median_and_the_spread_of_the_rounds() {
        let of = |figures: [f64; 3]| Figure::new(Case::Miss, Spread::of(figures).unwrap());
        assert_eq!(
            of([1010.0, 1000.4, 1000.0]),
            Figure { spread_percent: 1.0, ..figure(Case::Miss, 1000.0) }
        );
    }

    #[test]
    fn growth_beyond_the_tolerance_fails() {
        let before = record(10_000.0);
        assert_eq!(record(10_199.0).tally(&before), Tally::one(true));
        assert_eq!(record(10_201.0).tally(&before), Tally::one(false));
        assert!(record(10_201.0).table(&before).contains("| 10000 | 10201 | +2.01 % | 0.50 % | **grown**"));
        assert_eq!(
            record(10_201.0).tests(&before),
            ["test instructions of a hit of 1 KiB, HTTP/1.1 ... FAILED"]
        );
    }

    #[test]
    fn a_large_fall_requires_a_new_record_and_passes() {
        let before = record(10_000.0);
        assert!(record(9_490.0).table(&before).contains("| -5.10 % | 0.50 % | fallen: record it"));
        assert_eq!(record(9_490.0).tally(&before), Tally::one(true));
        assert!(record(9_510.0).table(&before).ends_with("| ok |\n"));
    }

    #[test]
    fn other_compilers_have_a_larger_tolerance() {
        let mut before = record(10_000.0);
        before.environment.libc = "glibc 2".to_owned();
        assert_eq!(record(10_900.0).tally(&before), Tally::one(true));
        assert_eq!(record(11_100.0).tally(&before), Tally::one(false));
        assert!(record(10_000.0).table(&before).contains("may grow by 10 %"));
    }

    #[test]
    fn figures_of_another_processor_are_shown_but_not_compared() {
        let mut before = record(10_000.0);
        before.environment.processor = "aarch64".to_owned();
        assert_eq!(record(99_999.0).tally(&before), Tally::default());
        assert!(record(99_999.0).table(&before).contains("| not compared |"));
    }

    #[test]
    fn a_case_without_a_record_fails() {
        let before = record(10_000.0);
        let now = Record { figures: vec![figure(Case::Miss, 1.0)], ..before.clone() };
        assert_eq!(now.tally(&before), Tally::one(false));
    }
}
