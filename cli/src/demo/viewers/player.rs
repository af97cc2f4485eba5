//! One synthetic viewer: the requests of a player, without decoding anything.
//!
//! It reads the multivariant playlist once, then one media playlist about every target duration, and each new
//! segment once. A model of its buffer tells when a person would have seen the picture stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::fetch::{Fetch, ViewerError};
use super::playlist::{Media, Playlist, Segment, resolve};
use super::tally::Tally;

/// A viewer of one stream.
#[derive(Debug)]
pub(super) struct Player<F> {
    pub(super) edge: F,
    /// The path of the multivariant playlist (or of a single media playlist).
    pub(super) stream: Arc<str>,
    /// The index of its rendition, modulo their number.
    pub(super) choice: usize,
    pub(super) tally: Arc<Tally>,
}

impl<F: Fetch> Player<F> {
    /// Watches until dropped, starting again after any error that stops a viewing.
    pub(super) async fn watch(self) {
        loop {
            if let Some(rendition) = self.tune_in().await {
                self.view(&rendition).await;
            }
            sleep(PAUSE).await;
        }
    }

    /// The path of the media playlist to follow.
    async fn tune_in(&self) -> Option<String> {
        match self.playlist(&self.stream).await? {
            Playlist::Media(_) => Some(self.stream.as_ref().to_owned()),
            Playlist::Multivariant(renditions) => {
                let uri = renditions.get(self.choice % renditions.len())?;
                self.resolve(&self.stream, uri)
            }
        }
    }

    /// Follows one rendition until it ends, goes back, or keeps failing.
    async fn view(&self, rendition: &str) {
        let mut place = Place::default();
        let mut failures = 0;
        while failures < FAILURES_MAX {
            let requests = Instant::now();
            let Some(media) = self.media(rendition).await else {
                failures += 1;
                sleep(PAUSE).await;
                continue;
            };
            failures = 0;
            let moved = match place.accept(&media) {
                Ok(moved) => moved,
                Err(error) => return self.tally.record_error(rendition, &error),
            };
            self.load(rendition, &media, &mut place).await;
            if media.ended && place.next >= media.next_number() {
                return place.buffer.play_out().await;
            }
            // RFC 8216 section 6.3.4: a target duration after a change, half of it without a change.
            let wait = if moved { media.target_duration } else { media.target_duration / 2 };
            sleep_until(requests + wait.max(RELOAD_MIN)).await;
        }
    }

    /// Loads every new segment, in order; the first that fails is requested again after the next reload.
    async fn load(&self, rendition: &str, media: &Media, place: &mut Place) {
        let next = place.next;
        for segment in media.segments.iter().filter(|segment| Some(segment.number) >= next) {
            place.buffer.room().await;
            if !self.segment(rendition, segment, place).await {
                return;
            }
            place.next = Some(segment.number.saturating_add(1));
            if place.buffer.push(segment.duration) {
                self.tally.stall();
            }
        }
    }

    /// Loads one segment, and its initialization section when that changes.
    async fn segment(&self, rendition: &str, segment: &Segment, place: &mut Place) -> bool {
        if segment.map != place.map
            && let Some(map) = &segment.map
            && !self.object(rendition, map).await
        {
            return false;
        }
        place.map.clone_from(&segment.map);
        self.object(rendition, &segment.uri).await
    }

    async fn object(&self, rendition: &str, uri: &str) -> bool {
        let Some(path) = self.resolve(rendition, uri) else { return false };
        match self.edge.drain(&path).await {
            Ok(body_bytes) => self.tally.segment(body_bytes),
            Err(error) => {
                self.tally.record_error(&path, &error);
                return false;
            }
        }
        true
    }

    async fn media(&self, path: &str) -> Option<Media> {
        match self.playlist(path).await? {
            Playlist::Media(media) => Some(media),
            Playlist::Multivariant(_) => {
                self.tally.record_error(path, &ViewerError::Nested);
                None
            }
        }
    }

    async fn playlist(&self, path: &str) -> Option<Playlist> {
        let read = match self.edge.text(path).await {
            Ok(text) => {
                Playlist::parse(&text).map(|playlist| (playlist, text.len())).map_err(ViewerError::from)
            }
            Err(error) => Err(error),
        };
        match read {
            Ok((playlist, body_bytes)) => {
                self.tally.playlist(body_bytes as u64);
                Some(playlist)
            }
            Err(error) => {
                self.tally.record_error(path, &error);
                None
            }
        }
    }

    fn resolve(&self, base: &str, uri: &str) -> Option<String> {
        let path = resolve(base, uri);
        if path.is_none() {
            self.tally.record_error(base, &ViewerError::Uri(uri.to_owned()));
        }
        path
    }
}

/// A viewer's position in its stream.
#[derive(Debug, Default)]
struct Place {
    /// The media sequence number that it loads next.
    next: Option<u64>,
    /// The end of the newest playlist seen.
    seen: Option<u64>,
    map: Option<String>,
    buffer: Buffer,
}

impl Place {
    /// Accepts a playlist; returns whether it is newer than all before. An older one is an error.
    fn accept(&mut self, media: &Media) -> Result<bool, ViewerError> {
        let now = media.next_number();
        if let (Some(seen), Some(now)) = (self.seen, now)
            && now < seen
        {
            return Err(ViewerError::WentBack { seen: seen.saturating_sub(1), now: now.saturating_sub(1) });
        }
        let fell_behind = self.next < media.segments.first().map(|segment| segment.number);
        if self.next.is_none() || fell_behind {
            self.next = media.first_number();
        }
        let moved = now > self.seen;
        self.seen = self.seen.max(now);
        Ok(moved)
    }
}

