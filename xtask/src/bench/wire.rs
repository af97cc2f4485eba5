//! Just enough HTTP to see that a server is up, and what Tidegate counts.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

const PATIENCE: Duration = Duration::from_secs(10);
const RHYTHM: Duration = Duration::from_millis(50);

/// Waits until somebody accepts connections at the address.
pub(crate) fn wait_for(address: SocketAddr) -> Result<()> {
    let tries = PATIENCE.as_millis() / RHYTHM.as_millis();
    for _ in 0..tries {
        if TcpStream::connect_timeout(&address, RHYTHM).is_ok() {
            return Ok(());
        }
        std::thread::park_timeout(RHYTHM);
    }
    bail!("nobody listens at {address}");
}

/// The value of one of Tidegate's metrics without labels, from its listener for operators.
pub(crate) fn metric(operators: SocketAddr, name: &str) -> Result<f64> {
    let mut stream = TcpStream::connect_timeout(&operators, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {operators}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    value(&answer, name).with_context(|| format!("no {name} at {operators}"))
}

fn value(metrics: &str, name: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let metrics = "tidegate_cache_objects_more 1\ntidegate_cache_objects 1e3\n";
        assert_eq!(value(metrics, "tidegate_cache_objects"), Some(1000.0));
        assert_eq!(value(metrics, "tidegate_cache"), None);
    }
}
