//! Rust's own tests: unit tests, promises, the repository's rules, real origins with real players.
//!
//! With a filter, only the test programs with a matching test are built; the sources show which. After a
//! change of one line, a contributor waits for one crate and needs no tools for the others.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::metadata::{self, Target};
use crate::needs::Tool;
use crate::repository::Repository;
use crate::shell;
use crate::tally::{self, Tally};

/// The test programs that run.
pub(super) enum Programs {
    All,
    /// Those with a test that has the filter in its name.
    Some(Chosen),
}

/// Test programs that a filter has chosen.
pub(super) struct Chosen {
    programs: Vec<Program>,
    filter: String,
    /// Whether the `tidegate` program is built with them.
    with_tidegate: bool,
}

/// A target of cargo that has tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    package: String,
    /// The option that selects it: `--lib`, `--bin=NAME` or `--test=NAME`.
    choice: String,
    name: String,
}

/// The test programs that need more than Rust.
const TOOLS: [(&str, &[Tool]); 3] = [
    ("acme", &[Tool::Pebble]),
    ("drills", &[Tool::Browser, Tool::Namespaces]),
    ("real_origins", &[Tool::Browser, Tool::Ffmpeg, Tool::Nginx, Tool::WebKit]),
];
/// The test programs that start processes of Tidegate, which they find by `TIDEGATE_BIN`.
const START_TIDEGATE: [&str; 4] = ["acme", "e2e", "drills", "real_origins"];
/// The package of the `tidegate` program.
const CLI: &str = "tidegate-cli";

impl Programs {
    /// The test programs that the filter selects.
    pub(super) fn of(repository: &Repository, filter: Option<&str>) -> Result<Self> {
        let Some(filter) = filter else { return Ok(Self::All) };
        let mut programs = Vec::new();
        for package in metadata::packages(repository, "Cargo.toml")? {
            for target in package.targets.iter().filter(|target| target.test) {
                let choice = choice(target);
                if has_test(target, filter)? {
                    programs.push(Program {
                        package: package.name.clone(),
                        choice,
                        name: target.name.clone(),
                    });
                }
            }
        }
        Ok(Self::Some(Chosen::new(programs, filter)))
    }

    /// The same programs, and the `tidegate` program.
    pub(super) fn with_tidegate(self) -> Self {
        match self {
            Self::All => Self::All,
            Self::Some(chosen) => Self::Some(Chosen { with_tidegate: true, ..chosen }),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Some(chosen) if chosen.programs.is_empty())
    }

    /// The tools that they need.
    pub(super) fn tools(&self) -> BTreeSet<Tool> {
        let runs = |name: &str| match self {
            Self::All => true,
            Self::Some(chosen) => chosen.programs.iter().any(|program| program.name == name),
        };
        let own = TOOLS.iter().filter(|(name, _)| runs(name)).flat_map(|(_, tools)| tools.iter().copied());
        // A filtered run leaves out the samples whose interpreters are missing.
        own.chain(matches!(self, Self::All).then_some(Tool::Samples)).collect()
    }

    /// Builds the programs that tests start, together with the tests, so that cargo unifies features as in
    /// the test run and builds no crate twice.
    pub(super) fn build(&self, repository: &Repository) -> Result<bool> {
        let mut build = shell::command_in(repository.root(), "cargo", &["build", "--locked"]);
        match self {
            Self::All => build.args(["--workspace", "--bins", "--tests"]),
            Self::Some(chosen) if !chosen.with_tidegate => return Ok(true),
            Self::Some(chosen) => {
                let starters = chosen.programs.iter().filter(|program| program.starts_tidegate());
                let starters = starters.map(|program| program.choice.as_str());
                build.args(chosen.packages()).args(["--bin", "tidegate"]).args(starters)
            }
        };
        if !shell::succeeds(&mut build)? {
            return Ok(false);
        }
        ensure!(repository.tidegate().is_file(), "the build left no {}", repository.tidegate().display());
        Ok(true)
    }

    /// Runs them.
    pub(super) fn run(&self, repository: &Repository) -> Result<Tally> {
        let mut test = shell::command_in(repository.root(), "cargo", &["test", "--locked", "--no-fail-fast"]);
        match self {
            Self::All => test.arg("--workspace"),
            Self::Some(chosen) => {
                let choices: BTreeSet<&str> =
                    chosen.programs.iter().map(|program| program.choice.as_str()).collect();
                test.args(chosen.packages()).args(choices).arg(&chosen.filter)
            }
        };
        test.env("TIDEGATE_BIN", repository.tidegate());
        tally::count(&mut test, Tally::from_libtest)
    }
}

impl Chosen {
    fn new(programs: Vec<Program>, filter: &str) -> Self {
        let with_tidegate = programs.iter().any(Program::starts_tidegate);
        Self { programs, filter: filter.to_owned(), with_tidegate }
    }

    /// The packages, the same for the build and for the run: other packages would unify other features.
    fn packages(&self) -> Vec<String> {
        let mut packages: BTreeSet<&str> =
            self.programs.iter().map(|program| program.package.as_str()).collect();
        if self.with_tidegate {
            packages.insert(CLI);
        }
        packages.into_iter().map(|package| format!("--package={package}")).collect()
    }
}

impl Program {
    fn starts_tidegate(&self) -> bool {
        START_TIDEGATE.contains(&self.name.as_str())
    }
}

fn choice(target: &Target) -> String {
    match ["bin", "test"].into_iter().find(|kind| target.is(kind)) {
        Some(kind) => format!("--{kind}={}", target.name),
        None => "--lib".to_owned(),
    }
}

