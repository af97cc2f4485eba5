//! How many are watching, for the operators' page and the metrics.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::health::Averages;
use super::registry::{Audience, Watched};
use super::set::Viewers;

/// The viewers of a site or stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Counted {
    pub(crate) site: Box<str>,
    /// The folder of a stream; empty for a site.
    pub(crate) path: Box<str>,
    pub(crate) viewers: u64,
    pub(crate) peak: u64,
    pub(crate) watched_seconds: f64,
}

impl Counted {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is finite and not negative"
    )]
    pub(crate) fn watched_whole_seconds(&self) -> u64 {
        self.watched_seconds as u64
    }
}

impl Audience {
    /// The viewers of each site, by name.
    pub(crate) fn counted_sites(&self) -> Vec<Counted> {
        let sites = self.sites.read();
        let sites = sites.iter().map(|(name, viewers)| self.counted(name, "", &viewers.lock()));
        let mut sites: Vec<_> = sites.collect();
        sites.sort_by(|one, other| one.site.cmp(&other.site));
        sites
    }

    /// The `max` streams with the most viewers.
    pub(crate) fn counted_streams(&self, max: usize) -> Vec<Counted> {
        self.largest(max).into_iter().map(|(counted, _)| counted).collect()
    }

    /// The page `/v1/streams`.
    pub(crate) fn page(&self, node: &str) -> Value {
        let sites = self.counted_sites();
        let streams = self.largest(LISTED_MAX).into_iter().map(|(counted, stream)| {
            let mut shown = shown(&counted);
            let averages = stream.health.lock().averages();
            shown.insert("path".to_owned(), json!(counted.path));
            shown.insert("renditions".to_owned(), json!(self.renditions(&stream)));
            shown.insert("players".to_owned(), averages.map_or(Value::Null, players));
            shown
        });
        json!({
            "node": node,
            "window_seconds": self.step_len.as_secs_f64() * f64::from(super::registry::STEPS),
            "viewers": sites.iter().map(|site| site.viewers).sum::<u64>(),
            "uncounted_requests": self.uncounted(),
            "sites": sites.iter().map(shown).collect::<Vec<_>>(),
            "streams": streams.collect::<Vec<_>>(),
        })
    }

    fn largest(&self, max: usize) -> Vec<(Counted, Arc<Watched>)> {
        let streams: Vec<_> = self.streams.read().values().map(Arc::clone).collect();
        let mut streams: Vec<_> = streams
            .into_iter()
            .map(|stream| {
                let counted = self.counted(stream.site(), stream.path(), &stream.viewers.lock());
                (counted, stream)
            })
            .collect();
        streams.sort_by(|(one, _), (other, _)| {
            other
                .viewers
                .cmp(&one.viewers)
                .then_with(|| (&one.site, &one.path).cmp(&(&other.site, &other.path)))
        });
        streams.truncate(max);
        streams
    }

    fn renditions(&self, stream: &Watched) -> Vec<Value> {
        let now = self.step();
        let renditions = stream.renditions.lock();
        let mut renditions: Vec<_> =
            renditions.iter().map(|(path, viewers)| (path.clone(), viewers.count(now))).collect();
        renditions.retain(|(_, viewers)| *viewers > 0);
        renditions.sort();
        renditions.into_iter().map(|(path, viewers)| json!({ "path": path, "viewers": viewers })).collect()
    }

    fn counted(&self, site: &str, path: &str, viewers: &Viewers) -> Counted {
        let now = self.step();
        // A stream is watched for far fewer steps than a float represents exactly.
        #[expect(clippy::cast_precision_loss, reason = "a display of minutes")]
        let watched = viewers.watched() as f64;
        Counted {
            site: site.into(),
            path: path.into(),
            viewers: viewers.count(now),
            peak: viewers.peak(now),
            watched_seconds: watched * self.step_len.as_secs_f64(),
        }
    }
}

fn shown(counted: &Counted) -> Map<String, Value> {
    let minutes = (counted.watched_seconds / 60.0 * 1000.0).round() / 1000.0;
    let fields = [
        ("site", json!(counted.site)),
        ("viewers", json!(counted.viewers)),
        ("peak", json!(counted.peak)),
        ("viewer_minutes", json!(minutes)),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn players(averages: Averages) -> Value {
    json!({
        "starved_ratio": averages.starved,
        "bitrate_bits_per_second": averages.bitrate,
        "throughput_bits_per_second": averages.throughput,
        "buffer_seconds": averages.buffer,
        "latency_seconds": averages.latency,
        "rebuffer_seconds": averages.rebuffer,
    })
}

/// Streams on the page.
const LISTED_MAX: usize = 1000;
