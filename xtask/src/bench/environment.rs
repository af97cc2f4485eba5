//! The environment of a run: machine, date and programs.

use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::{machine, shell};

/// The environment of a run.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Environment {
    pub(crate) machine: String,
    pub(crate) date: String,
    /// The load average of the minute before the run.
    pub(crate) load_before: String,
    /// Names and versions of the servers and of the load generators.
    pub(crate) programs: Vec<String>,
    pub(crate) rounds: u32,
    pub(crate) seconds: u32,
}

impl Environment {
    pub(crate) fn now(settings: &Settings) -> Result<Self> {
        let how = if settings.tidegate.is_some() { "a binary of its own" } else { settings.profile.as_str() };
        let tidegate = format!("tidegate {} ({how})", env!("CARGO_PKG_VERSION"));
        let others = [
            ("nginx", "-v", "nginx/"),
            ("varnishd", "-V", "varnish-"),
            ("wrk", "-v", "wrk "),
            ("h2load", "--version", "nghttp2/"),
            ("openssl", "version", "OpenSSL "),
        ];
        let others =
            others.map(|(name, flag, prefix)| version(name, flag, prefix).map(|of| format!("{name} {of}")));
        Ok(Self {
            machine: machine::described(),
            date: today()?,
            load_before: machine::load(),
            programs: std::iter::once(tidegate).chain(others.into_iter().flatten()).collect(),
            rounds: settings.rounds,
            seconds: settings.seconds,
        })
    }
}

fn today() -> Result<String> {
    let output = Command::new("date").args(["-u", "+%Y-%m-%d"]).output().context("date")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The version after a prefix in a program's output.
fn version(name: &str, flag: &str, prefix: &str) -> Option<String> {
    let output = Command::new(shell::find(name)?).arg(flag).output().ok()?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let (_, rest) = text.split_once(prefix)?;
    rest.split(|c: char| c.is_whitespace() || c == ')').next().map(str::to_owned)
}
