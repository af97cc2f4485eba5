//! What is remembered of one media playlist: its newest version, and what is known from version to version.
//!
//! A tier knows a playlist for a day after anybody has asked for it, and most of those have long ended by then. One that nobody
//! follows *sleeps*: what its newest version lists is kept as it was given out, in text, which takes a third of the memory.
//! Whoever wants to know anything of it wakes it, and finds it as it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use tidegate_hls::{Announcement, Media, Playlist, Timeline};
use tokio::sync::watch;

/// What is remembered of one media playlist.
#[derive(Debug)]
pub(super) struct Memory {
    known: Mutex<Known>,
    /// `None` as long as there is none, and while it sleeps. Changed only while `known` is locked.
    newest: watch::Sender<Option<Arc<Media>>>,
    /// Changed only while `known` is locked.
    is_asleep: AtomicBool,
}

#[derive(Debug, Default)]
struct Known {
    timeline: Timeline,
    /// The newest version as it is given out.
    text: Bytes,
}

impl Memory {
    /// Of a playlist that nothing is known of.
    pub(super) fn new() -> Self {
        Self { known: Mutex::default(), newest: watch::Sender::new(None), is_asleep: AtomicBool::new(false) }
    }

    /// What is known from version to version.
    pub(super) fn timeline(&self) -> MappedMutexGuard<'_, Timeline> {
        MutexGuard::map(self.awake(), |known| &mut known.timeline)
    }

    /// The newest version that is held.
    pub(super) fn media(&self) -> Option<Arc<Media>> {
        self.look(Arc::clone)
    }

    /// Looks at the newest version that is held.
    pub(super) fn look<T>(&self, at: impl Fn(&Arc<Media>) -> T) -> Option<T> {
        let seen = self.newest.borrow().as_ref().map(&at);
        seen.or_else(|| {
            // It may have woken since.
            let _known = self.awake();
            self.newest.borrow().as_ref().map(at)
        })
    }

    /// The newest version that is held, and those to come.
    pub(super) fn watch(&self) -> watch::Receiver<Option<Arc<Media>>> {
        let _known = self.awake();
        self.newest.subscribe()
    }

    /// A version is held from now on, which is given out as `text`. Tells what it announces.
    pub(super) fn publish(&self, newest: Arc<Media>, text: Bytes) -> Vec<Announcement> {
        let mut known = self.awake();
        known.text = text;
        self.newest.send_replace(Some(newest));
        known.timeline.take_announcements()
    }

    /// Bytes that the newest version has as it is given out.
    pub(super) fn text_bytes(&self) -> usize {
        self.known.lock().text.len()
    }

    /// Sleeps from now on, if nobody needs it awake: `may` is asked when nobody can look at it any more.
    pub(super) fn sleep(&self, may: impl FnOnce() -> bool) {
        let mut known = self.known.lock();
        let newest = self.newest.borrow().as_ref().map(|newest| newest.position());
        // A version that came and was not stored is known to the timeline alone.
        if newest.is_none() || newest != known.timeline.position() || !may() {
            return;
        }
        known.timeline.sleep();
        // It may lie in a buffer that is larger.
        known.text = Bytes::copy_from_slice(&known.text);
        self.is_asleep.store(true, Ordering::Release);
        self.replace_unseen(None);
    }

    pub(super) fn is_asleep(&self) -> bool {
        self.is_asleep.load(Ordering::Acquire)
    }

    /// Wakes it, if it sleeps.
    fn awake(&self) -> MutexGuard<'_, Known> {
        let mut known = self.known.lock();
        if self.is_asleep() {
            // It was read when it came.
            if let Ok(Playlist::Media(newest)) = Playlist::parse(&known.text) {
                known.timeline.wake(&newest);
                self.replace_unseen(Some(Arc::new(newest)));
            }
            self.is_asleep.store(false, Ordering::Release);
        }
        known
    }

    /// It is no other version for those who wait for one.
    fn replace_unseen(&self, newest: Option<Arc<Media>>) {
        self.newest.send_if_modified(|held| {
            *held = newest;
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

    fn media(text: &Bytes) -> Media {
        Playlist::parse(text).unwrap().as_media().unwrap().clone()
    }

    fn arrives(stream: &Stream, text: &Bytes) -> Arrival {
        stream.arrives(media(text), text, Instant::now(), Duration::ZERO)
    }

    /// A stream that nobody follows and whose newest version this is.
    fn left_with(text: &Bytes) -> Arc<Stream> {
        let stream = Arc::new(Stream::new(Instant::now(), false));
        assert_eq!(arrives(&stream, text), Arrival::Welcome);
        stream.publish().unwrap();
        stream.let_go();
        stream
    }

    #[test]
    fn a_stream_that_sleeps_is_known_as_before() {
        let newest = text(10);
        for look in [
            (|stream| assert_eq!(*stream.media().unwrap(), media(&text(10)))) as fn(&Stream),
            |stream| assert!(stream.wants_follower()),
            |stream| assert_eq!(stream.lag(), 0),
            |stream| assert_eq!(*stream.newest().borrow().clone().unwrap(), media(&text(10))),
            |stream| assert_eq!(arrives(stream, &text(9)), Arrival::Backward),
            |stream| assert_eq!(arrives(stream, &text(11)), Arrival::Welcome),
            |stream| assert_eq!(stream.confirm_unchanged(Instant::now(), Duration::ZERO), Arrival::Welcome),
        ] {
            let stream = left_with(&newest);
            assert!(stream.is_asleep() && stream.memory.newest.borrow().is_none());
            look(&stream);
            assert!(!stream.is_asleep() && stream.memory.newest.borrow().is_some());
        }
    }

    #[test]
    fn a_stream_does_not_sleep_while_it_is_asked_for_or_followed() {
        let stream = left_with(&text(10));
        let asked = stream.attend(false);
        assert!(stream.wants_follower());
        stream.sleep(Duration::ZERO);
        assert!(!stream.is_asleep());
        drop(asked);
        stream.sleep(Duration::from_secs(1));
        assert!(!stream.is_asleep(), "somebody has asked just now");
        assert!(stream.take_up());
        stream.sleep(Duration::ZERO);
        assert!(!stream.is_asleep());
        stream.let_go();
        assert!(stream.is_asleep());
    }

    #[test]
    fn a_stream_does_not_sleep_when_it_is_further_than_what_is_held() {
        let stream = left_with(&text(10));
        assert_eq!(arrives(&stream, &text(11)), Arrival::Welcome);
        stream.dismiss();
        stream.let_go();
        assert!(!stream.is_asleep(), "the version before would be taken for the newest");
    }

    /// One that has ended is not followed: nobody lets go of it when it has been asked for.
    #[tokio::test(start_paused = true)]
    async fn a_stream_that_nobody_follows_sleeps_when_nobody_has_asked_for_it_for_a_while() {
        let streams = Streams::new(&config::Cache::default());
        let stream = streams.begin(&Key::new("site", "/index.m3u8"), false);
        let ended = Bytes::from([&text(10)[..], b"#EXT-X-ENDLIST\n"].concat());
        assert_eq!(arrives(&stream, &ended), Arrival::Welcome);
        stream.publish().unwrap();
        for _ in 0..2 {
            drop(stream.attend(false));
            assert!(!stream.wants_follower());
            streams.tidy();
            assert_eq!(streams.count(), (1, 0));
            tokio::time::advance(Duration::from_mins(2)).await;
            streams.tidy();
            assert_eq!(streams.count(), (1, 1));
        }
    }

    #[test]
    fn whoever_waits_is_not_woken_by_it() {
        let stream = left_with(&text(10));
        let mut waiting = stream.newest();
        waiting.mark_unchanged();
        stream.let_go();
        assert!(stream.is_asleep() && !waiting.has_changed().unwrap());
        assert!(stream.is_live() && !waiting.has_changed().unwrap());
    }

    #[test]
    fn nobody_finds_it_unknown_while_another_one_wakes_it() {
        let stream = left_with(&text(10));
        for _ in 0..2_000 {
            stream.let_go();
            std::thread::scope(|threads| {
                for _ in 0..3 {
                    threads.spawn(|| assert!(stream.media().is_some()));
                }
            });
        }
    }
}
