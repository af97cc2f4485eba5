//! The configuration that both tiers share, section by section.
//!
//! Every field has a default that is sane for a small machine; `conf/*.toml` shows them all. Unknown fields are
//! errors. What TOML and serde can check is reported with line and column; so are the rules between fields, through
//! [`check::Problem`].

pub mod certificates;
pub mod check;
pub mod location;
mod name;
mod renamed;
pub mod server;
pub mod shown;
pub mod tls;
pub mod units;
pub mod upstream;
mod words;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use units::{Period, Size};

pub use location::Location;
pub use name::{NodeName, NodeNameError};
pub use server::Server;
pub use upstream::{Upstream, Version};

/// Where the tier listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Viewers, or for a shield the edges: plain HTTP/1.1 and HTTP/2.
    pub viewers: SocketAddr,
    /// Operators: health, metrics, status. Keep it on a loopback or private address.
    pub operators: SocketAddr,
    /// Connections at once, with and without TLS; further ones wait to be accepted.
    pub connections_max: usize,
    /// Viewers, or edges, by TLS, beside those without it.
    pub tls: Option<tls::Listen>,
}

/// What is held, and for how long after it went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// Memory for bodies, heads, keys and fills under way.
    pub memory: Size,
    /// Memory beside that for copies of large bodies that are asked for often over plain HTTP/1.1, so that the system can
    /// send them by itself; a quarter of `memory` at most.
    pub sendfile: Size,
    /// The shortest body, or part of one, that is sent from a copy: which way costs less depends on length and processor.
    pub sendfile_min: Size,
    /// The largest object that is stored; larger ones are passed through.
    pub object_max: Size,
    /// The largest playlist that is accepted.
    pub playlist_max: Size,
    /// A fill that nobody waits for any more goes on when at most this much is missing.
    pub finish_within: Size,
    /// For how long a key whose answer cannot be shared is remembered as such.
    pub hit_for_miss: Period,
    /// For how long a failure (502, 504 ...) is remembered, so that a thousand askers make one request.
    pub failure_lifetime: Period,
    /// Objects that live playlists announce and that are fetched ahead at once.
    pub prefetch_max: usize,
    /// Bytes that are expected of them, all together.
    pub prefetch_bytes_max: Size,
}

/// What one viewer may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Viewers {
    /// Bytes of a request's head.
    pub head_max: Size,
    /// Time for a request's head to arrive, from its first byte.
    pub head_timeout: Period,
    /// Time that an idle connection is kept open.
    pub idle_timeout: Period,
    /// Time for the viewer to take a piece of 64 KiB.
    pub write_timeout: Period,
    /// Time that a viewer waits for the head of an answer.
    pub wait_timeout: Period,
    /// Ranges in one request; with more, the whole object is sent.
    pub ranges_max: usize,
    /// Bytes of a request's body, where a site allows methods that have one.
    pub body_max: Size,
}

/// The access log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `"stdout"`, `"off"`, or the path of a file that is appended to.
    pub access: String,
    /// Lines that may wait to be written; further ones are dropped and counted.
    pub queue_max: usize,
    /// Query parameters whose values are replaced by `***`.
    pub redact: Vec<String>,
}

/// How the tier ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// Time for open bodies to finish after SIGTERM.
    pub timeout: Period,
}

impl Listen {
    /// The addresses of an edge or a shield by default.
    pub fn on(viewers: SocketAddr, operators: SocketAddr) -> Self {
        Self { viewers, operators, connections_max: 20_000, tls: None }
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self::on(SocketAddr::from(([0, 0, 0, 0], 8080)), SocketAddr::from(([127, 0, 0, 1], 9080)))
    }
}

impl Cache {
    /// What copies for the system to send may take: what is said, and no more than a quarter of the memory for bodies.
    pub(crate) fn sendfile_max(&self) -> u64 {
        self.sendfile.bytes().min(self.memory.bytes() / 4)
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            memory: Size::mib(1024),
            sendfile: Size::mib(256),
            sendfile_min: Size::kib(64),
            object_max: Size::mib(64),
            playlist_max: Size::mib(8),
            finish_within: Size::mib(4),
            hit_for_miss: Period::secs(120),
            failure_lifetime: Period::secs(1),
            prefetch_max: 32,
            prefetch_bytes_max: Size::mib(64),
        }
    }
}

impl Default for Viewers {
    fn default() -> Self {
        Self {
            head_max: Size::kib(32),
            head_timeout: Period::secs(10),
            idle_timeout: Period::secs(60),
            write_timeout: Period::secs(60),
            wait_timeout: Period::secs(30),
            ranges_max: 16,
            body_max: Size::mib(64),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            access: "stdout".to_owned(),
            queue_max: 8192,
            redact: crate::observe::access_log::Config::default().redact,
        }
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self { timeout: Period::secs(30) }
    }
}

/// The rules between the fields of the shared sections.
///
/// # Errors
/// The first rule that is broken.
pub fn check(cache: &Cache, viewers: &Viewers, upstream: &Upstream) -> Result<(), check::Breach> {
    let breach = |field: &[&'static str], message: &str| Err(check::Breach::new(field, message));
    if cache.memory < Size::mib(1) {
        return breach(&["cache", "memory"], "must be at least 1MiB");
    }
    if cache.object_max.bytes() > cache.memory.bytes() / 2 {
        return breach(&["cache", "object_max"], "must be at most half of cache.memory");
    }
    if cache.playlist_max > cache.object_max {
        return breach(&["cache", "playlist_max"], "must be at most cache.object_max");
    }
    if cache.sendfile_min < Size::kib(16) {
        return breach(
            &["cache", "sendfile_min"],
            "must be at least 16KiB: shorter bodies are sent as fast from memory",
        );
    }
    if viewers.head_max < Size::kib(1) {
        return breach(&["viewers", "head_max"], "must be at least 1KiB");
    }
    for (name, period) in [
        ("head_timeout", viewers.head_timeout),
        ("idle_timeout", viewers.idle_timeout),
        ("write_timeout", viewers.write_timeout),
        ("wait_timeout", viewers.wait_timeout),
    ] {
        if period.get().is_zero() {
            return breach(&["viewers", name], "must not be zero");
        }
    }
    upstream.check()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_names_are_plain_words() {
        for good in ["edge-1", "e", "Edge_1.fra", "shield.eu-central-1.example.org"] {
            assert_eq!(NodeName::try_from(good.to_owned()).unwrap().as_str(), good);
        }
        for bad in ["", "1edge", "-edge", "an edge", "edge,1", "edge;1", "\u{e9}dge", &"e".repeat(64)] {
            assert!(NodeName::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
