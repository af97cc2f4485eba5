//! What the players of one stream report (CMCD), averaged over about the last minute.

use tidegate_headers::cmcd::Cmcd;

/// Sums in which each step counts less than the next.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Health {
    reports: f64,
    starved: f64,
    bitrate: Sum,
    throughput: Sum,
    buffer: Sum,
    latency: Sum,
    rebuffer: Sum,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sum {
    sum: f64,
    count: f64,
}

/// The averages of a stream; `None` where no player reports a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Averages {
    /// The share of reports after which the buffer had run empty.
    pub(crate) starved: f64,
    /// Bits per second of the requested objects.
    pub(crate) bitrate: Option<f64>,
    /// Bits per second that players have measured.
    pub(crate) throughput: Option<f64>,
    /// Seconds in the buffer.
    pub(crate) buffer: Option<f64>,
    /// Seconds behind the live edge.
    pub(crate) latency: Option<f64>,
    /// Seconds for which an empty buffer stayed empty.
    pub(crate) rebuffer: Option<f64>,
}

impl Health {
    /// Adds a report.
    pub(crate) fn add(&mut self, cmcd: &Cmcd) {
        self.reports += 1.0;
        self.starved += f64::from(u8::from(cmcd.bs == Some(true)));
        self.bitrate.add(cmcd.bits_per_second(cmcd.br));
        self.throughput.add(cmcd.bits_per_second(cmcd.mtp));
        self.buffer.add(cmcd.seconds(cmcd.bl));
        self.latency.add(cmcd.seconds(cmcd.ltc));
        self.rebuffer.add(cmcd.seconds(cmcd.bsd));
    }

    /// Ends a step.
    pub(crate) fn end_step(&mut self) {
        self.reports *= FADING;
        self.starved *= FADING;
        let Self { bitrate, throughput, buffer, latency, rebuffer, .. } = self;
        for sum in [bitrate, throughput, buffer, latency, rebuffer] {
            sum.sum *= FADING;
            sum.count *= FADING;
        }
        if self.reports < 0.5 {
            *self = Self::default();
        }
    }

    /// The averages; `None` without reports.
    pub(crate) fn averages(&self) -> Option<Averages> {
        (self.reports > 0.0).then(|| Averages {
            starved: self.starved / self.reports,
            bitrate: self.bitrate.average(),
            throughput: self.throughput.average(),
            buffer: self.buffer.average(),
            latency: self.latency.average(),
            rebuffer: self.rebuffer.average(),
        })
    }
}

impl Sum {
    fn add(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.sum += value;
            self.count += 1.0;
        }
    }

    fn average(self) -> Option<f64> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }
}

/// What is left of a report after a step.
const FADING: f64 = 0.9;

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(text: &str) -> Cmcd {
        Cmcd::from_query(text).unwrap()
    }

    #[test]
    fn reports_are_averaged_and_fade() {
        let mut health = Health::default();
        assert_eq!(health.averages(), None);
        health.add(&reported("bs,br=3000,bl=1000"));
        health.add(&reported("br=1000,bl=3000,mtp=8000"));
        let averages = health.averages().unwrap();
        let near = |value: Option<f64>, expected: f64| (value.unwrap() - expected).abs() < 0.001;
        assert!(near(Some(averages.starved), 0.5) && near(averages.bitrate, 2_000_000.0));
        assert!(near(averages.buffer, 2.0) && near(averages.throughput, 8_000_000.0));
        assert_eq!(averages.latency, None);
        for _ in 0..100 {
            health.end_step();
        }
        assert_eq!(health.averages(), None);
    }
}
