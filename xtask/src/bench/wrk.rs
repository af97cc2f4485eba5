//! The load: wrk, on a core of its own.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::shell;

/// The core that the load has to itself.
pub(crate) const CORE: &str = "1";

/// What wrk counted.
#[derive(Debug, PartialEq)]
pub(crate) struct Load {
    /// Answered requests.
    pub(crate) requests: u64,
    /// Requests per second of wall-clock time.
    pub(crate) rate: f64,
}

/// Asks for one address over keep-alive connections.
pub(crate) fn run(url: &str, connections: u32, seconds: u32) -> Result<Load> {
    let mut command = Command::new("taskset");
    command.args(["-c", CORE, "wrk", "-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), url]);
    let output = command.output().with_context(|| shell::describe(&command))?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "{}: {text}{}",
        shell::describe(&command),
        String::from_utf8_lossy(&output.stderr)
    );
    parse(&text).with_context(|| format!("wrk said:\n{text}"))
}

/// A run with a failed request measures the wrong thing, so it is none.
fn parse(text: &str) -> Result<Load> {
    for trouble in ["Non-2xx", "Socket errors"] {
        ensure!(!text.contains(trouble), "{trouble}");
    }
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok());
    let rate = text.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:")?.trim().parse().ok());
    Ok(Load { requests: requests.context("no count")?, rate: rate.context("no rate")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Running 5s test @ http://127.0.0.1:1/\n  1 threads and 64 connections\n  \
                        312345 requests in 5.00s, 390.10MB read\nRequests/sec:  62469.01\nTransfer/sec:     78.02MB\n";

    #[test]
    fn counts_are_read_from_the_summary() {
        assert_eq!(parse(GOOD).unwrap(), Load { requests: 312_345, rate: 62_469.01 });
    }

    #[test]
    fn a_run_with_errors_is_no_measurement() {
        assert!(parse(&format!("{GOOD}  Non-2xx or 3xx responses: 7\n")).is_err());
        assert!(parse(&format!("{GOOD}  Socket errors: connect 0, read 3, write 0, timeout 0\n")).is_err());
        assert!(parse("").is_err());
    }
}
