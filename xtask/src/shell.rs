//! Runs programs: their commands are printed first, and their exit status decides.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, ensure};

/// Runs a program with xtask's own streams. Returns whether it succeeded.
pub(crate) fn succeeds(command: &mut Command) -> Result<bool> {
    announce(command);
    Ok(command.status().with_context(|| describe(command))?.success())
}

/// Runs a step and prints how long it took, so that a slow run shows where its time went.
#[expect(clippy::disallowed_types, reason = "no test pauses the time of xtask")]
pub(crate) fn timed<T>(name: &str, step: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = std::time::Instant::now();
    let result = step();
    println!("step {name}: {} s", start.elapsed().as_secs());
    result
}

/// Runs a command whose output is one JSON value.
pub(crate) fn json<T: serde::de::DeserializeOwned>(command: &mut Command) -> Result<T> {
    let output = command.output().with_context(|| describe(command))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}\n{errors}", describe(command), output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("the output of {}", describe(command)))
}

/// Runs a program, prints every line of its standard output and passes it to `on_line`.
pub(crate) fn each_line(command: &mut Command, mut on_line: impl FnMut(&str)) -> Result<ExitStatus> {
    announce(command);
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| describe(command))?;
    if let Some(output) = child.stdout.take() {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\r', '\n']);
            println!("{text}");
            on_line(text);
            line.clear();
        }
    }
    Ok(child.wait()?)
}

/// The path of a program, from PATH and from the folders of system programs.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// The command as in a shell.
pub(crate) fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
    match command.get_current_dir() {
        Some(dir) => format!("(cd {} && {line})", dir.display()),
        None => line,
    }
}

/// A command in the given folder, without the variables by which cargo describes xtask. ring's build script
/// depends on them, so that ring and its dependents would be rebuilt whenever cargo runs once by xtask and
/// once by hand.
pub(crate) fn command_in(dir: &Path, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(dir);
    for (name, _) in std::env::vars_os() {
        let is_ours = name.to_str().is_some_and(|name| OURS.iter().any(|start| name.starts_with(start)));
        if is_ours {
            command.env_remove(name);
        }
    }
    command
}

/// The prefixes of the variables in which cargo describes the running package.
const OURS: [&str; 2] = ["CARGO_PKG_", "CARGO_MANIFEST_"];

fn announce(command: &Command) {
    eprintln!("$ {}", describe(command));
}
