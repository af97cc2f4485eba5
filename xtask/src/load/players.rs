//! k6 and what it is told.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::repository::Repository;
use crate::{machine, needs, shell};

/// A run of k6 to be.
pub(crate) struct Players {
    program: PathBuf,
    scripts: PathBuf,
    reports: PathBuf,
    scenario: &'static str,
    name: String,
    settings: Vec<(String, String)>,
}

impl Players {
    pub(super) fn of(repository: &Repository, scenario: &'static str) -> Self {
        Self {
            program: needs::k6_program(repository),
            scripts: repository.path("load-tests"),
            reports: repository.target().join("load"),
            scenario,
            name: scenario.to_owned(),
            settings: vec![(
                "MACHINE".to_owned(),
                format!("{}, load average before {}", machine::described(), machine::load()),
            )],
        }
    }

    /// With one more setting, if there is something to set.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        if !value.is_empty() {
            self.settings.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// The report gets another name than the scenario's.
    pub(super) fn reported_as(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Where the report goes, without its endings.
    pub(super) fn report(&self) -> String {
        self.reports.join(&self.name).display().to_string()
    }

    pub(crate) fn command(&self) -> Command {
        // k6 makes files and no folders; without one it says so.
        if let Err(error) = std::fs::create_dir_all(&self.reports) {
            eprintln!("{}: {error}", self.reports.display());
        }
        let program = self.program.display().to_string();
        let mut command = shell::command_in(&self.scripts, &program, &["run", "--quiet"]);
        // Half of what an interpreter with many short-lived values costs is looking for those that are left.
        command.env("GOGC", "400");
        command.arg("--env").arg(format!("REPORT={}", self.report()));
        for (name, value) in &self.settings {
            command.arg("--env").arg(format!("{name}={value}"));
        }
        command.arg(format!("{}.js", self.scenario));
        command
    }

    /// Runs, and hands on what the scenario says on its way. Whether all limits held.
    pub(super) fn heard_by(&self, mut hear: impl FnMut(&str) -> Result<()>) -> Result<bool> {
        let mut command = self.command();
        eprintln!("$ {}", shell::describe(&command));
        let mut child = command.stderr(Stdio::piped()).spawn().context("k6 cannot be started")?;
        let said = child.stderr.take().context("k6 says nothing")?;
        let mut heard = Ok(());
        for line in BufReader::new(said).lines().map_while(Result::ok) {
            eprintln!("{line}");
            heard = heard.and_then(|()| hear(&line));
        }
        let passed = child.wait()?.success();
        heard.map(|()| passed)
    }
}
