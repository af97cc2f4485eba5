//! A connection of a viewer that costs the viewer little: it reads responses of known length and discards
//! their bodies.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// A persistent HTTP/1.1 connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    /// The number of bytes of the body that are still missing.
    missing: usize,
}

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; 256 * 1024]);
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("a connection")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, missing: 0 })
    }

    /// Sends a request and reads nothing yet.
    pub(crate) async fn ask(&mut self, path: &str) -> Result<()> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: live.example\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await.context("a connection that stays")
    }

    /// Reads until a byte of the body has arrived; returns when.
    pub(crate) async fn first_byte(&mut self) -> Result<Instant> {
        let mut head = Vec::new();
        loop {
            self.read(|bytes| head.extend_from_slice(bytes)).await?;
            let end = head.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
            if let Some(end) = end.filter(|end| head.len() > *end) {
                let now = Instant::now();
                let (head, body) = head.split_at(end);
                let length = length(&String::from_utf8_lossy(head))?;
                self.missing = length.checked_sub(body.len()).context("more than the whole body")?;
                return Ok(now);
            }
        }
    }

    /// Reads the body to its end.
    pub(crate) async fn rest(&mut self) -> Result<()> {
        while self.missing > 0 {
            let read = self.read(|_| ()).await?;
            self.missing = self.missing.checked_sub(read).context("more than the whole body")?;
        }
        Ok(())
    }

    /// A complete request and response.
    pub(crate) async fn get(&mut self, path: &str) -> Result<()> {
        self.ask(path).await?;
        self.first_byte().await?;
        self.rest().await
    }

    /// Passes the next bytes to `take`, and returns their number.
    async fn read(&self, take: impl FnOnce(&[u8])) -> Result<usize> {
        let read = loop {
            self.stream.readable().await?;
            let read = SCRATCH.with_borrow_mut(|scratch| match self.stream.try_read(scratch) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                read => read.map(Some),
            })?;
            if let Some(read) = read {
                break read;
            }
        };
        ensure!(read > 0, "a connection that ended");
        SCRATCH.with_borrow(|scratch| take(scratch.get(..read).unwrap_or_default()));
        Ok(read)
    }
}

/// The length of the body, from a valid head.
fn length(head: &str) -> Result<usize> {
    ensure!(head.starts_with("HTTP/1.1 200 "), "a response that is not 200: {head}");
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let length = lines.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.and_then(|(_, value)| value.trim().parse().ok()).with_context(|| format!("no length: {head}"))
}
