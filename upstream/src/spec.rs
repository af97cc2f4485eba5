//! The configuration of an upstream.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};

use crate::connect::address::Address;
use crate::connect::connections::Connections;
use crate::connect::dns::{Dns, Member};
use crate::fetch::limiter::Limits;
use crate::fetch::min_rate::MinRate;
use crate::health::Rules;

/// The timeouts of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// From the request to the head of the response.
    pub first_byte: Duration,
    /// Between two reads of the body.
    pub between_bytes: Duration,
    /// The minimum rate of a body, if there is one.
    pub min_rate: Option<MinRate>,
}

/// The protocol, limits and rules of an upstream.
#[derive(Debug, Clone)]
pub struct Options {
    /// The resolvers for its name.
    pub dns: Dns,
    /// The connections, and the TLS trust on which they rely.
    pub connections: Arc<Connections>,
    /// The timeouts.
    pub timeouts: Timeouts,
    /// HTTP/2 (with prior knowledge if there is no TLS) in place of HTTP/1.1.
    pub http2: bool,
    /// HTTP/2 streams on one connection.
    pub streams_max: usize,
    /// Limits of simultaneous requests.
    pub limits: Limits,
    /// When another upstream receives the request as well: once a response exceeds the upstream's p95 and
    /// this time. `None` for never.
    pub hedge_delay: Option<Duration>,
    /// The rules of its health.
    pub rules: Rules,
    /// How it is probed, if at all.
    pub probe: Option<Probe>,
}

/// One server in a configuration.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Its address.
    pub address: Address,
    /// The Host header field to send; the request's own if there is none.
    pub host: Option<String>,
    /// Header fields to add to every request.
    pub headers: HeaderMap,
    /// Its share of the load, relative to the others of its group or region.
    pub weight: u32,
    /// It receives requests when no member of a lower group is available.
    pub group: u32,
    /// Its region.
    pub region: Option<Arc<str>>,
    /// Whether it is one of our tiers, which understands the marks for tiers.
    pub is_tier: bool,
    /// The protocol, limits and rules.
    pub options: Options,
}

impl Spec {
    /// The specification of one of the servers behind its name. Weights and priorities of DNS count inside
    /// the group.
    pub(crate) fn found(&self, member: &Member) -> Self {
        let address = self.address.member(member);
        // An upstream whose own name is the Host receives the name under which DNS found it.
        let own = |host: &String| {
            if *host == self.address.authority() { address.authority() } else { host.clone() }
        };
        Self {
            host: self.host.as_ref().map(own),
            address,
            weight: self.weight.saturating_mul(u32::from(member.weight.max(1))),
            group: self
                .group
                .saturating_mul(u32::from(u16::MAX) + 1)
                .saturating_add(u32::from(member.priority)),
            ..self.clone()
        }
    }
}

/// How a server is probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The request.
    pub question: Question,
    /// The time between two probes; each wait is up to a fifth shorter or longer.
    pub interval: Duration,
    /// The timeout for a response.
    pub timeout: Duration,
}

/// The request of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// A connection only.
    Connect,
    /// An HTTP request.
    Http {
        /// The method.
        method: Method,
        /// Path and query, or `*`.
        target: String,
        /// The statuses of a good response.
        expected: RangeInclusive<u16>,
    },
}
