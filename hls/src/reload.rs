//! Blocking reload: how to answer a request that names a segment or part (section 6.2.5.2).

use std::time::Duration;

use crate::{Directives, Media, Position};

/// How to answer a request for a media playlist, given its newest version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// Send the newest version, in full.
    Ready,
    /// The playlist has ended: the directives mean nothing. Send the newest version.
    Ignored,
    /// Block until a version [satisfies](Media::satisfies) the request.
    Block {
        /// The longest time to block; then answer 503.
        max: Duration,
    },
    /// Answer 400 immediately.
    Refused(ReloadError),
}

/// Why a blocking request is answered 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// A part needs its segment.
    #[error("_HLS_part without _HLS_msn")]
    PartWithoutMsn,
    /// It is not certain yet that there will be such a segment.
    #[error("_HLS_msn is more than two segments ahead of the playlist")]
    SegmentTooFar,
    /// The segment may come, but the part is too far ahead.
    #[error("_HLS_part is too far ahead of the playlist")]
    PartTooFar,
}

impl Media {
    /// Decides about a request with these directives. Whether the playlist has CAN-BLOCK-RELOAD is not
    /// checked: the caller has decided to block.
    pub fn reload(&self, directives: &Directives) -> Reload {
        let Some(msn) = directives.msn else {
            return match directives.part {
                Some(_) => Reload::Refused(ReloadError::PartWithoutMsn),
                None => Reload::Ready,
            };
        };
        if self.is_ended() {
            return Reload::Ignored;
        }
        if self.satisfies(directives) {
            return Reload::Ready;
        }
        match self.too_far(msn, directives.part) {
            Some(error) => Reload::Refused(error),
            None => Reload::Block { max: self.block_max() },
        }
    }

    /// The longest time to block a request: three target durations (section 6.2.5.2).
    pub fn block_max(&self) -> Duration {
        self.clamped_target_duration() * 3
    }

    fn too_far(&self, msn: u64, part: Option<u64>) -> Option<ReloadError> {
        let Position { sequence: next, parts } = self.position();
        // More than the last segment's number plus 2.
        if msn > next.saturating_add(1) {
            return Some(ReloadError::SegmentTooFar);
        }
        // A missing part of an older segment means part 0 of the next segment, which is never far.
        let (part, limit) = (part.filter(|_| msn >= next)?, self.advance_part_limit()?);
        // For the segment after the one in progress, at least this many parts are missing.
        let there = if msn == next { parts } else { 0 };
        (part.saturating_add(1) > there.saturating_add(limit)).then_some(ReloadError::PartTooFar)
    }

    /// How many parts ahead a request may be: three seconds' worth of short parts, else three. Without a part
    /// target there are no parts, and any part number means the whole segment.
    fn advance_part_limit(&self) -> Option<u64> {
        let target = self.part_target?.max(PART_TARGET_MIN).as_micros();
        let limit = if target < MICROS { 3 * MICROS / target } else { 3 };
        u64::try_from(limit).ok()
    }
}

