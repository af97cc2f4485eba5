//! Counts of refused connections and requests.

use prometheus::{IntCounter, IntGauge};
use tidegate_access::Denial;

use super::labels::{ConnectionRefusal, TokenRefusal};
use super::table::{CounterTable, Registrar};
use crate::limits::Limit;

/// The instruments of access and limits.
#[derive(Debug)]
pub struct Access {
    connections: CounterTable,
    denied: CounterTable,
    tokens: CounterTable,
    limited: CounterTable,
    addresses: IntGauge,
}

impl Access {
    pub(super) fn new(registrar: &Registrar<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            connections: registrar.counters(
                "tidegate_refused_connections_total",
                "Connections closed before their first request, by reason.",
                &[("reason", ConnectionRefusal::ALL.len())],
            )?,
            denied: registrar.counters(
                "tidegate_denied_requests_total",
                "Requests refused with 403 by the access rules of their site, by reason.",
                &[("reason", Denial::ALL.len())],
            )?,
            tokens: registrar.counters(
                "tidegate_token_refusals_total",
                "Requests refused for their token, by reason.",
                &[("reason", TokenRefusal::ALL.len())],
            )?,
            limited: registrar.counters(
                "tidegate_limited_requests_total",
                "Requests refused with 429 or 503 because of a limit, by limit.",
                &[("limit", Limit::ALL.len())],
            )?,
            addresses: registrar
                .gauge("tidegate_limited_addresses", "Addresses whose use of the limits is remembered.")?,
        })
    }

    /// Counts a connection that is refused.
    pub fn connection_refused(&self, reason: ConnectionRefusal) {
        self.connections.with([&reason], IntCounter::inc);
    }

    /// Counts a request that the rules of its site refuse.
    pub fn denied(&self, denial: Denial) {
        self.denied.with([&denial], IntCounter::inc);
    }

    /// Counts a request that is refused for its token.
    pub fn token_refused(&self, reason: TokenRefusal) {
        self.tokens.with([&reason], IntCounter::inc);
    }

    /// Counts a request beyond a limit.
    pub fn limited(&self, limit: Limit) {
        self.limited.with([&limit], IntCounter::inc);
    }

    /// Sets how many addresses are remembered.
    pub(crate) fn addresses(&self, count: usize) {
        self.addresses.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
