//! A gauge that is raised by one for as long as a guard lives.

use prometheus::IntGauge;

/// Raises a gauge by one until the guard is dropped.
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
