//! How an upstream stands in the configuration.

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

/// How long a source may take over what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To accept a connection, TLS included.
    pub connect: Duration,
    /// From the request to the head of the answer.
    pub first_byte: Duration,
    /// Between two pieces of the body.
    pub stall: Duration,
    /// How slowly a body may come, if there is a limit.
    pub min_rate: Option<MinRate>,
}

/// How a source is spoken to.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who knows where its name is.
    pub dns: Dns,
    /// The connections, and the TLS trust on which they rely.
    pub connections: Arc<Connections>,
    /// Deadlines.
    pub timeouts: Timeouts,
    /// HTTP/2 (with prior knowledge where there is no TLS) in place of HTTP/1.1.
    pub http2: bool,
    /// Streams on one HTTP/2 connection.
    pub streams_max: usize,
    /// Requests at once.
    pub limits: Limits,
    /// When another one is asked as well: once an answer takes longer than nineteen of twenty do, and longer than this.
    /// Never without.
    pub hedge_after: Option<Duration>,
    /// When it is out, and for how long.
    pub rules: Rules,
    /// How it is probed, if it is.
    pub probe: Option<Probe>,
}

/// One server as it stands in a configuration.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Where it is.
    pub address: Address,
    /// The Host header field to send; without one the request's own is kept.
    pub host: Option<String>,
    /// Header fields to add to every request.
    pub headers: HeaderMap,
    /// Its share of the load, beside the others of its group or region.
    pub weight: u32,
    /// It is asked when those of lower groups cannot be.
    pub group: u32,
    /// Where in the world it is.
    pub region: Option<Arc<str>>,
    /// Whether it is a tier of ours, which knows what is meant for tiers.
    pub is_tier: bool,
    /// How it is spoken to.
    pub options: Options,
}

impl Spec {
    /// For one of the servers behind its name. What the name says of weights and of who comes first counts inside the
    /// group.
    pub(crate) fn found(&self, member: &Member) -> Self {
        let address = self.address.member(member);
        // Whose own name is sent as Host is sent the name under which it was found.
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
    /// What is asked.
    pub question: Question,
    /// The time between two probes; each wait is up to a fifth shorter or longer.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Whether it accepts a connection.
    Connect,
    /// An HTTP request.
    Http {
        /// The method.
        method: Method,
        /// Path and query, or `*`.
        target: String,
        /// The statuses of a good answer.
        expected: RangeInclusive<u16>,
    },
}
