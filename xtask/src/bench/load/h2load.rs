//! h2load: its command line and its output.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{CIPHER, Counted, Load};
use crate::bench::servers::pinned;

/// Requests in flight on each connection.
const STREAMS: &str = "-m4";
/// Windows of 1 MiB for an HTTP/2 stream and 4 MiB for a connection, so that the client is not the
/// bottleneck.
const WINDOWS: [&str; 2] = ["-w20", "-W22"];

pub(super) fn command(load: &Load, cores: &str, url: &str, seconds: u32) -> Command {
    let (connections, seconds) = (format!("-c{}", load.connections), format!("-D{seconds}"));
    let mut command = pinned(cores, Path::new("h2load"));
    command
        .args(["-t1", &connections, STREAMS, &seconds])
        .args(WINDOWS)
        .arg(format!("--tls13-ciphers={CIPHER}"))
        .arg(url);
    command
}

pub(super) fn parse(text: &str) -> Result<Counted> {
    ensure!(text.contains(CIPHER) && text.contains("Application protocol: h2"), "another cipher or protocol");
    let line = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
    let requests = line("requests: ").context("no count")?;
    let number = |of: &str| {
        let found = requests.split(", ").find_map(|part| part.strip_suffix(of)?.trim().parse::<u64>().ok());
        found.with_context(|| format!("no number of {of}"))
    };
    let (done, succeeded) = (number(" done")?, number(" succeeded")?);
    ensure!(done == succeeded && number(" timeout")? == 0, "failed requests");
    let bytes = line("traffic: ").and_then(|rest| {
        let (_, rest) = rest.split_once('(')?;
        rest.split_once(')')?.0.parse().ok()
    });
    let rate = line("finished in ").and_then(|rest| {
        let (_, rest) = rest.split_once(", ")?;
        rest.split_once(" req/s")?.0.parse().ok()
    });
    Ok(Counted { requests: done, bytes: bytes.context("no bytes")?, rate: rate.context("no rate")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Cipher: TLS_AES_256_GCM_SHA384\nApplication protocol: h2\n\n\
        finished in 1.00s, 4000.00 req/s, 277.60KB/s\n\
        requests: 4005 total, 4012 started, 4000 done, 4000 succeeded, 0 failed, 0 errored, 0 timeout\n\
        traffic: 277.60KB (284264) total, 187.50KB (192000) headers (space savings 51.02%), 19.53KB (20000) data\n";

    #[test]
    fn counts_are_read_from_the_summary() {
        assert_eq!(parse(GOOD).unwrap(), Counted { requests: 4000, bytes: 284_264, rate: 4000.0 });
    }

    #[test]
    fn a_run_with_errors_or_another_cipher_is_an_error() {
        assert!(parse(&GOOD.replace("4000 succeeded", "3999 succeeded")).is_err());
        assert!(parse(&GOOD.replace("AES_256", "AES_128")).is_err());
        assert!(parse(&GOOD.replace("protocol: h2", "protocol: http/1.1")).is_err());
    }
}
