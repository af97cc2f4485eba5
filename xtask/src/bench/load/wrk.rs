//! wrk: its command line and its output.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Counted, Load};
use crate::bench::servers::pinned;

pub(super) fn command(load: &Load, cores: &str, url: &str, seconds: u32) -> Command {
    let (connections, seconds) = (format!("-c{}", load.connections), format!("-d{seconds}s"));
    let mut command = pinned(cores, Path::new("wrk"));
    command.args(["-t1", &connections, &seconds]);
    match &load.script {
        Some((script, arguments)) => {
            command.arg("-s").arg(script).args([url, "--", &load.path]).args(arguments)
        }
        None => command.arg(url),
    };
    command
}

pub(super) fn parse(text: &str) -> Result<Counted> {
    for trouble in ["Non-2xx", "Socket errors"] {
        ensure!(!text.contains(trouble), "{trouble}");
    }
    let summary = text.lines().find_map(|line| line.trim().split_once(" requests in "));
    let (requests, rest) = summary.context("no count")?;
    let bytes = rest.split_once(", ").and_then(|(_, read)| bytes(read.strip_suffix(" read")?));
    let rate = text.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:")?.trim().parse().ok());
    Ok(Counted {
        requests: requests.parse()?,
        bytes: bytes.context("no bytes")?,
        rate: rate.context("no rate")?,
    })
}

/// "390.10MB" and the like; wrk's kilobytes have 1,024 bytes.
fn bytes(text: &str) -> Option<u64> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at_checked(unit)?;
    let factor = match unit {
        "B" => 1.0,
        "KB" => 1024.0,
        "MB" => 1024.0 * 1024.0,
        "GB" => 1024.0 * 1024.0 * 1024.0,
        "TB" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count, and not a negative one"
    )]
    number.parse::<f64>().ok().map(|number| (number * factor) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Running 5s test @ http://127.0.0.1:1/\n  1 threads and 64 connections\n  \
                        312345 requests in 5.00s, 390.50MB read\nRequests/sec:  62469.01\nTransfer/sec:     78.02MB\n";

    #[test]
    fn counts_are_read_from_the_summary() {
        let counted = Counted { requests: 312_345, bytes: 409_468_928, rate: 62_469.01 };
        assert_eq!(parse(GOOD).unwrap(), counted);
    }

    #[test]
    fn a_run_with_errors_is_an_error() {
        assert!(parse(&format!("{GOOD}  Non-2xx or 3xx responses: 7\n")).is_err());
        assert!(parse(&format!("{GOOD}  Socket errors: connect 0, read 3, write 0, timeout 0\n")).is_err());
        assert!(parse("").is_err());
    }

    #[test]
    fn a_script_gets_the_prefix_of_its_paths() {
        let script = Some(("/new.lua".into(), vec!["7".to_owned()]));
        let load = Load { script, ..Load::of("/new/", 3) };
        let words = command(&load, "1", "http://a/new/", 2);
        let words: Vec<_> = words.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        assert!(words.join(" ").ends_with("-c3 -d2s -s /new.lua http://a/new/ -- /new/ 7"), "{words:?}");
    }
}
