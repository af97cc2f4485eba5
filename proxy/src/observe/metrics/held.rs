//! A gauge that is up by one as long as something lives.

use prometheus::IntGauge;

/// Holds a gauge up by one until it is dropped, whatever way that comes about.
#[derive(Debug)]
pub struct Held(IntGauge);

impl Held {
    /// Raises the gauge.
    pub fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}
