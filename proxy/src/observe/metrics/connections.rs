//! The instruments of viewers' connections.

use prometheus::{IntCounter, IntGauge};

use super::labels::Http2Error;
use super::table::{CounterTable, Registrar};

/// Viewers' connections.
#[derive(Debug)]
pub struct Connections {
    /// Open connections.
    pub open: IntGauge,
    /// TLS handshakes that failed or timed out.
    pub tls_handshake_failures: IntCounter,
    /// HTTP/2 connections that were closed because their client had reset too many requests.
    pub reset_floods: IntCounter,
    http2_errors: CounterTable,
    /// Responses that ended because their viewer took nothing while memory was short.
    pub stalled_responses: IntCounter,
}

impl Connections {
    pub(super) fn new(registrar: &Registrar<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            open: registrar.gauge("tidegate_connections", "Open connections from viewers.")?,
            tls_handshake_failures: registrar.counter(
                "tidegate_tls_handshake_failures_total",
                "TLS handshakes with viewers that failed or timed out.",
            )?,
            reset_floods: registrar.counter(
                "tidegate_http2_reset_floods_total",
                "HTTP/2 connections closed because their client had reset too many requests.",
            )?,
            http2_errors: registrar.counters(
                "tidegate_http2_errors_total",
                "HTTP/2 connections closed because of their client's frames, by the code of the error.",
                &[("error", Http2Error::ALL.len())],
            )?,
            stalled_responses: registrar.counter(
                "tidegate_stalled_responses_total",
                "Responses that ended because their viewer took nothing while memory was short.",
            )?,
        })
    }

    /// Counts an HTTP/2 connection that this side closed because of an error.
    pub fn http2_error(&self, error: Http2Error) {
        self.http2_errors.with([&error], IntCounter::inc);
    }
}
