//! Blocking reload (HLS section 6.2.5.2): a request for a future version of a playlist blocks until it is
//! there.

use std::time::Duration;

use tidegate_hls::{Directives, Media, Reload, ReloadError};
use tokio::time::Instant;

use super::stream::Stream;

/// How a request with delivery directives stops blocking.
pub(crate) enum Blocked {
    /// The newest version is the response.
    Proceed,
    /// It is a bad request.
    Refused(ReloadError),
    /// It has blocked for three target durations (HLS section 6.2.5.2).
    TimedOut,
}

/// Whether a request with these directives needs a version that the tier does not have.
pub(crate) fn is_ahead(stream: &Stream, directives: &Directives) -> bool {
    let reload = stream.media().map(|media| media.reload(directives));
    let part_alone = Reload::Refused(ReloadError::PartWithoutMsn);
    matches!(reload, Some(Reload::Block { .. } | Reload::Refused(_))) && reload != Some(part_alone)
}

/// Blocks a request until its directives are satisfied. Cancelling the wait forgets it.
///
/// `may_refuse`: only a tier that faces players and is current refuses a request for a version that is too
/// far ahead. Otherwise the client may know a newer version from another tier, or one from before an encoder
/// restart: it receives the newest version of this tier.
///
/// A tier whose follower has just started is not current: the upstream may have a newer version. The request
/// blocks until the upstream has responded, or has had the time to do so.
pub(crate) async fn block(stream: &Stream, directives: &Directives, may_refuse: bool) -> Blocked {
    let mut versions = stream.subscribe();
    let mut purges = stream.purges.subscribe();
    if stream.purges.is_forgotten() {
        return Blocked::Proceed;
    }
    let began = Instant::now();
    let mut has_waited = false;
    loop {
        if stream.sliding.is_known() {
            return Blocked::Proceed;
        }
        let (until, outcome) = match &*versions.borrow_and_update() {
            None => (began + FIRST_VERSION_WITHIN, Blocked::Proceed),
            Some(media) => match media.reload(directives) {
                Reload::Block { max } => (began + max, Blocked::TimedOut),
                // It does not depend on the version.
                Reload::Refused(error @ ReloadError::PartWithoutMsn) if may_refuse => {
                    return Blocked::Refused(error);
                }
                // A request that blocks during an encoder restart was valid when it arrived.
                Reload::Refused(error) if !has_waited => {
                    let refused = if may_refuse { Blocked::Refused(error) } else { Blocked::Proceed };
                    match stream.current_at(media) {
                        Some(current) if current > Instant::now() => (current, refused),
                        Some(_) => return refused,
                        None => return Blocked::Proceed,
                    }
                }
                Reload::Ready | Reload::Ignored | Reload::Refused(_) => return Blocked::Proceed,
            },
        };
        tokio::select! {
            changed = versions.changed() => match changed {
                Ok(()) => has_waited = true,
                Err(_forgotten) => return Blocked::Proceed,
            },
            // It looks up again, and blocks on what it finds then.
            _purged = purges.changed() => return Blocked::Proceed,
            () = tokio::time::sleep_until(until) => return outcome,
        }
    }
}

/// Waits for another version without a follower: until one arrives, or until the stored one expires.
pub(crate) async fn wait_without_follower(stream: &Stream) {
    let mut versions = stream.subscribe();
    let pause = versions.borrow_and_update().as_deref().map_or(FIRST_VERSION_WITHIN, Media::half_target);
    let mut purges = stream.purges.subscribe();
    tokio::select! {
        _changed = versions.changed() => {}
        _purged = purges.changed() => {}
        () = tokio::time::sleep(pause) => {}
    }
}

/// The longest time from the end of a first version's fill until the version is published.
const FIRST_VERSION_WITHIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use tidegate_hls::Playlist;

    use super::*;

    const TARGET: Duration = Duration::from_secs(4);

    /// A stream whose newest version has three segments from this number on.
    fn stream_at(first: u64) -> Arc<Stream> {
        let stream = Arc::new(Stream::new(Instant::now(), false));
        publish(&stream, first);
        stream
    }

    fn publish(stream: &Stream, first: u64) {
        let segments = [0, 1, 2].map(|number| format!("#EXTINF:4,\n{}.ts\n", first + number)).concat();
        let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{first}\n{segments}");
        let text = Bytes::from(text);
        let media = Arc::clone(Playlist::parse(&text).unwrap().as_media().unwrap());
        stream.observe(media, &text, Instant::now(), Duration::ZERO);
        stream.publish().unwrap();
    }

    fn msn(msn: u64) -> Directives {
        Directives { msn: Some(msn), ..Directives::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_refused_once_the_upstream_has_had_time_to_send_a_newer_version() {
        let stream = stream_at(10);
        assert!(stream.start_following());
        let began = Instant::now();
        assert!(matches!(block(&stream, &msn(20), true).await, Blocked::Refused(ReloadError::SegmentTooFar)));
        assert_eq!(began.elapsed(), TARGET / 2, "at least two seconds");
        assert!(matches!(block(&stream, &msn(20), true).await, Blocked::Refused(_)));
        assert_eq!(began.elapsed(), TARGET / 2, "the tier is current now");
        stream.stop_following();
        assert!(matches!(block(&stream, &msn(20), true).await, Blocked::Proceed), "it is not followed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_ahead_of_an_old_version_gets_the_newer_one() {
        let (stream, ahead) = (stream_at(10), msn(22));
        assert!(stream.start_following() && is_ahead(&stream, &ahead));
        let arrives = async {
            tokio::task::yield_now().await;
            publish(&stream, 20);
        };
        let (outcome, ()) = tokio::join!(block(&stream, &ahead, true), arrives);
        assert!(matches!(outcome, Blocked::Proceed));
        assert!(!is_ahead(&stream, &ahead));
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_without_its_segment_is_refused_immediately() {
        let (stream, began) = (stream_at(10), Instant::now());
        let part_alone = Directives { part: Some(1), ..Directives::default() };
        assert!(matches!(block(&stream, &part_alone, true).await, Blocked::Refused(_)));
        assert!(began.elapsed().is_zero() && !is_ahead(&stream, &part_alone));
    }
}
