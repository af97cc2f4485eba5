//! The load: wrk for HTTP/1.1 and h2load for HTTP/2, on a core of their own.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::shell;

mod h2load;
mod wrk;

/// What is asked for, and how.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) protocol: Protocol,
    /// The path, or for a script the beginning of all paths.
    pub(crate) path: String,
    /// A script of wrk that makes paths, and its further arguments.
    pub(crate) script: Option<(PathBuf, Vec<String>)>,
    /// Keep-alive connections.
    pub(crate) connections: u32,
}

/// How it is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http,
    /// HTTP/1.1 by TLS.
    Https,
    /// HTTP/2 by TLS.
    Http2,
}

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Counted {
    /// Answered requests.
    pub(crate) requests: u64,
    /// Bytes that were read.
    pub(crate) bytes: u64,
    /// Requests per second of wall-clock time.
    pub(crate) rate: f64,
}

/// The one that both clients are told or choose by themselves.
pub(crate) const CIPHER: &str = "TLS_AES_256_GCM_SHA384";

impl Load {
    /// Of one path, over HTTP/1.1.
    pub(crate) fn of(path: &str, connections: u32) -> Self {
        Self { protocol: Protocol::Http, path: path.to_owned(), script: None, connections }
    }

    /// Where it is asked for, given where a server listens without and with TLS.
    pub(crate) fn url(&self, http: SocketAddr, tls: SocketAddr) -> String {
        match self.protocol {
            Protocol::Http => format!("http://{http}{}", self.path),
            Protocol::Https | Protocol::Http2 => format!("https://{tls}{}", self.path),
        }
    }

    /// Runs it from the given cores. A run with a failed request measures the wrong thing, so it is none.
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
        counted.with_context(|| format!("{} said:\n{text}", shell::describe(&command)))
    }
}
