//! What operators are notified of: a stream gets its first viewer, loses its last, or passes a number of
//! viewers.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::report::Counted;

/// A change in the audience of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Notice {
    event: Event,
    site: Box<str>,
    /// The folder of the stream.
    stream: Box<str>,
    viewers: u64,
    peak: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Event {
    StreamStart,
    StreamEnd,
    ViewersAbove,
    ViewersBelow,
}

/// Compares the audiences of one step with those of the step before.
#[derive(Debug)]
pub(crate) struct Comparison {
    /// In ascending order.
    thresholds: Vec<u64>,
    /// The streams with viewers, by site and folder.
    watched: HashMap<(Box<str>, Box<str>), Watched>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Watched {
    /// The number of thresholds that the viewers have reached.
    level: usize,
    peak: u64,
}

impl Comparison {
    pub(crate) fn new(thresholds: &[u64]) -> Self {
        let mut thresholds = thresholds.to_vec();
        thresholds.sort_unstable();
        thresholds.dedup();
        Self { thresholds, watched: HashMap::new() }
    }

    /// What has changed.
    pub(crate) fn notices(&mut self, streams: &[Counted]) -> Vec<Notice> {
        let mut notices = Vec::new();
        let mut still_watched = HashSet::new();
        for stream in streams.iter().filter(|stream| stream.viewers > 0) {
            let name = (stream.site.clone(), stream.path.clone());
            still_watched.insert(name.clone());
            let watched = self.watched.entry(name).or_insert_with(|| {
                notices.push(Notice::of(stream, Event::StreamStart, None));
                Watched::default()
            });
            watched.peak = stream.peak;
            while let Some(threshold) = self.thresholds.get(watched.level).filter(|at| stream.viewers >= **at)
            {
                notices.push(Notice::of(stream, Event::ViewersAbove, Some(*threshold)));
                watched.level += 1;
            }
            while let Some(level) = watched.level.checked_sub(1)
                && let Some(threshold) =
                    self.thresholds.get(level).filter(|at| is_below(stream.viewers, **at))
            {
                notices.push(Notice::of(stream, Event::ViewersBelow, Some(*threshold)));
                watched.level = level;
            }
        }
        let mut ended: Vec<_> = self.watched.extract_if(|name, _| !still_watched.contains(name)).collect();
        ended.sort_by(|(one, _), (other, _)| one.cmp(other));
        notices.extend(ended.into_iter().map(|((site, stream), watched)| Notice {
            event: Event::StreamEnd,
            site,
            stream,
            viewers: 0,
            peak: watched.peak,
            threshold: None,
        }));
        notices
    }
}

impl Notice {
    fn of(stream: &Counted, event: Event, threshold: Option<u64>) -> Self {
        Self {
            event,
            site: stream.site.clone(),
            stream: stream.path.clone(),
            viewers: stream.viewers,
            peak: stream.peak,
            threshold,
        }
    }
}

/// Whether viewers are so far below a threshold that it counts as left: by a tenth, so that a few viewers who
/// come and go cause one notice and not one in each step.
fn is_below(viewers: u64, threshold: u64) -> bool {
    viewers.saturating_mul(10) < threshold.saturating_mul(9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(path: &str, viewers: u64) -> Counted {
        Counted { site: "s".into(), path: path.into(), viewers, peak: viewers + 1, watched_seconds: 0.0 }
    }

    /// Event, stream, viewers and threshold of the notices.
    fn shown(notices: &[Notice]) -> Vec<String> {
        let shown = notices.iter().map(|notice| {
            let threshold = notice.threshold.map(|at| format!(" of {at}")).unwrap_or_default();
            format!("{:?} {} {}{threshold}", notice.event, notice.stream, notice.viewers)
        });
        shown.collect()
    }

    #[test]
    fn starts_ends_and_thresholds_are_noticed_once() {
        let mut comparison = Comparison::new(&[100, 10, 100]);
        let steps: [(&[Counted], &[&str]); 7] = [
            (&[stream("/a", 0)], &[]),
            (&[stream("/a", 3), stream("/b", 1)], &["StreamStart /a 3", "StreamStart /b 1"]),
            (
                &[stream("/a", 150), stream("/b", 2)],
                &["ViewersAbove /a 150 of 10", "ViewersAbove /a 150 of 100"],
            ),
            (&[stream("/a", 95), stream("/b", 0)], &["StreamEnd /b 0"]),
            (&[stream("/a", 89)], &["ViewersBelow /a 89 of 100"]),
            (&[stream("/a", 2)], &["ViewersBelow /a 2 of 10"]),
            (&[], &["StreamEnd /a 0"]),
        ];
        for (streams, expected) in steps {
            assert_eq!(shown(&comparison.notices(streams)), expected);
        }
    }

    #[test]
    fn the_end_says_what_the_peak_was() {
        let mut comparison = Comparison::new(&[]);
        comparison.notices(&[stream("/a", 7)]);
        let notices = serde_json::to_value(comparison.notices(&[])).unwrap();
        let expected = serde_json::json!([
            { "event": "stream-end", "site": "s", "stream": "/a", "viewers": 0, "peak": 8 }
        ]);
        assert_eq!(notices, expected);
    }
}
