//! TLS with viewers: handshakes that failed, and the files of the listener.

use prometheus::{IntCounter, IntGaugeVec, Result};

use super::labels::Reload;
use super::table::{CounterTable, Registrar};

/// The instruments of the TLS listener.
#[derive(Debug)]
pub struct Tls {
    reloads: CounterTable,
    expiry: IntGaugeVec,
}

impl Tls {
    pub(super) fn new(registrar: &Registrar<'_>) -> Result<Self> {
        Ok(Self {
            reloads: registrar.counters(
                "tidegate_tls_reloads_total",
                "Files of the TLS listener that were read again, by result.",
                &[("result", Reload::ALL.len())],
            )?,
            expiry: registrar.named_gauges(
                "tidegate_tls_certificate_expiry_seconds",
                "Time at which a certificate of the TLS listener expires, in seconds since 1970.",
                "certificate",
            )?,
        })
    }

    /// Counts a file that was read again.
    pub fn reloaded(&self, result: Reload) {
        self.reloads.with([&result], IntCounter::inc);
    }

    /// Records when the certificate in a file expires. The configuration bounds the number of files.
    pub fn expires(&self, certificate: &str, at: i64) {
        if let Ok(gauge) = self.expiry.get_metric_with_label_values(&[certificate]) {
            gauge.set(at);
        }
    }
}
