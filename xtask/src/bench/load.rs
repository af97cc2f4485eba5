//! The load: wrk for HTTP/1.1 and h2load for HTTP/2, on a core of their own.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::shell;

mod h2load;
mod wrk;

/// The requests of a load.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) protocol: Protocol,
    /// The path, or the prefix of all paths of a script.
    pub(crate) path: String,
    /// A script of wrk that makes paths, and its other arguments.
    pub(crate) script: Option<(PathBuf, Vec<String>)>,
    /// Keep-alive connections.
    pub(crate) connections: u32,
}

/// The protocol of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http,
    /// HTTP/1.1 over TLS.
    Https,
    /// HTTP/2 over TLS.
    Http2,
}

/// The counts of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Counted {
    /// Requests with a response.
    pub(crate) requests: u64,
    /// Bytes read.
    pub(crate) bytes: u64,
    /// Requests per second of wall-clock time.
    pub(crate) rate: f64,
}

/// The cipher of both clients, by option or by default.
pub(crate) const CIPHER: &str = "TLS_AES_256_GCM_SHA384";

impl Load {
    /// Requests for one path over HTTP/1.1.
    pub(crate) fn of(path: &str, connections: u32) -> Self {
        Self { protocol: Protocol::Http, path: path.to_owned(), script: None, connections }
    }

    /// The URL at a server with these addresses, without and with TLS.
    pub(crate) fn url(&self, http: SocketAddr, tls: SocketAddr) -> String {
        match self.protocol {
            Protocol::Http => format!("http://{http}{}", self.path),
            Protocol::Https | Protocol::Http2 => format!("https://{tls}{}", self.path),
        }
    }

    /// Runs the load on the given cores.
    ///
    /// # Errors
    /// When a request fails, since the figures are then wrong.
    pub(crate) fn run(&self, url: &str, cores: &str, seconds: u32) -> Result<Counted> {
        let mut command = match self.protocol {
            Protocol::Http2 => h2load::command(self, cores, url, seconds),
            Protocol::Http | Protocol::Https => wrk::command(self, cores, url, seconds),
        };
        let output = command.output().with_context(|| shell::describe(&command))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let complaints = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {text}{complaints}", shell::describe(&command));
        let counted = match self.protocol {
            Protocol::Http2 => h2load::parse(&text),
            Protocol::Http | Protocol::Https => wrk::parse(&text),
        };
        counted.with_context(|| format!("{} printed:\n{text}", shell::describe(&command)))
    }
}
