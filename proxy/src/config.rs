//! The configuration that both tiers share, section by section.
//!
//! Every field has a default for a small machine; `conf/*.toml` shows them all. Unknown fields are errors.
//! Errors of form and broken rules between fields are reported with line and column, through
//! [`check::Problem`].

pub mod access;
pub mod acme;
pub mod audience;
pub mod certificates;
pub mod check;
pub mod control;
pub mod limits;
pub mod listeners;
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
use tidegate_access::Cidr;

use access::{Expose, LoggedAddresses, ProxyProtocol, RealIpHeader};
use units::{Period, Size};

pub use access::{Access, Geoip};
pub use audience::Audience;
pub use control::Control;
pub use limits::Limits;
pub use location::Location;
pub use name::{NodeName, NodeNameError};
pub use server::Server;
pub(crate) use upstream::SECRET;
pub use upstream::{SecretField, Upstream, Version};

/// Where the tier listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// The address for viewers (at a shield: for edges): HTTP/1.1 and HTTP/2 without TLS.
    pub viewers: SocketAddr,
    /// The address for operators: health, metrics, status. Other than a loopback address, it needs
    /// `operators_token`, or `operators_tls` with `client_ca`.
    pub operators: SocketAddr,
    /// A file with the token (`Authorization: Bearer`) that requests to the operators' listener must have.
    pub operators_token: Option<String>,
    /// TLS on the operators' listener.
    pub operators_tls: Option<tls::Operators>,
    /// Open connections, with and without TLS; further ones wait to be accepted.
    pub connections_max: usize,
    /// Redirect requests without TLS to HTTPS. It needs a TLS listener.
    pub https_redirect: bool,
    /// Whether connections to `viewers` begin with a PROXY header.
    pub proxy_protocol: ProxyProtocol,
    /// Networks of proxies in front of the tier: PROXY headers and `real_ip_header` count only from them.
    pub trusted_proxies: Vec<Cidr>,
    /// The header field by which they name the client.
    pub real_ip_header: RealIpHeader,
    /// Networks that may connect; without any, all.
    pub allow: Vec<Cidr>,
    /// Networks that may not connect, also within `allow`.
    pub deny: Vec<Cidr>,
    /// A file with the secret that requests must have in `Tidegate-Secret`.
    pub secret: Option<String>,
    /// A second port for viewers (at a shield: for edges), with TLS.
    pub tls: Option<tls::Listen>,
}

/// The cache: its memory, what it stores, and how long it remembers failures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// Memory for bodies, heads, keys and fills in progress. At least 1 MiB, by default 1 GiB.
    pub memory: Size,
    /// Additional memory for copies of large, popular bodies that the kernel sends (sendfile) over plain
    /// HTTP/1.1. At most a quarter of `memory` is used.
    pub sendfile: Size,
    /// The shortest body, or range of one, that is sent from a copy. At least 16 KiB.
    pub sendfile_min: Size,
    /// The largest object that is stored; larger ones are forwarded without storing. At most half of
    /// `memory`.
    pub object_max: Size,
    /// The largest playlist that is accepted. At most `object_max`.
    pub playlist_max: Size,
    /// A fill without readers continues if at most this much is missing, or if at least half has arrived.
    pub finish_within: Size,
    /// Fills without readers that continue in parallel; further ones end.
    pub finish_max: usize,
    /// Variants (by `Vary`) of one object that are stored. At least 1.
    pub variants_max: usize,
    /// How long a key is remembered whose response cannot be shared.
    pub hit_for_pass: Period,
    /// How long a failure (502, 504 ...) is remembered, so that many viewers cause one upstream request.
    pub failure_lifetime: Period,
    /// Prefetches of announced objects that run in parallel.
    pub prefetch_max: usize,
    /// Those of them that one playlist announces.
    pub prefetch_per_playlist_max: usize,
    /// Bytes expected of all of them.
    pub prefetch_bytes_max: Size,
    /// Live playlists that are followed at the same time.
    pub followers_max: usize,
}