/// The media that a viewer has loaded and not yet shown.
#[derive(Debug, Default)]
struct Buffer {
    /// When it will run dry; `None` before the first segment.
    dry_at: Option<Instant>,
}

impl Buffer {
    /// Adds a segment that has just arrived; returns whether the picture had stalled.
    fn push(&mut self, duration: Duration) -> bool {
        let now = Instant::now();
        let stalled = self.dry_at.is_some_and(|dry_at| dry_at < now);
        self.dry_at = Some(self.dry_at.map_or(now, |dry_at| dry_at.max(now)) + duration);
        stalled
    }

    /// Waits until there is room for another segment.
    async fn room(&self) {
        if let Some(dry_at) = self.dry_at {
            sleep_until(dry_at.checked_sub(AHEAD_MAX).unwrap_or(dry_at)).await;
        }
    }

    /// Waits until all of it has been shown.
    async fn play_out(&self) {
        if let Some(dry_at) = self.dry_at {
            sleep_until(dry_at).await;
        }
    }
}

/// The pause after an error.
const PAUSE: Duration = Duration::from_secs(1);
/// Consecutive playlist errors before a viewer starts over at the multivariant playlist.
const FAILURES_MAX: u32 = 5;
const RELOAD_MIN: Duration = Duration::from_millis(250);
const AHEAD_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use parking_lot::Mutex;

    use super::*;

    /// An edge in memory: a live stream of two-second segments that began ten segments before the test.
    #[derive(Clone)]
    struct Script {
        began: Instant,
        requests: Arc<Mutex<Vec<String>>>,
        /// Seconds of the test during which segments fail.
        outage: std::ops::Range<u64>,
        ended: bool,
    }

    impl Script {
        fn new() -> Self {
            Self { began: Instant::now(), requests: Arc::default(), outage: 0..0, ended: false }
        }

        fn requests(&self, path: &str) -> usize {
            self.requests.lock().iter().filter(|requests| requests.as_str() == path).count()
        }

        fn media(&self) -> String {
            let last = if self.ended { 5 } else { 10 + self.began.elapsed().as_secs() / 2 };
            let first = last - 5;
            let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
            for number in first..=last {
                write!(text, "#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:2,\nseg{number}.m4s\n").unwrap();
            }
            if self.ended {
                text.push_str("#EXT-X-ENDLIST\n");
            }
            text
        }
    }

    impl Fetch for Script {
        async fn text(&self, path: &str) -> Result<String, ViewerError> {
            self.requests.lock().push(path.to_owned());
            match path {
                "/ch/master.m3u8" => {
                    Ok("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na/x.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\nb/x.m3u8\n"
                        .to_owned())
                }
                _ => Ok(self.media()),
            }
        }

        async fn drain(&self, path: &str) -> Result<u64, ViewerError> {
            self.requests.lock().push(path.to_owned());
            if self.outage.contains(&self.began.elapsed().as_secs()) {
                return Err(ViewerError::Status(http::StatusCode::BAD_GATEWAY));
            }
            Ok(1000)
        }
    }

    async fn watch(script: &Script, seconds: u64) -> super::super::Counts {
        let tally = Arc::new(Tally::default());
        let player = Player {
            edge: script.clone(),
            stream: "/ch/master.m3u8".into(),
            choice: 3,
            tally: Arc::clone(&tally),
        };
        let watching = tokio::time::timeout(Duration::from_secs(seconds), player.watch()).await;
        assert!(watching.is_err(), "a viewer watches forever");
        tally.counts(1, 1)
    }

    #[tokio::test(start_paused = true)]
    async fn a_viewer_reads_its_playlist_every_target_duration_and_each_segment_once() {
        let script = Script::new();
        let counts = watch(&script, 21).await;
        assert_eq!(script.requests("/ch/master.m3u8"), 1);
        assert_eq!(script.requests("/ch/b/x.m3u8"), 11);
        assert_eq!(script.requests("/ch/b/init.mp4"), 1);
        assert_eq!(script.requests("/ch/b/seg7.m4s"), 0, "it starts three segments before the edge");
        for number in 8..=20 {
            assert_eq!(script.requests(&format!("/ch/b/seg{number}.m4s")), 1, "segment {number}");
        }
        assert_eq!((counts.errors, counts.stalls), (0, 0));
        assert_eq!(counts.playlists, 12);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_segment_is_requested_again_and_a_long_outage_is_one_stall() {
        let script = Script { outage: 5..16, ..Script::new() };
        let counts = watch(&script, 30).await;
        assert!(counts.errors > 3, "{counts:?}");
        assert_eq!(counts.errors_by_reason.keys().copied().collect::<Vec<_>>(), ["status"]);
        assert_eq!(counts.stalls, 1, "{counts:?}");
        assert!(counts.last_error.unwrap().contains("502"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_ended_playlist_is_played_in_real_time_and_then_from_the_beginning() {
        let script = Script { ended: true, ..Script::new() };
        let counts = watch(&script, 12).await;
        assert_eq!((counts.segments, counts.stalls), (7, 0));
        assert_eq!(script.requests("/ch/master.m3u8"), 1);
        let again = watch(&script, 14).await;
        assert_eq!(again.segments, 14, "six segments of two seconds, then all again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_playlist_that_goes_back_is_an_error() {
        let mut place = Place::default();
        let playlist = |first: u64| {
            let text = format!(
                "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n#EXTINF:2,\na.ts\n"
            );
            match Playlist::parse(&text) {
                Ok(Playlist::Media(media)) => media,
                other => panic!("{other:?}"),
            }
        };
        assert!(place.accept(&playlist(4)).unwrap());
        assert!(!place.accept(&playlist(4)).unwrap());
        assert_eq!(place.accept(&playlist(3)).unwrap_err().reason(), "went_back");
    }
}
