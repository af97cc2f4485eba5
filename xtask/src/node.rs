//! One part of Tidegate that runs as a process.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::{output, shell};

/// An address of loopback from which nobody connects: a port that is given up there stays free until it is taken again.
const APART: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A running `tidegate` part; it ends with this value.
pub(crate) struct Node {
    command: Vec<OsString>,
    part: &'static str,
    file: PathBuf,
    process: Child,
    /// Where players or tiers connect.
    serving: SocketAddr,
    operators: SocketAddr,
}

impl Node {
    /// Starts one on free ports. `command` ends with the program; a word before it may be one that runs it, such as `valgrind`.
    /// `write` makes the configuration of the addresses for viewers and for operators.
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
        // Whoever starts it again does so where it was.
        save(&file, &write(serving, operators))?;
        Ok(Self { command: command.to_vec(), part, file, process, serving, operators })
    }

    /// Its process, which is the program's where those before it replace themselves by it.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Where players or tiers connect.
    pub(crate) fn serving(&self) -> SocketAddr {
        self.serving
    }

    /// Where operators connect.
    pub(crate) fn operators_address(&self) -> SocketAddr {
        self.operators
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.serving)
    }

    pub(crate) fn operators(&self) -> String {
        format!("http://{}", self.operators)
    }

    /// Ends at once, as the power does.
    pub(crate) fn dies(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Starts again, where it was.
    pub(crate) fn returns(&mut self) -> Result<()> {
        (self.process, self.serving, self.operators) = start(&self.command, self.part, &self.file)?;
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Err(error) = self.dies() {
            eprintln!("{} cannot be ended: {error:#}", self.file.display());
        }
    }
}

fn start(words: &[OsString], part: &str, file: &Path) -> Result<(Child, SocketAddr, SocketAddr)> {
    let (program, arguments) = words.split_first().context("no program")?;
    let mut command = Command::new(program);
    command.args(arguments).arg(part).arg("--config").arg(file).stdin(Stdio::null()).stdout(Stdio::null());
    let mut process = command.stderr(Stdio::piped()).spawn().with_context(|| shell::describe(&command))?;
    let said = process.stderr.take().context("it has no standard error")?;
    match output::first(said, listening) {
        Ok((serving, operators)) => Ok((process, serving, operators)),
        Err(error) => {
            process.kill().and_then(|()| process.wait())?;
            Err(error.context(shell::describe(&command)))
        }
    }
}

/// Where viewers and operators connect, in the line that tells it.
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
    fn a_node_tells_where_it_listens() {
        let line = "2026-01-01T00:00:00Z  INFO tidegate::run: edge listening serving=127.0.0.2:1 operators=127.0.0.2:2";
        let found = listening(line).map(|(serving, operators)| (serving.port(), operators.port()));
        assert_eq!(found, Some((1, 2)));
        assert_eq!(listening("2026-01-01T00:00:00Z  INFO tidegate::run: edge drains"), None);
    }
}