/// Limits for one viewer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Viewers {
    /// The size of a request head. At least 1 KiB.
    pub head_max: Size,
    /// Time for a request head to arrive, from its first byte. More than zero.
    pub head_timeout: Period,
    /// Time that an idle connection stays open. More than zero.
    pub idle_timeout: Period,
    /// Time for the viewer to accept a write of 64 KiB. More than zero.
    pub write_timeout: Period,
    /// The minimum rate, in bytes per second, at which a viewer sends a request body and takes a response
    /// that is for it alone: an upstream's connection waits for it. Zero turns it off.
    pub rate_min: Size,
    /// The time over which the rate is measured. More than zero.
    pub rate_window: Period,
    /// Time that a viewer waits for the head of a response. More than zero.
    pub wait_timeout: Period,
    /// Ranges in one request; with more, the response is the whole object.
    pub ranges_max: usize,
    /// The size of a request body, on sites that allow methods with one.
    pub body_max: Size,
    /// Requests that a client may reset within ten seconds on one HTTP/2 connection; with more, the
    /// connection is closed. At least 1.
    pub resets_max: u32,
    /// What viewers see of the tier in the fields of responses and in error pages.
    pub expose: Expose,
}

/// The access log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `"stdout"`, `"off"`, or the path of a file to append to.
    pub access: String,
    /// Lines queued for writing; further ones are dropped and counted.
    pub queue_max: usize,
    /// Query parameters whose values are replaced by `REDACTED`.
    pub redact: Vec<String>,
    /// What lines say of the client's address.
    pub addresses: LoggedAddresses,
}

/// The shutdown of the tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// Time for responses in progress to finish after SIGTERM.
    pub timeout: Period,
}

impl Listen {
    /// These addresses, and defaults for all other fields.
    pub fn on(viewers: SocketAddr, operators: SocketAddr) -> Self {
        Self {
            viewers,
            operators,
            operators_token: None,
            operators_tls: None,
            connections_max: 20_000,
            proxy_protocol: ProxyProtocol::Off,
            trusted_proxies: Vec::new(),
            real_ip_header: RealIpHeader::XForwardedFor,
            allow: Vec::new(),
            deny: Vec::new(),
            https_redirect: false,
            secret: None,
            tls: None,
        }
    }

    /// The file with the authorities for operators' certificates, if they need one.
    pub(crate) fn operators_ca(&self) -> Option<&str> {
        self.operators_tls.as_ref()?.client_ca.as_deref()
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self::on(SocketAddr::from(([0, 0, 0, 0], 8080)), SocketAddr::from(([127, 0, 0, 1], 9080)))
    }
}

impl Cache {
    /// The memory for sendfile copies: the configured size, but at most a quarter of the memory for bodies.
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
            finish_max: 64,
            variants_max: 64,
            hit_for_pass: Period::secs(120),
            failure_lifetime: Period::secs(1),
            prefetch_max: 32,
            prefetch_per_playlist_max: 16,
            prefetch_bytes_max: Size::mib(64),
            followers_max: 16_384,
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
            rate_min: Size::kib(2),
            rate_window: Period::secs(20),
            wait_timeout: Period::secs(30),
            ranges_max: 16,
            body_max: Size::mib(64),
            resets_max: 200,
            expose: Expose::All,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            access: "stdout".to_owned(),
            queue_max: 8192,
            redact: crate::observe::access_log::Config::default().redact,
            addresses: LoggedAddresses::Full,
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
    if cache.variants_max == 0 {
        return breach(&["cache", "variants_max"], "must be at least 1");
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
    if viewers.resets_max == 0 {
        return breach(&["viewers", "resets_max"], "must be at least 1");
    }
    for (name, period) in [
        ("head_timeout", viewers.head_timeout),
        ("idle_timeout", viewers.idle_timeout),
        ("write_timeout", viewers.write_timeout),
        ("rate_window", viewers.rate_window),
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
