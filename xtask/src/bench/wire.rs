//! The HTTP that is needed to wait for a server and to read Tidegate's metrics.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

const PATIENCE: Duration = Duration::from_secs(10);
const RHYTHM: Duration = Duration::from_millis(50);

/// Waits until a server accepts connections at the address.
pub(crate) fn wait_for(address: SocketAddr) -> Result<()> {
    let tries = PATIENCE.as_millis() / RHYTHM.as_millis();
    for _ in 0..tries {
        if TcpStream::connect_timeout(&address, RHYTHM).is_ok() {
            return Ok(());
        }
        std::thread::park_timeout(RHYTHM);
    }
    bail!("no server listens at {address}");
}

/// The sum of one of Tidegate's metrics over its labels, from its listener for operators.
pub(crate) fn metric(operators: SocketAddr, name: &str) -> Result<f64> {
    let mut stream = TcpStream::connect_timeout(&operators, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {operators}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    sum(&answer, name).with_context(|| format!("no {name} at {operators}"))
}

fn sum(metrics: &str, name: &str) -> Option<f64> {
    let samples = metrics.lines().filter_map(|line| {
        let (labelled, value) = line.rsplit_once(' ')?;
        let labels = labelled.strip_prefix(name)?;
        (labels.is_empty() || labels.starts_with('{')).then(|| value.parse::<f64>().ok()).flatten()
    });
    samples.reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_the_sum_over_its_labels_by_its_full_name() {
        let metrics = "# TYPE tidegate_objects gauge\ntidegate_objects_more 1\ntidegate_objects{a=\"1\"} 1e3\n\
                       tidegate_objects{a=\"2\"} 5\n";
        assert_eq!(sum(metrics, "tidegate_objects"), Some(1005.0));
        assert_eq!(sum(metrics, "tidegate_none"), None);
    }
}
