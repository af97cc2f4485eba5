//! A run of k6 and its settings.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::repository::Repository;
use crate::{machine, needs, shell};

/// The settings of a run of k6.
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

    /// Adds a setting, unless the value is empty.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        if !value.is_empty() {
            self.settings.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Names the report other than the scenario.
    pub(super) fn reported_as(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The path of the report, without its extension.
    pub(super) fn report(&self) -> String {
        self.reports.join(&self.name).display().to_string()
    }

    pub(crate) fn command(&self) -> Command {
        // k6 makes files but no folders, and reports a missing one.
        if let Err(error) = std::fs::create_dir_all(&self.reports) {
            eprintln!("{}: {error}", self.reports.display());
        }
        let program = self.program.display().to_string();
        let mut command = shell::command_in(&self.scripts, &program, &["run", "--quiet"]);
        // Garbage collection is half of the cost of an interpreter with many short-lived values.
        command.env("GOGC", "400");
        command.arg("--env").arg(format!("REPORT={}", self.report()));
        for (name, value) in &self.settings {
            command.arg("--env").arg(format!("{name}={value}"));
        }
        command.arg(format!("{}.js", self.scenario));
        command
    }

    /// Runs k6 and passes each line of its messages to `on_line`. Returns whether all limits were kept.
    pub(super) fn run(&self, mut on_line: impl FnMut(&str) -> Result<()>) -> Result<bool> {
        let mut command = self.command();
        eprintln!("$ {}", shell::describe(&command));
        let mut child = command.stderr(Stdio::piped()).spawn().context("k6 cannot be started")?;
        let messages = child.stderr.take().context("k6 has no standard error")?;
        let mut result = Ok(());
        for line in BufReader::new(messages).lines().map_while(Result::ok) {
            eprintln!("{line}");
            result = result.and_then(|()| on_line(&line));
        }
        let passed = child.wait()?.success();
        result.map(|()| passed)
    }
}
