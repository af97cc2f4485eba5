//! A viewer's connection over HTTP/1.1. It is written by hand, so that requests always have the same bytes,
//! whatever the version of a library.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// The time for a response under valgrind.
const READ_TIMEOUT: Duration = Duration::from_mins(1);
const BUFFER_BYTES: usize = 1 << 20;

/// A keep-alive connection.
pub(super) struct Http1 {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Http1 {
    pub(super) fn connect(edge: SocketAddr) -> Result<Self> {
        Ok(Self { stream: connect(edge)?, buffer: vec![0; BUFFER_BYTES] })
    }

    /// Sends a request and reads the whole response. Returns the length of its body.
    pub(super) fn get(&mut self, path: &str) -> Result<usize> {
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: xtask\r\nAccept: */*\r\n\r\n");
        self.stream.write_all(head.as_bytes())?;
        let mut filled = 0;
        let (head_len, body) = loop {
            let room = self.buffer.get_mut(filled..).context("the head is too long")?;
            filled += more(&mut self.stream, room)?;
            if let Some(found) = lengths(self.buffer.get(..filled).unwrap_or_default())? {
                break found;
            }
        };
        let mut missing = (head_len + body).checked_sub(filled).context("more than one response")?;
        while missing > 0 {
            let read = more(&mut self.stream, &mut self.buffer)?;
            missing = missing.checked_sub(read).context("more than was announced")?;
        }
        Ok(body)
    }
}

/// A connection without Nagle's algorithm.
pub(super) fn connect(edge: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(edge)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    Ok(stream)
}

fn more(stream: &mut TcpStream, room: &mut [u8]) -> Result<usize> {
    let read = stream.read(room)?;
    ensure!(read > 0, "the connection ends within a response");
    Ok(read)
}

/// The lengths of head and body, once the head is there.
fn lengths(read: &[u8]) -> Result<Option<(usize, usize)>> {
    let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(read.get(..end).unwrap_or_default()).to_ascii_lowercase();
    ensure!(head.starts_with("http/1.1 200 "), "the response is {head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    Ok(Some((end + 4, length.context("no Content-Length")?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_has_the_length_of_its_head() {
        let whole = b"HTTP/1.1 200 OK\r\nAge: 0\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(lengths(whole).unwrap(), Some((whole.len() - 3, 3)));
        assert_eq!(lengths(b"HTTP/1.1 200 OK\r\nContent-Le").unwrap(), None);
    }

    #[test]
    fn another_status_is_an_error() {
        assert!(lengths(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").is_err());
        assert!(lengths(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
