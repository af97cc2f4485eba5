//! Streams that nobody follows: known as before, in little memory.
//!
//! A tier knows a playlist for a day after anybody has asked for it, and most of those have long ended by then. What its
//! newest version lists is kept as it was given out, in text, which takes a third of the memory; whoever wants to know is
//! told all the same: it is read again then.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use parking_lot::MutexGuard;
use tidegate_hls::{Media, Playlist, Timeline};

use super::Stream;

impl Stream {
    /// What is known from version to version, of a stream that is awake.
    pub(super) fn timeline(&self) -> MutexGuard<'_, Timeline> {
        let mut timeline = self.timeline.lock();
        if self.is_resting.load(Ordering::Acquire) {
            self.wake(&mut timeline);
        }
        timeline
    }

    /// The newest version that is held.
    pub(crate) fn media(&self) -> Option<Arc<Media>> {
        let media = self.newest.borrow().clone();
        media.or_else(|| {
            let _awake = self.is_resting.load(Ordering::Acquire).then(|| self.timeline())?;
            self.newest.borrow().clone()
        })
    }

    /// Nobody brings the next version any more. As long as somebody asks for it, it does not rest: who waits for the next
    /// version looks at the one that is there.
    pub(super) fn rest(&self) {
        let mut timeline = self.timeline.lock();
        let newest = self.newest.borrow().clone();
        // What has come and was not stored is known to the timeline alone.
        let is_known = newest.is_some_and(|newest| Some(newest.position()) == timeline.position());
        if self.attending.load(Ordering::Acquire) > 0 || !is_known {
            return;
        }
        timeline.rest();
        let mut text = self.text.lock();
        // It may lie in a buffer that is larger.
        *text = Bytes::copy_from_slice(&text);
        self.is_resting.store(true, Ordering::Release);
        self.replace_unseen(None);
    }

    fn wake(&self, timeline: &mut Timeline) {
        // It was read when it came.
        if let Ok(Playlist::Media(newest)) = Playlist::parse(&self.text.lock()) {
            timeline.wake(&newest);
            self.replace_unseen(Some(Arc::new(newest)));
        }
        self.is_resting.store(false, Ordering::Release);
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

    use tokio::time::Instant;

    use super::*;
    use crate::live::Arrival;

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

    fn is_resting(stream: &Stream) -> bool {
        stream.is_resting.load(Ordering::Acquire)
    }

    #[test]
    fn a_stream_that_rests_is_known_as_before() {
        let newest = text(10);
        for look in [
            (|stream| assert_eq!(*stream.media().unwrap(), media(&text(10)))) as fn(&Stream),
            |stream| assert!(stream.wants_follower()),
            |stream| assert_eq!(stream.lag(), 0),
            |stream| assert_eq!(*stream.newest().borrow().clone().unwrap(), media(&text(10))),
            |stream| assert_eq!(arrives(stream, &text(9)), Arrival::Backward),
            |stream| assert_eq!(arrives(stream, &text(11)), Arrival::Welcome),
            |stream| assert_eq!(stream.is_unchanged(Instant::now(), Duration::ZERO), Arrival::Welcome),
        ] {
            let stream = left_with(&newest);
            assert!(is_resting(&stream) && stream.newest.borrow().is_none());
            look(&stream);
            assert!(!is_resting(&stream) && stream.newest.borrow().is_some());
        }
    }

    #[test]
    fn a_stream_does_not_rest_while_it_is_asked_for_or_when_it_is_further_than_what_is_held() {
        let stream = left_with(&text(10));
        let asked = stream.attend(false);
        assert!(stream.wants_follower());
        stream.let_go();
        assert!(!is_resting(&stream));
        drop(asked);
        assert_eq!(arrives(&stream, &text(11)), Arrival::Welcome);
        stream.dismiss();
        stream.let_go();
        assert!(!is_resting(&stream), "the version before would be taken for the newest");
    }

    #[test]
    fn whoever_waits_is_not_woken_by_a_rest() {
        let stream = left_with(&text(10));
        let mut waiting = stream.newest();
        waiting.mark_unchanged();
        stream.let_go();
        assert!(is_resting(&stream) && !waiting.has_changed().unwrap());
        assert!(stream.is_live() && !waiting.has_changed().unwrap());
    }
}
