//! The memory of one media playlist: its newest version, and its timeline.
//!
//! A tier remembers a playlist for a day after the last request for it, and most playlists end long before
//! that. The stream of a playlist without a follower *sleeps*: its newest version is kept as published, in
//! text, which takes a third of the memory. Any access wakes it, and finds it as it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use tidegate_hls::{Announcement, Media, Playlist, Timeline};
use tokio::sync::watch;

/// The memory of one media playlist.
#[derive(Debug)]
pub(super) struct Memory {
    state: Mutex<State>,
    /// `None` before the first version, and while it sleeps. Changed only while `state` is locked.
    newest: watch::Sender<Option<Arc<Media>>>,
    /// Changed only while `state` is locked.
    is_asleep: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    timeline: Timeline,
    /// The newest version as published.
    text: Bytes,
}

impl Memory {
    /// The memory of an unknown playlist.
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), newest: watch::Sender::new(None), is_asleep: AtomicBool::new(false) }
    }

    /// What is known from version to version; wakes it.
    pub(super) fn timeline(&self) -> MappedMutexGuard<'_, Timeline> {
        MutexGuard::map(self.wake(), |state| &mut state.timeline)
    }

    /// The newest version.
    pub(super) fn media(&self) -> Option<Arc<Media>> {
        self.map_newest(Arc::clone)
    }

    /// Reads something of the newest version.
    pub(super) fn map_newest<T>(&self, read: impl Fn(&Arc<Media>) -> T) -> Option<T> {
        let awake = self.newest.borrow().as_ref().map(&read);
        awake.or_else(|| {
            // Another thread may have woken it meanwhile.
            let _state = self.wake();
            self.newest.borrow().as_ref().map(read)
        })
    }

    /// The newest version, and the versions to come.
    pub(super) fn subscribe(&self) -> watch::Receiver<Option<Arc<Media>>> {
        let _state = self.wake();
        self.newest.subscribe()
    }

    /// Lets the requests that block look at the stream again.
    pub(super) fn wake_blocked(&self) {
        self.newest.send_modify(|_same| {});
    }

    /// Replaces the newest version, which is published as `text`. Returns its announcements.
    pub(super) fn publish(&self, newest: Arc<Media>, text: Bytes) -> Vec<Announcement> {
        let mut state = self.wake();
        state.text = text;
        self.newest.send_replace(Some(newest));
        state.timeline.take_announcements()
    }

    /// The newest version, if it was published as `text`: the same bytes in the same place.
    pub(super) fn version_of(&self, text: &Bytes) -> Option<Arc<Media>> {
        let state = self.state.lock();
        let is_same = state.text.as_ptr() == text.as_ptr() && state.text.len() == text.len();
        self.newest.borrow().as_ref().filter(|_| is_same).map(Arc::clone)
    }

    /// The newest version as published.
    pub(super) fn text(&self) -> Bytes {
        self.state.lock().text.clone()
    }

    /// Size of the newest version as published, in bytes.
    pub(super) fn text_bytes(&self) -> usize {
        self.state.lock().text.len()
    }

    /// Puts it to sleep, if `may_sleep` says so: that is called when no other thread can read it.
    pub(super) fn sleep(&self, may_sleep: impl FnOnce() -> bool) {
        let mut state = self.state.lock();
        let newest = self.newest.borrow().as_ref().map(|newest| newest.position());
        // Only the timeline knows a version that was received and not stored.
        if newest.is_none() || newest != state.timeline.position() || !may_sleep() {
            return;
        }
        state.timeline.sleep();
        // A copy, because the text may be part of a larger buffer.
        state.text = Bytes::copy_from_slice(&state.text);
        self.is_asleep.store(true, Ordering::Release);
        self.replace_silently(None);
    }

    pub(super) fn is_asleep(&self) -> bool {
        self.is_asleep.load(Ordering::Acquire)
    }

    /// Wakes it, if it sleeps.
    fn wake(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        if self.is_asleep() {
            // The text was parsed before it slept.
            if let Ok(Playlist::Media(newest)) = Playlist::parse(&state.text) {
                state.timeline.wake(&newest);
                self.replace_silently(Some(newest));
            }
            self.is_asleep.store(false, Ordering::Release);
        }
        state
    }

    /// Replaces the newest version and wakes no subscriber: it is no other version.
    fn replace_silently(&self, newest: Option<Arc<Media>>) {
        self.newest.send_if_modified(|current| {
            *current = newest;
            false
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidegate_cache::Key;
    use tokio::time::Instant;

    use super::*;
    use crate::config;
    use crate::live::stream::{Arrival, Stream};
    use crate::live::streams::Streams;

    fn text(first: u64) -> Bytes {
        let segments = [0, 1, 2].map(|number| format!("#EXTINF:2,\n{}.ts\n", first + number)).concat();
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n{segments}").into()
    }

    fn media(text: &Bytes) -> Arc<Media> {
        Arc::clone(Playlist::parse(text).unwrap().as_media().unwrap())
    }

    fn observe(stream: &Stream, text: &Bytes) -> Arrival {
        stream.observe(media(text), text, Instant::now(), Duration::ZERO)
    }

    /// A stream without a follower, with this newest version.
    fn stream_with(text: &Bytes) -> Arc<Stream> {
        let stream = Arc::new(Stream::new(Instant::now(), false));
        assert_eq!(observe(&stream, text), Arrival::Usable);
        stream.publish().unwrap();
        stream.stop_following();
        stream
    }

    #[test]
    fn a_sleeping_stream_is_remembered_as_before() {
        let newest = text(10);
        for access in [
            (|stream| assert_eq!(stream.media().unwrap(), media(&text(10)))) as fn(&Stream),
            |stream| assert!(stream.wants_follower()),
            |stream| assert_eq!(stream.lag(), 0),
            |stream| assert_eq!(stream.subscribe().borrow().clone().unwrap(), media(&text(10))),
            |stream| assert_eq!(observe(stream, &text(9)), Arrival::Backward),
            |stream| assert_eq!(observe(stream, &text(11)), Arrival::Usable),
            |stream| assert_eq!(stream.confirm_unchanged(Instant::now(), Duration::ZERO), Arrival::Usable),
        ] {
            let stream = stream_with(&newest);
            assert!(stream.is_asleep() && stream.memory.newest.borrow().is_none());
            access(&stream);
            assert!(!stream.is_asleep() && stream.memory.newest.borrow().is_some());
        }
    }

    #[test]
    fn a_stream_does_not_sleep_while_it_is_requested_or_followed() {
        let stream = stream_with(&text(10));
        let request = stream.open_request(false);
        assert!(stream.wants_follower());
        stream.sleep_if_idle_for(Duration::ZERO);
        assert!(!stream.is_asleep());
        drop(request);
        stream.sleep_if_idle_for(Duration::from_secs(1));
        assert!(!stream.is_asleep(), "it was requested just now");
        assert!(stream.start_following());
        stream.sleep_if_idle_for(Duration::ZERO);
        assert!(!stream.is_asleep());
        stream.stop_following();
        assert!(stream.is_asleep());
    }

    #[test]
    fn a_stream_does_not_sleep_when_its_timeline_is_ahead_of_its_newest_version() {
        let stream = stream_with(&text(10));
        assert_eq!(observe(&stream, &text(11)), Arrival::Usable);
        stream.discard_received();
        stream.stop_following();
        assert!(!stream.is_asleep(), "the version before would be taken for the newest");
    }

    /// A stream that has ended has no follower that could put it to sleep.
    #[tokio::test(start_paused = true)]
    async fn a_stream_without_a_follower_sleeps_after_a_while_without_requests() {
        let streams = Streams::new(&config::Cache::default());
        let stream = streams.find_or_create(&Key::new("site", "/index.m3u8"), false);
        let ended = Bytes::from([&text(10)[..], b"#EXT-X-ENDLIST\n"].concat());
        assert_eq!(observe(&stream, &ended), Arrival::Usable);
        stream.publish().unwrap();
        for _ in 0..2 {
            drop(stream.open_request(false));
            assert!(!stream.wants_follower());
            streams.tidy();
            assert_eq!(streams.count(), (1, 0));
            tokio::time::advance(Duration::from_mins(2)).await;
            streams.tidy();
            assert_eq!(streams.count(), (1, 1));
        }
    }

    /// Twelve renditions of four channels, with a day of segments of six seconds.
    #[test]
    fn playlists_of_a_day_are_all_remembered() {
        let segments = (0..14_400)
            .map(|number| format!("#EXTINF:6.000,\n{number:08}.m4s\n"))
            .collect::<Vec<_>>()
            .concat();
        let text =
            Bytes::from(format!("#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:7\n{segments}"));
        let streams = Streams::new(&config::Cache::default());
        for number in 0..48 {
            let key = Key::new("site", &format!("/{number}.m3u8"));
            let stream = streams.find_or_create(&key, false);
            assert_eq!(observe(&stream, &text), Arrival::Usable);
            stream.publish().unwrap();
            assert!(stream.record_weight());
            streams.weigh_again(&key, &stream);
        }
        for number in 0..48 {
            assert!(streams.of(&Key::new("site", &format!("/{number}.m3u8"))).is_some(), "{number}");
        }
    }

    /// The version may have been there for nearly as long as a segment takes.
    #[tokio::test(start_paused = true)]
    async fn the_next_version_may_come_early_also_for_a_tier_that_has_just_started() {
        let stream = stream_with(&text(10));
        let poll = stream.next_poll(0).expect("it is live");
        assert!(poll.saturating_duration_since(Instant::now()) <= Duration::from_secs(1), "half a segment");
    }

    #[test]
    fn sleeping_and_waking_are_no_new_version_for_subscribers() {
        let stream = stream_with(&text(10));
        let mut versions = stream.subscribe();
        versions.mark_unchanged();
        stream.stop_following();
        assert!(stream.is_asleep() && !versions.has_changed().unwrap());
        assert!(stream.is_live() && !versions.has_changed().unwrap());
    }

    #[test]
    fn a_stream_is_never_unknown_while_another_thread_wakes_it() {
        let stream = stream_with(&text(10));
        for _ in 0..2_000 {
            stream.stop_following();
            std::thread::scope(|threads| {
                for _ in 0..3 {
                    threads.spawn(|| assert!(stream.media().is_some()));
                }
            });
        }
    }
}
