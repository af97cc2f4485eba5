//! The builds of later steps, at idle priority beside Rust's tests.
//!
//! Drills and players wait most of their time for a stream that runs in real time. On a bare machine, the
//! release build and the fuzz targets take ten minutes. The scheduler gives these builds only the time that
//! no test wants.

use std::process::{Child, Command, ExitCode};

use anyhow::{Context, Result};

use crate::repository::Repository;
use crate::{fuzz, instructions};

/// Builds in progress.
#[derive(Debug)]
pub(super) struct Ahead(Child);

impl Ahead {
    /// Starts the builds as a process: the programs that it starts inherit its priority. Their failures are
    /// left to the steps, which build again and report what is wrong.
    pub(super) fn start() -> Result<Self> {
        let xtask = std::env::current_exe()?;
        // A program of util-linux, which every Linux system has.
        let mut idle = Command::new("chrt");
        let builds = idle.args(["--idle", "0"]).arg(xtask).arg("build-ahead");
        Ok(Self(builds.spawn().context("chrt cannot be started")?))
    }

    /// Waits for the builds.
    pub(super) fn finish(mut self) -> Result<()> {
        self.0.wait().map(drop).context("the builds beside the tests")
    }
}

/// Builds what the last steps of the test run need.
pub(crate) fn build(repository: &Repository) -> Result<ExitCode> {
    instructions::build(repository)?;
    fuzz::build(repository)?;
    Ok(ExitCode::SUCCESS)
}