const MICROS: u128 = 1_000_000;
/// Shorter than any frame. It keeps an absurd target from allowing everything.
const PART_TARGET_MIN: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Playlist;

    fn media(body: &str) -> Media {
        match Playlist::parse(format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{body}").as_bytes()) {
            Ok(Playlist::Media(media)) => Arc::unwrap_or_clone(media),
            other => panic!("not a media playlist: {other:?}"),
        }
    }

    /// Segments 10 and 11 with two parts each, and one part of 12.
    fn low_latency(part_target: &str) -> Media {
        let parts = |n: u64| {
            format!(
                "#EXT-X-PART:DURATION=2,URI=\"{n}.0\"\n#EXT-X-PART:DURATION=2,URI=\"{n}.1\"\n#EXTINF:4,\n{n}\n"
            )
        };
        media(&format!(
            "#EXT-X-PART-INF:PART-TARGET={part_target}\n#EXT-X-MEDIA-SEQUENCE:10\n{}{}\
             #EXT-X-PART:DURATION=2,URI=\"12.0\"\n",
            parts(10),
            parts(11)
        ))
    }

    /// Segments 10 and 11.
    const PLAIN: &str = "#EXT-X-MEDIA-SEQUENCE:10\n#EXTINF:4,\n10\n#EXTINF:4,\n11\n";
    const BLOCK: Reload = Reload::Block { max: Duration::from_secs(12) };
    const SEGMENT: Reload = Reload::Refused(ReloadError::SegmentTooFar);
    const PART: Reload = Reload::Refused(ReloadError::PartTooFar);

    fn reload(media: &Media, msn: impl Into<Option<u64>>, part: impl Into<Option<u64>>) -> Reload {
        media.reload(&Directives { msn: msn.into(), part: part.into(), skip: None })
    }

    /// Section 6.2.5.2: `_HLS_part` requires `_HLS_msn`.
    #[test]
    fn a_part_without_its_segment_is_a_bad_request() {
        let refused = Reload::Refused(ReloadError::PartWithoutMsn);
        for body in [PLAIN.to_owned(), format!("{PLAIN}#EXT-X-ENDLIST\n")] {
            assert_eq!(reload(&media(&body), None, 0), refused);
            assert_eq!(reload(&media(&body), None, u64::MAX), refused);
        }
    }

    /// Section 6.2.5.2: blocked until the segment is there; for an older segment the whole playlist is sent.
    #[test]
    fn a_request_for_a_segment_waits_for_it() {
        for (msn, expected) in [
            (None, Reload::Ready),
            (Some(0), Reload::Ready),
            (Some(10), Reload::Ready),
            (Some(11), Reload::Ready),
            (Some(12), BLOCK),
            (Some(13), BLOCK),
            (Some(14), SEGMENT),
            (Some(1 << 63), SEGMENT),
            (Some(u64::MAX), SEGMENT),
        ] {
            assert_eq!(reload(&media(PLAIN), msn, None), expected, "{msn:?}");
        }
    }

    /// Section 6.2.5.2: a part beyond the segment's last one is part 0 of the segment that follows.
    #[test]
    fn a_request_for_a_part_waits_for_it_or_for_the_next_segment() {
        let media = low_latency("2");
        for (msn, part, expected) in [
            (9, 7, Reload::Ready),
            (11, 1, Reload::Ready),
            (11, 2, Reload::Ready),
            (11, 99, Reload::Ready),
            (12, 0, Reload::Ready),
            (12, 1, BLOCK),
            (12, 3, BLOCK),
            (12, 4, PART),
            (13, 0, BLOCK),
            (13, 2, BLOCK),
            (13, 3, PART),
            (13, u64::MAX, PART),
            (14, 0, SEGMENT),
            (u64::MAX, u64::MAX, SEGMENT),
        ] {
            assert_eq!(reload(&media, msn, part), expected, "{msn} {part}");
        }
    }

    #[test]
    fn a_part_past_the_last_one_waits_for_the_next_segments_first() {
        let at_the_edge = media(
            "#EXT-X-PART-INF:PART-TARGET=2\n#EXT-X-MEDIA-SEQUENCE:11\n\
             #EXT-X-PART:DURATION=2,URI=\"a\"\n#EXT-X-PART:DURATION=2,URI=\"b\"\n#EXTINF:4,\n11\n",
        );
        assert_eq!(reload(&at_the_edge, 11, 1), Reload::Ready);
        assert_eq!(reload(&at_the_edge, 11, 2), BLOCK);
        assert_eq!(reload(&at_the_edge, 11, 9), BLOCK);
    }

    /// Section 6.2.5.2: the Advance Part Limit is three seconds' worth of parts shorter than a second, else
    /// three.
    #[test]
    fn short_parts_may_be_requested_further_ahead() {
        for (part_target, limit) in [("4", 3), ("1", 3), ("0.999", 3), ("0.5", 6), ("0.33334", 8), ("0", 300)]
        {
            let media = low_latency(part_target);
            assert_eq!(reload(&media, 12, limit), BLOCK, "{part_target}");
            assert_eq!(reload(&media, 12, limit + 1), PART, "{part_target}");
        }
    }

    #[test]
    fn without_part_target_a_part_means_its_segment() {
        for part in [0, 1, u64::MAX] {
            assert_eq!(reload(&media(PLAIN), 11, part), Reload::Ready);
            assert_eq!(reload(&media(PLAIN), 12, part), BLOCK);
            assert_eq!(reload(&media(PLAIN), 14, part), SEGMENT);
        }
    }

    /// Section 6.2.5.2: directives are ignored once EXT-X-ENDLIST is present.
    #[test]
    fn an_ended_playlist_never_blocks() {
        for body in [format!("{PLAIN}#EXT-X-ENDLIST\n"), format!("#EXT-X-PLAYLIST-TYPE:VOD\n{PLAIN}")] {
            assert_eq!(reload(&media(&body), 99, None), Reload::Ignored);
            assert_eq!(reload(&media(&body), 1, 5), Reload::Ignored);
        }
    }

    #[test]
    fn an_empty_playlist_and_the_last_sequence_number_are_handled() {
        let empty = media("#EXT-X-MEDIA-SEQUENCE:7\n");
        assert_eq!(reload(&empty, 6, None), Reload::Ready);
        assert_eq!(reload(&empty, 7, 0), BLOCK);
        assert_eq!(reload(&empty, 9, None), SEGMENT);
        let last = media("#EXT-X-MEDIA-SEQUENCE:18446744073709551614\n#EXTINF:4,\na\n");
        assert_eq!(reload(&last, u64::MAX, None), BLOCK);
        assert_eq!(reload(&last, u64::MAX, u64::MAX), BLOCK);
    }

    #[test]
    fn the_blocking_time_is_never_zero() {
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:0\n#EXTINF:0.4,\na\n";
        let Ok(Playlist::Media(short)) = Playlist::parse(text.as_bytes()) else { panic!("{text}") };
        assert_eq!(short.block_max(), Duration::from_millis(1_500));
    }
}
