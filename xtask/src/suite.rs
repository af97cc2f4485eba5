//! The whole test run, the cheapest failures first.
//!
//! [`rust`] has Rust's own tests; the other [`STEPS`] are below. A filter selects from both, and only the
//! tools of the selection are required.

pub(crate) mod ahead;
mod rust;

use std::collections::BTreeSet;
use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};

use self::ahead::Ahead;
use self::rust::Programs;
use crate::needs::{self, Tool};
use crate::repository::Repository;
use crate::tally::{self, Tally};
use crate::{cache_suite, demo, fuzz, instructions, load, scanner, shell};

/// A step beyond Rust's tests.
struct Step {
    /// The names that a filter matches.
    names: &'static [&'static str],
    tools: &'static [Tool],
    /// Whether it starts the `tidegate` program that the tests are built with.
    starts_tidegate: bool,
    run: fn(&Repository) -> Result<Tally>,
}

const STEPS: [Step; 8] = [
    Step { names: &["players"], tools: &[Tool::Node], starts_tidegate: false, run: players },
    Step {
        names: &["cache-suite"],
        tools: &[Tool::CacheSuite],
        starts_tidegate: true,
        run: |repository| Ok(cache_suite::run(repository)),
    },
    Step { names: &["demo", "k6"], tools: &[Tool::Browser, Tool::K6], starts_tidegate: true, run: demo::run },
    Step {
        names: &["k6"],
        tools: &[Tool::K6],
        starts_tidegate: true,
        run: |repository| Ok(load::spike(repository)),
    },
    Step {
        names: &["scanner"],
        tools: &[Tool::Sslyze],
        starts_tidegate: true,
        run: |repository| Ok(scanner::run(repository)),
    },
    Step { names: &["packaging"], tools: &[Tool::Packaging], starts_tidegate: true, run: packaging },
    Step { names: &["fuzz"], tools: &[Tool::CxxCompiler], starts_tidegate: false, run: fuzz::run },
    Step {
        names: &["instructions"],
        tools: &[Tool::Valgrind],
        starts_tidegate: false,
        run: |repository| Ok(instructions::test(repository)),
    },
];

/// Runs the selected tests and prints the sum as the last line.
pub(crate) fn run(repository: &Repository, filter: Option<&str>) -> Result<ExitCode> {
    let mut programs = Programs::of(repository, filter)?;
    let steps: Vec<&Step> = STEPS.iter().filter(|step| step.is_wanted(filter)).collect();
    let filter = filter.unwrap_or_default();
    ensure!(!programs.is_empty() || !steps.is_empty(), "no test has `{filter}` in its name");

    let mut tools: BTreeSet<Tool> = steps.iter().flat_map(|step| step.tools.iter().copied()).collect();
    tools.extend(programs.tools());
    needs::for_tests(repository, &tools)?;

    if steps.iter().any(|step| step.starts_tidegate) {
        programs = programs.with_tidegate();
    }
    // A failed build is one failure. No step runs, since the binary of an earlier build would prove nothing.
    let sum = if shell::timed("build", || programs.build(repository))? {
        run_built(repository, &programs, &steps)?
    } else {
        Tally::one(false)
    };
    println!("{sum}");
    Ok(if sum.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_built(repository: &Repository, programs: &Programs, steps: &[&Step]) -> Result<Tally> {
    let mut sum = Tally::default();
    // A filtered run is short, and wants its processors for itself.
    let is_whole = !programs.is_empty() && steps.len() == STEPS.len();
    let ahead = is_whole.then(Ahead::start).transpose()?;
    if !programs.is_empty() {
        sum += shell::timed("Rust's tests", || programs.run(repository))?;
    }
    if let Some(builds) = ahead {
        shell::timed("the rest of the builds", || builds.finish())?;
    }
    for step in steps {
        sum += shell::timed(step.names.first().unwrap_or(&""), || (step.run)(repository))?;
    }
    Ok(sum)
}

impl Step {
    fn is_wanted(&self, filter: Option<&str>) -> bool {
        filter.is_none_or(|filter| self.names.iter().any(|name| name.contains(filter)))
    }
}

/// The tests of the players, k6's players included: the players judge real streams, so they must be correct.
fn players(repository: &Repository) -> Result<Tally> {
    let mut sum = Tally::default();
    for folder in ["tests/players", "load-tests"] {
        let mut test =
            shell::command_in(&repository.path(folder), "node", &["--test", "--test-reporter=tap"]);
        sum += tally::count(&mut test, Tally::from_node)?;
    }
    Ok(sum)
}

/// The charts, templates, rules and recipes in packaging/; each part is a test.
fn packaging(repository: &Repository) -> Result<Tally> {
    let mut check = Command::new(repository.path("packaging/check"));
    tally::count(check.env("TIDEGATE", repository.tidegate()), Tally::from_packaging)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(filter: Option<&str>) -> Vec<&'static str> {
        let wanted = STEPS.iter().filter(|step| step.is_wanted(filter));
        wanted.filter_map(|step| step.names.first().copied()).collect()
    }

    #[test]
    fn a_filter_selects_the_steps_that_it_names() {
        assert_eq!(names(None).len(), STEPS.len());
        assert_eq!(names(Some("k6")), ["demo", "k6"]);
        assert_eq!(names(Some("demo")), ["demo"]);
        assert_eq!(names(Some("a_hundred_viewers_make_one_fill")), [""; 0]);
    }

    #[test]
    fn without_a_filter_every_tool_is_required() {
        let mut tools: BTreeSet<Tool> = STEPS.iter().flat_map(|step| step.tools.iter().copied()).collect();
        tools.extend(Programs::All.tools());
        assert!(tools.into_iter().eq(Tool::ALL));
    }
}
