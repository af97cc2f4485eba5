//! The contents of a stream at a moment: a pure function of the clock, so that two stubs on one machine serve
//! the same playlists and segments, byte for byte, whenever they were started.

use std::time::Duration;

use crate::config::Config;
use crate::media::{LOOP_SEGMENTS, SEGMENT};

/// How a stream behaves in time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// A sliding window; sequence numbers count from the Unix epoch.
    Live,
    /// Grows from the start of the stub until its cap.
    Event,
    /// Finished.
    Vod,
}

/// The origin's view of time for one request, as changed by faults.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct View {
    /// Since the Unix epoch.
    pub(crate) now: Duration,
    /// When the stub was started.
    pub(crate) started: Duration,
    /// The current epoch of the encoder.
    pub(crate) epoch: Epoch,
    /// The error of the origin's clock, in milliseconds.
    pub(crate) skew_ms: i64,
}

/// One run of an encoder. A restarted one counts from 0 again and uses old names for other media.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Epoch {
    /// 0 is the first.
    pub(crate) number: u64,
    /// When a restarted one began.
    pub(crate) began: Option<Duration>,
}

/// The existing segments, with the playlist's numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Window {
    /// The oldest segment that can still be fetched.
    pub(crate) oldest: u64,
    /// The first listed segment.
    pub(crate) first: u64,
    /// One past the last listed segment.
    pub(crate) end: u64,
    /// Nothing follows.
    pub(crate) ended: bool,
    /// When segment 0 began, in segments since the Unix epoch; `None` if the stream has no wall time.
    origin: Option<u64>,
    /// How far the media of this epoch is ahead of that of the first.
    media_offset: u64,
}

impl Window {
    pub(crate) fn at(kind: Kind, view: &View, config: &Config) -> Self {
        match kind {
            Kind::Live => Self::sliding(view, config.live.window_segments, config.live.windows_kept),
            Kind::Event => Self::event(view, config),
            Kind::Vod => Self {
                oldest: 0,
                first: 0,
                end: config.vod.loops * LOOP_SEGMENTS,
                ended: true,
                origin: None,
                media_offset: view.epoch.number,
            },
        }
    }

    /// A window of `listed` segments, and the retention of older ones.
    pub(crate) fn sliding(view: &View, listed: u64, windows_kept: u64) -> Self {
        // A restarted encoder has one segment immediately, so that its playlist is never empty.
        let origin = view.epoch.began.map_or(0, |began| segments(began).saturating_sub(1));
        let end = segments(view.now).saturating_sub(origin).max(1);
        Self {
            oldest: end.saturating_sub(listed * (1 + windows_kept)),
            first: end.saturating_sub(listed),
            end,
            ended: false,
            origin: Some(origin),
            media_offset: view.epoch.number,
        }
    }

    fn event(view: &View, config: &Config) -> Self {
        let origin = match view.epoch.began {
            Some(began) => segments(began).saturating_sub(1),
            None => segments(view.started).saturating_sub(config.live.window_segments),
        };
        let end = segments(view.now).saturating_sub(origin).clamp(1, config.event.segments_max);
        let ended = end == config.event.segments_max;
        Self { oldest: 0, first: 0, end, ended, origin: Some(origin), media_offset: view.epoch.number }
    }

    /// The segment of the endless recording that has this number.
    pub(crate) fn media(&self, number: u64) -> u64 {
        number.wrapping_add(self.media_offset)
    }

    /// When a segment began, since the Unix epoch.
    pub(crate) fn began(&self, number: u64) -> Option<Duration> {
        self.origin.map(|origin| moment(origin + number))
    }

    /// When a segment was complete: its Last-Modified.
    pub(crate) fn complete(&self, number: u64) -> Option<Duration> {
        self.began(number + 1)
    }
}

/// The number of whole segments since the epoch: segment `n` covers the seconds from `2n` to `2n + 2`.
fn segments(moment: Duration) -> u64 {
    moment.as_secs() / SEGMENT.as_secs()
}

fn moment(segments: u64) -> Duration {
    Duration::from_secs(segments.saturating_mul(SEGMENT.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(now: u64) -> View {
        View {
            now: Duration::from_secs(now),
            started: Duration::from_secs(1_000),
            epoch: Epoch::default(),
            skew_ms: 0,
        }
    }

    #[test]
    fn a_live_window_lists_six_whole_segments_and_keeps_twelve_more() {
        let window = Window::at(Kind::Live, &view(1001), &Config::default());
        assert_eq!((window.oldest, window.first, window.end), (482, 494, 500));
        assert_eq!(window.complete(499), Some(Duration::from_secs(1000)));
        assert!(!window.ended);
    }

    #[test]
    fn a_live_window_does_not_depend_on_the_start_of_the_stub() {
        let early = View { started: Duration::ZERO, ..view(5000) };
        let config = Config::default();
        assert_eq!(Window::at(Kind::Live, &early, &config), Window::at(Kind::Live, &view(5000), &config));
    }

    #[test]
    fn a_restarted_encoder_counts_from_zero_with_other_media() {
        let epoch = Epoch { number: 1, began: Some(Duration::from_secs(2000)) };
        let window = Window::at(Kind::Live, &View { epoch, ..view(2005) }, &Config::default());
        assert_eq!((window.first, window.end), (0, 3));
        assert_eq!(window.media(0), 1);
        assert_eq!(window.began(1), Some(Duration::from_secs(2000)));
    }

    #[test]
    fn an_event_grows_until_its_cap() {
        let config = Config::default();
        let start = Window::at(Kind::Event, &view(1000), &config);
        assert_eq!((start.first, start.end, start.ended), (0, 6, false));
        let later = Window::at(Kind::Event, &view(1010), &config);
        assert_eq!((later.first, later.end, later.ended), (0, 11, false));
        let end = Window::at(Kind::Event, &view(100_000), &config);
        assert_eq!((end.first, end.end, end.ended), (0, 900, true));
    }

    #[test]
    fn video_on_demand_is_complete() {
        let window = Window::at(Kind::Vod, &view(1000), &Config::default());
        assert_eq!((window.first, window.end, window.ended), (0, 20, true));
        assert_eq!(window.began(0), None);
    }
}