/// Whether a source of the target has a test with the filter in its name.
fn has_test(target: &Target, filter: &str) -> Result<bool> {
    let folder = target.src_path.parent().context("a file is in a folder")?;
    for file in sources(folder)? {
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let path = file.strip_prefix(folder).unwrap_or(&file).with_extension("");
        let modules = path.iter().filter_map(OsStr::to_str).filter(|name| !["lib", "main"].contains(name));
        let modules: Vec<&str> = modules.collect();
        if tests(&modules, &text).iter().any(|name| name.contains(filter)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

/// The tests in a file, with the names of libtest: the modules, then the function below an attribute such as
/// `#[test]` or `#[tokio::test(start_paused = true)]`. rustfmt's indentation shows where a module inside the
/// file ends.
fn tests(modules: &[&str], text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut inline: Vec<(usize, &str)> = Vec::new();
    let mut is_test = false;
    for line in text.lines() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        if code.starts_with("#[") {
            is_test |= code.contains("test]") || code.contains("test(");
        } else if let Some(module) = code.strip_prefix("mod ").and_then(|module| module.strip_suffix(" {")) {
            inline.push((indent, module));
        } else if code == "}" {
            inline.retain(|(opened, _)| *opened < indent);
        } else if let Some((_, function)) = code.split_once("fn ").filter(|_| is_test) {
            let function = function.split(['(', '<']).next().unwrap_or_default();
            let names =
                modules.iter().copied().chain(inline.iter().map(|(_, module)| *module)).chain([function]);
            found.push(names.collect::<Vec<_>>().join("::"));
            is_test = false;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn program(package: &str, choice: &str, name: &str) -> Program {
        Program { package: package.to_owned(), choice: choice.to_owned(), name: name.to_owned() }
    }

    fn chosen(package: &str, choice: &str, name: &str) -> Chosen {
        Chosen::new(vec![program(package, choice, name)], "any")
    }

    #[test]
    fn tests_are_named_as_libtest_names_them() {
        let text = "
            fn helper() {
            }
            #[test]
            fn a_fill_goes_on() {
            }
            mod ranges {
                mod far {
                    #[tokio::test(flavor = \"multi_thread\")]
                    #[expect(clippy::panic, reason = \"it is a test\")]
                    async fn the_rest_is_asked_for() {
                    }
                }
                proptest! {
                    #[test]
                    fn any_range_is_answered(range in ranges()) {
                    }
                }
            }
            #[test]
            fn the_end_is_seen() {
            }
        ";
        assert_eq!(
            tests(&["rescue"], text),
            [
                "rescue::a_fill_goes_on",
                "rescue::ranges::far::the_rest_is_asked_for",
                "rescue::ranges::any_range_is_answered",
                "rescue::the_end_is_seen",
            ]
        );
    }

    #[test]
    fn all_tests_are_found_that_libtest_lists() {
        let listed = Command::new(std::env::current_exe().unwrap()).arg("--list").output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        let listed: Vec<&str> = listed.lines().filter_map(|line| line.strip_suffix(": test")).collect();
        let packages = metadata::packages(&Repository::here(), "Cargo.toml").unwrap();
        let ours = packages.iter().find(|package| package.name == env!("CARGO_PKG_NAME")).unwrap();
        assert!(listed.len() > 50);
        for name in listed {
            assert!(has_test(&ours.targets[0], name).unwrap(), "{name}");
        }
    }

    #[test]
    fn this_test_is_found_in_this_package_alone() {
        let filter = concat!("this_test_is_found", "_in_this_package_alone");
        let Programs::Some(chosen) = Programs::of(&Repository::here(), Some(filter)).unwrap() else {
            panic!("there is a filter");
        };
        assert_eq!(chosen.programs, [program("tidegate-xtask", "--bin=tidegate-xtask", "tidegate-xtask")]);
        assert!(
            Programs::of(&Repository::here(), Some(concat!("no_test_is", "_called_so"))).unwrap().is_empty()
        );
    }

    #[test]
    fn unit_tests_need_neither_tools_nor_the_program() {
        let unit = chosen("tidegate-hls", "--lib", "tidegate_hls");
        assert_eq!(unit.packages(), ["--package=tidegate-hls"]);
        assert!(Programs::Some(unit).tools().is_empty());
    }

    #[test]
    fn test_programs_that_start_tidegate_are_built_with_it() {
        let e2e = chosen("tidegate-tests", "--test=e2e", "e2e");
        assert_eq!(e2e.packages(), ["--package=tidegate-cli", "--package=tidegate-tests"]);
        assert!(Programs::Some(e2e).tools().is_empty());
    }

    #[test]
    fn drills_need_their_tools_and_without_a_filter_all_are_needed() {
        let drills = Programs::Some(chosen("tidegate-tests", "--test=drills", "drills"));
        assert!(drills.tools().into_iter().eq([Tool::Browser, Tool::Namespaces]));
        let all = TOOLS.iter().flat_map(|(_, tools)| tools.iter().copied());
        let all: BTreeSet<Tool> = all.chain([Tool::Samples]).collect();
        assert_eq!(Programs::All.tools(), all);
    }

    #[test]
    fn every_program_with_tools_or_processes_exists() {
        let packages = metadata::packages(&Repository::here(), "Cargo.toml").unwrap();
        let exists = |name: &str| {
            packages.iter().flat_map(|package| &package.targets).any(|target| target.name == name)
        };
        assert!(TOOLS.iter().map(|(name, _)| *name).chain(START_TIDEGATE).all(exists));
        assert!(packages.iter().any(|package| package.name == CLI));
    }
}
