//! An edge under callgrind.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::case::{Case, SECRET};
use crate::bench::wire;
use crate::node::Node;
use crate::shell;

/// A running edge, which ends when this value is dropped.
pub(super) struct Edge {
    node: Node,
    /// The path of the profiles, without their numbers.
    profile: PathBuf,
    /// The prefix of the paths of the pipes between vgdb and valgrind.
    pipes: PathBuf,
    dumps: u32,
}

impl Edge {
    /// Makes the folder, and the folder of the pipes in it.
    pub(super) fn prepare(folder: &Path) -> Result<()> {
        Self::tidy(folder)?;
        let pipes = folder.join(PIPES);
        std::fs::create_dir_all(&pipes).with_context(|| pipes.display().to_string())
    }

    /// Removes the pipes that killed edges have left.
    pub(super) fn tidy(folder: &Path) -> Result<()> {
        let pipes = folder.join(PIPES);
        if pipes.exists() {
            std::fs::remove_dir_all(&pipes).with_context(|| pipes.display().to_string())?;
        }
        Ok(())
    }

    /// Starts an edge without a shield.
    pub(super) fn start(program: &Path, folder: &Path, case: Case, origin: &Node) -> Result<Self> {
        let (profile, pipes) = (folder.join(case.to_string()), folder.join(PIPES).join("vgdb"));
        let command = under_callgrind(program, &profile, &pipes)?;
        let token = if case.has_tokens() {
            let key = folder.join("a.key");
            std::fs::write(&key, SECRET).with_context(|| key.display().to_string())?;
            format!("[site.token]\nkeys = [\"{}\"]\n", key.display())
        } else {
            String::new()
        };
        let node = Node::start(&command, folder, "edge", "edge", |serving, operators| {
            configuration(serving, operators, origin) + &token
        })?;
        Ok(Self { node, profile, pipes, dumps: 0 })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.node.serving()
    }

    /// The number of fills so far. Reading it is work for the edge, so it must not happen during a round.
    pub(super) fn fills(&self) -> Result<f64> {
        wire::metric(self.node.operators_address(), "tidegate_fills_total")
    }

    /// The instructions since the last dump, or since the start.
    pub(super) fn dump(&mut self) -> Result<f64> {
        let mut command = Command::new("vgdb");
        command.arg(option("--vgdb-prefix=", &self.pipes)).arg(format!("--pid={}", self.node.pid()));
        command.args(["--cmd-time-out=60", "dump"]);
        let output = command.output().with_context(|| shell::describe(&command))?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {}\n{errors}", shell::describe(&command), output.status);
        self.dumps += 1;
        let file = self.numbered(self.dumps);
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        instructions(&text).with_context(|| format!("{} has no summary", file.display()))
    }

    /// Keeps only the profile of the last dump, as `CASE.callgrind`.
    pub(super) fn keep_last_profile(&self) -> Result<()> {
        for number in 1..self.dumps {
            std::fs::remove_file(self.numbered(number))?;
        }
        std::fs::rename(self.numbered(self.dumps), self.profile.with_extension("callgrind"))?;
        // Callgrind makes this file for the profile at the end of the process.
        Ok(std::fs::remove_file(&self.profile)?)
    }

    fn numbered(&self, number: u32) -> PathBuf {
        self.profile.with_extension(number.to_string())
    }
}

/// The folder of the pipes.
const PIPES: &str = "pipes";

/// The command of an edge under callgrind, with one processor and one worker thread, since the tables of some
/// libraries depend on the number of processors. `env`, `taskset` and `valgrind` replace themselves with the
/// program that they start.
fn under_callgrind(program: &Path, profile: &Path, pipes: &Path) -> Result<Vec<OsString>> {
    let status = std::fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
    let processor = first_allowed(&status).context("no processor is allowed")?;
    // With the address of a debuginfod server, valgrind would send requests to it.
    let setup = ["env", "--unset=DEBUGINFOD_URLS", "TOKIO_WORKER_THREADS=1", "taskset", "-c", processor];
    let callgrind = ["valgrind", "--quiet", "--tool=callgrind", "--dump-line=no"];
    let mut words: Vec<OsString> = setup.into_iter().chain(callgrind).map(OsString::from).collect();
    words.extend([option("--callgrind-out-file=", profile), option("--vgdb-prefix=", pipes), program.into()]);
    Ok(words)
}

/// A configuration without work besides requests, and without timeouts that could end a slow run.
fn configuration(serving: SocketAddr, operators: SocketAddr, origin: &Node) -> String {
    format!(
        "node = \"edge-1\"\nshields = []\n[listen]\nviewers = \"{serving}\"\noperators = \"{operators}\"\n\
         [cache]\nmemory = \"1GiB\"\n\
         [viewers]\nidle_timeout = \"1h\"\nwrite_timeout = \"1h\"\n\
         [upstream]\nrate_min = \"0B\"\nhedge_delay = \"0s\"\n[upstream.probe]\nkind = \"off\"\n\
         [log]\naccess = \"off\"\n[limits]\nfills_per_second = 1000000\nfills_burst = 1000000\n[[site]]\norigins = [\"{}\"]\nprefetch = false\n",
        origin.url()
    )
}

fn option(name: &str, value: &Path) -> OsString {
    let mut option = OsString::from(name);
    option.push(value);
    option
}

/// The count in a profile, which has one event: instructions (`Ir`).
fn instructions(profile: &str) -> Option<f64> {
    profile.lines().find_map(|line| line.strip_prefix("summary: ")?.trim().parse().ok())
}

/// The first processor that this process may use.
fn first_allowed(status: &str) -> Option<&str> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    list.trim().split([',', '-']).next().filter(|number| !number.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_the_instructions_in_its_summary() {
        let profile =
            "version: 1\npart: 3\n\npositions: line\nevents: Ir\nsummary: 2471618\n\nfn=(0) main\n214 30\n";
        assert_eq!(instructions(profile), Some(2_471_618.0));
        assert_eq!(instructions("events: Ir\n"), None);
    }

    #[test]
    fn the_first_processor_is_taken_from_a_range_or_a_list() {
        assert_eq!(first_allowed("Name:\tx\nCpus_allowed_list:\t2-3\n"), Some("2"));
        assert_eq!(first_allowed("Cpus_allowed_list:\t5,7\n"), Some("5"));
        assert_eq!(first_allowed("Cpus_allowed_list:\t\n"), None);
    }
}
