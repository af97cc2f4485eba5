//! The rate at which a counter grows: in normal operation, and when all viewers request everything
//! simultaneously.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use crate::cluster::Cluster;

/// The interval between readings.
const EACH: Duration = Duration::from_millis(250);

/// Reads the number of requests at the origins repeatedly; dropping this value ends it.
pub(crate) struct Meter {
    readings: Arc<Mutex<Vec<(Instant, u64)>>>,
    _reading: JoinSet<()>,
}

impl Meter {
    /// Starts to read the requests that both origins have received.
    pub(crate) fn at_origins_of(cluster: &Cluster) -> Self {
        let admins = [cluster.primary.admin(), cluster.backup.admin()];
        let readings: Arc<Mutex<Vec<_>>> = Arc::default();
        let (recorded, mut reading) = (Arc::clone(&readings), JoinSet::new());
        reading.spawn(async move {
            let mut each = interval(EACH);
            loop {
                each.tick().await;
                let mut sum = 0;
                for admin in admins {
                    let response = tidegate_tests::viewer(admin).get("/v1/requests").await;
                    let counts: serde_json::Value = serde_json::from_slice(&response.body).expect("JSON");
                    sum += counts["total"].as_u64().expect("a number");
                }
                recorded.lock().expect("whole readings").push((Instant::now(), sum));
            }
        });
        Self { readings, _reading: reading }
    }

    /// Requests per second between two moments.
    #[expect(clippy::cast_precision_loss, reason = "counts of a drill are small")]
    pub(crate) fn rate(&self, from: Instant, to: Instant) -> f64 {
        let readings = self.readings.lock().expect("whole readings");
        let inside: Vec<_> = readings.iter().filter(|(at, _)| (from..=to).contains(at)).collect();
        let (first, last) = (inside.first().expect("readings"), inside.last().expect("readings"));
        (last.1 - first.1) as f64 / (last.0 - first.0).as_secs_f64()
    }

    /// The highest rate in any window of this length that lies between two moments.
    pub(crate) fn peak(&self, from: Instant, to: Instant, window: Duration) -> f64 {
        let begins = std::iter::successors(Some(from), |begin| Some(*begin + EACH));
        let begins = begins.take_while(|begin| *begin + window <= to);
        begins.map(|begin| self.rate(begin, begin + window)).fold(0.0, f64::max)
    }
}
