//! One part of Tidegate that runs as a process.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::{output, shell};

/// A loopback address from which no client connects, so that a released port stays free until the restart.
const APART: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A running part of Tidegate, which ends when this value is dropped.
pub(crate) struct Node {
    command: Vec<OsString>,
    part: &'static str,
    file: PathBuf,
    process: Child,
    /// The address for players or tiers.
    serving: SocketAddr,
    operators: SocketAddr,
}

impl Node {
    /// Starts a part on free ports. `command` ends with the program; words before it may be a wrapper such as
    /// `valgrind`. `write` makes the configuration from the addresses for viewers and for operators.
    pub(crate) fn start(
        command: &[OsString],
        folder: &Path,
        part: &'static str,
        name: &str,
        write: impl Fn(SocketAddr, SocketAddr) -> String,
    ) -> Result<Self> {
        let file = folder.join(format!("{name}.toml"));
        let free = SocketAddr::from((APART, 0));
        save(&file, &write(free, free))?;
        let (process, serving, operators) = start(command, part, &file).with_context(|| name.to_owned())?;
        // A restart uses the same addresses.
        save(&file, &write(serving, operators))?;
        Ok(Self { command: command.to_vec(), part, file, process, serving, operators })
    }

    /// The process id, which is the program's if the wrappers replace themselves with it.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The address for players or tiers.
    pub(crate) fn serving(&self) -> SocketAddr {
        self.serving
    }

    /// The address for operators.
    pub(crate) fn operators_address(&self) -> SocketAddr {
        self.operators
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.serving)
    }

    pub(crate) fn operators(&self) -> String {
        format!("http://{}", self.operators)
    }

    /// Kills the process, without a drain.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Starts the part again on the same addresses.
    pub(crate) fn restart(&mut self) -> Result<()> {
        (self.process, self.serving, self.operators) = start(&self.command, self.part, &self.file)?;
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("{} cannot be ended: {error:#}", self.file.display());
        }
    }
}

fn start(words: &[OsString], part: &str, file: &Path) -> Result<(Child, SocketAddr, SocketAddr)> {
    let (program, arguments) = words.split_first().context("no program")?;
    let mut command = Command::new(program);
    command.args(arguments).arg(part).arg("--config").arg(file).stdin(Stdio::null()).stdout(Stdio::null());
    let mut process = command.stderr(Stdio::piped()).spawn().with_context(|| shell::describe(&command))?;
    let messages = process.stderr.take().context("it has no standard error")?;
    match output::first(messages, listening) {
        Ok((serving, operators)) => Ok((process, serving, operators)),
        Err(error) => {
            process.kill().and_then(|()| process.wait())?;
            Err(error.context(shell::describe(&command)))
        }
    }
}

/// The addresses for viewers and operators, from the log line with them.
fn listening(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let field = |name: &str| line.split(' ').find_map(|word| word.strip_prefix(name)?.parse().ok());
    line.contains(" listening ").then_some(())?;
    Some((field("serving=")?, field("operators=")?))
}

fn save(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_logs_its_addresses() {
        let line = "2026-01-01T00:00:00Z  INFO tidegate::run: edge listening serving=127.0.0.2:1 operators=127.0.0.2:2";
        let found = listening(line).map(|(serving, operators)| (serving.port(), operators.port()));
        assert_eq!(found, Some((1, 2)));
        assert_eq!(listening("2026-01-01T00:00:00Z  INFO tidegate::run: edge drains"), None);
    }
}
