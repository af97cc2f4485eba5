//! Counts of viewers, and what their players report.

use parking_lot::Mutex;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGaugeVec};
use tidegate_headers::cmcd::Reading;

use super::labels::{CmcdEvent, CmcdResult, WebhookResult};
use super::table::{CounterTable, Registrar};
use crate::audience::registry::Audience as Counts;

/// The instruments of viewers.
#[derive(Debug)]
pub struct Audience {
    viewers: IntGaugeVec,
    peak: IntGaugeVec,
    watched: IntCounterVec,
    /// Locked while one scrape replaces its samples.
    streams: Mutex<IntGaugeVec>,
    uncounted: IntCounter,
    reports: CounterTable,
    events: CounterTable,
    starvation: IntCounter,
    bitrate: Histogram,
    throughput: Histogram,
    buffer: Histogram,
    latency: Histogram,
    rebuffer: Histogram,
    webhooks: CounterTable,
}

impl Audience {
    pub(super) fn new(registrar: &Registrar<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            viewers: registrar.named_gauges("tidegate_viewers", "Viewers now, by site.", "site")?,
            peak: registrar.named_gauges(
                "tidegate_viewers_peak",
                "The most viewers since the start of the node, by site.",
                "site",
            )?,
            watched: registrar.named_counters(
                "tidegate_watched_seconds_total",
                "Seconds that viewers have watched, added up, by site.",
                "site",
            )?,
            streams: Mutex::new(registrar.gauges_by(
                "tidegate_stream_viewers",
                "Viewers now of the streams with the most viewers.",
                &["site", "stream"],
            )?),
            uncounted: registrar.counter(
                "tidegate_uncounted_viewer_requests_total",
                "Requests of viewers that were not counted because there was no room for them.",
            )?,
            reports: registrar.counters(
                "tidegate_cmcd_reports_total",
                "Reports of players (CMCD): read, or malformed in part or as a whole.",
                &[("result", CmcdResult::ALL.len())],
            )?,
            events: registrar.counters(
                "tidegate_cmcd_events_total",
                "Reports that players have posted, by event.",
                &[("event", CmcdEvent::ALL.len())],
            )?,
            starvation: registrar.counter(
                "tidegate_cmcd_starvation_total",
                "Reports of players whose buffer had run empty.",
            )?,
            bitrate: registrar.histogram(
                "tidegate_cmcd_bitrate_bits_per_second",
                "Bit rates of requested objects, as players report them.",
                &RATE_BUCKETS,
            )?,
            throughput: registrar.histogram(
                "tidegate_cmcd_throughput_bits_per_second",
                "Throughput that players have measured.",
                &RATE_BUCKETS,
            )?,
            buffer: registrar.histogram(
                "tidegate_cmcd_buffer_seconds",
                "Lengths of the buffers of players.",
                &SECONDS_BUCKETS,
            )?,
            latency: registrar.histogram(
                "tidegate_cmcd_latency_seconds",
                "Latency behind the live edge, as players report it.",
                &SECONDS_BUCKETS,
            )?,
            rebuffer: registrar.histogram(
                "tidegate_cmcd_rebuffer_seconds",
                "How long buffers stayed empty, as players report it.",
                &SECONDS_BUCKETS,
            )?,
            webhooks: registrar.counters(
                "tidegate_webhook_notices_total",
                "Notices of streams, by what became of them.",
                &[("result", WebhookResult::ALL.len())],
            )?,
        })
    }

    /// Counts the report of a player.
    pub(crate) fn report(&self, reading: &Reading) {
        let result = match (&reading.cmcd, reading.is_malformed) {
            (_, true) => CmcdResult::Malformed,
            (Some(_), false) => CmcdResult::Read,
            (None, false) => return,
        };
        self.reports.with([&result], IntCounter::inc);
        let Some(cmcd) = &reading.cmcd else { return };
        if cmcd.bs == Some(true) {
            self.starvation.inc();
        }
        for (histogram, value) in [
            (&self.bitrate, cmcd.bits_per_second(cmcd.br)),
            (&self.throughput, cmcd.bits_per_second(cmcd.mtp)),
            (&self.buffer, cmcd.seconds(cmcd.bl)),
            (&self.latency, cmcd.seconds(cmcd.ltc)),
            (&self.rebuffer, cmcd.seconds(cmcd.bsd)),
        ] {
            if let Some(value) = value {
                histogram.observe(value);
            }
        }
    }

    /// Counts a report that a player has posted.
    pub(crate) fn posted(&self, reading: &Reading) {
        self.report(reading);
        if let Some(cmcd) = &reading.cmcd {
            self.events.with([&CmcdEvent::of(cmcd.e.as_deref())], IntCounter::inc);
        }
    }

    /// Counts a notice of a stream.
    pub(crate) fn webhook(&self, result: WebhookResult) {
        self.webhooks.with([&result], IntCounter::inc);
    }

    /// Copies the counts of viewers. Call it before [`super::Metrics::render`].
    pub(crate) fn observe(&self, counts: &Counts, streams_max: usize) {
        for site in counts.counted_sites() {
            let labels = &[&*site.site];
            self.viewers.with_label_values(labels).set(gauge(site.viewers));
            self.peak.with_label_values(labels).set(gauge(site.peak));
            let watched = self.watched.with_label_values(labels);
            watched.inc_by(site.watched_whole_seconds().saturating_sub(watched.get()));
        }
        let streams = self.streams.lock();
        streams.reset();
        for stream in counts.counted_streams(streams_max) {
            streams.with_label_values(&[&*stream.site, &*stream.path]).set(gauge(stream.viewers));
        }
        drop(streams);
        self.uncounted.inc_by(counts.uncounted().saturating_sub(self.uncounted.get()));
    }
}

fn gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

const RATE_BUCKETS: [f64; 11] = [100e3, 250e3, 500e3, 1e6, 2e6, 3e6, 5e6, 8e6, 12e6, 20e6, 50e6];
const SECONDS_BUCKETS: [f64; 11] = [0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0, 60.0];
