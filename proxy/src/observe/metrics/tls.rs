//! TLS with viewers: handshakes that failed, and the files of the listener.

use prometheus::{IntCounter, IntGaugeVec, Result};

use super::labels::{Ordered, Reload};
use super::table::{CounterTable, Registrar};

/// The instruments of the TLS listener.
#[derive(Debug)]
pub struct Tls {
    reloads: CounterTable,
    expiry: IntGaugeVec,
    orders: CounterTable,
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
            orders: registrar.counters(
                "tidegate_acme_orders_total",
                "Orders of certificates from the ACME authority that ended, by result.",
                &[("result", Ordered::ALL.len())],
            )?,
        })
    }

    /// Counts a file that was read again.
    pub fn reloaded(&self, result: Reload) {
        self.reloads.with([&result], IntCounter::inc);
    }

    /// Counts an order of a certificate that ended.
    pub fn ordered(&self, result: Ordered) {
        self.orders.with([&result], IntCounter::inc);
    }

    /// Records when the certificate in a file expires. The configuration bounds the number of files.
    pub fn expires(&self, certificate: &str, at: i64) {
        if let Ok(gauge) = self.expiry.get_metric_with_label_values(&[certificate]) {
            gauge.set(at);
        }
    }
}
