//! The sections of the benchmarks, each of which can run alone.

use std::fmt;

use anyhow::Result;
use clap::ValueEnum;

use super::findings::Findings;
use super::stage::Stage;
use super::{
    Settings, churn, connections, crowd, delay, fill, hits, misses, population, staleness, threads, tokens,
    waiters,
};

/// A section. They run in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Section {
    /// Hits over HTTP/1.1, beside nginx, Varnish and a bare loop
    Hit,
    /// The same over TLS
    Tls,
    /// The same over HTTP/2
    Http2,
    /// Hits with 1,000 different tokens, beside those without
    Tokens,
    /// Misses: CPU per request
    Miss,
    /// The time that a tier adds to the first byte
    Delay,
    /// Objects from 64 KiB to 16 MiB: CPU per MiB
    Sizes,
    /// 1, 100 and 10,000 keep-alive connections: CPU per request, memory of idle ones
    Connections,
    /// 1 to 5,000 viewers that wait for one object: CPU and delay
    Fill,
    /// 1,000 to 1,000,000 objects in the cache: CPU per hit, memory
    Population,
    /// Two threads against one
    Threads,
    /// A thousand viewers on one cold object
    Crowd,
    /// How far behind the origin the tiers are
    Staleness,
    /// Ten thousand players that wait for a playlist
    Waiters,
    /// Memory while a day of objects passes through the cache
    Churn,
}

impl Section {
    pub(crate) fn measure(self, stage: &Stage, settings: &Settings) -> Result<Findings> {
        match self {
            Self::Hit => hits::plain(stage, settings),
            Self::Tls => hits::tls(stage, settings),
            Self::Http2 => hits::http2(stage, settings),
            Self::Tokens => tokens::measure(stage, settings),
            Self::Miss => misses::measure(stage, settings),
            Self::Delay => delay::measure(stage, settings),
            Self::Sizes => hits::sizes(stage, settings),
            Self::Connections => connections::measure(stage, settings),
            Self::Fill => fill::measure(stage, settings),
            Self::Population => population::measure(stage, settings),
            Self::Threads => threads::measure(stage, settings),
            Self::Crowd => crowd::measure(stage, settings),
            Self::Staleness => staleness::measure(stage),
            Self::Waiters => waiters::measure(stage, settings),
            Self::Churn => churn::measure(stage, settings),
        }
    }
}

impl Section {
    /// The program of `tests/measure` that the section runs, if any.
    pub(crate) fn program(self) -> Option<&'static str> {
        match self {
            Self::Hit => Some("floor"),
            Self::Delay => Some("delay"),
            Self::Connections => Some("connections"),
            Self::Fill => Some("fill"),
            Self::Crowd => Some("crowd"),
            Self::Staleness => Some("staleness"),
            Self::Waiters => Some("waiters"),
            Self::Churn => Some("churn"),
            Self::Tls
            | Self::Http2
            | Self::Tokens
            | Self::Miss
            | Self::Sizes
            | Self::Population
            | Self::Threads => None,
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}
