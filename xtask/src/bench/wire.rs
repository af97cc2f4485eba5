//! Just enough HTTP to see that a server is up and answers rightly.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

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

/// The body of a 200 answer.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end =
        answer.windows(4).position(|four| four == b"\r\n\r\n").context("the answer has no end of head")?;
    let (head, body) = answer.split_at(end);
    let head = String::from_utf8_lossy(head);
    ensure!(head.starts_with("HTTP/1.1 200 "), "{path} is answered with: {head}");
    ensure!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{path} comes in chunks: {head}");
    Ok(body.get(4..).unwrap_or_default().to_vec())
}
