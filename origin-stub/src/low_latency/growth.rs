//! A segment that is requested while it grows: each part is sent as soon as it is complete (HLS section
//! 6.2.6), and none is begun before.

use std::num::NonZeroU64;

use http::HeaderMap;
use http::header::{CONTENT_RANGE, RANGE};

use super::watch::Watch;
use super::{Position, Progress};
use crate::answer::{Answer, Content, put};

/// How a segment grows. Its bytes are known beforehand; when they may be sent is not.
#[derive(Clone, Debug)]
pub(crate) struct Growth {
    pub(crate) watch: Watch,
    pub(crate) segment: u64,
    pub(crate) parts: Parts,
}

/// The ends of a segment's parts, in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Parts(pub(crate) Vec<u64>);

impl Parts {
    /// The part that contains a byte.
    pub(crate) fn of_byte(&self, at: u64) -> Option<u64> {
        self.0.iter().position(|end| at < *end).map(|part| part as u64)
    }

    /// The number of bytes that exist of a segment.
    fn made(&self, segment: u64, progress: &Progress) -> u64 {
        let last = progress.last();
        let whole = if segment < last.segment { self.0.len() as u64 } else { last.part + 1 };
        let made = if segment > last.segment { 0 } else { whole };
        let newest = made.checked_sub(1).and_then(|newest| usize::try_from(newest).ok());
        newest.and_then(|newest| self.0.get(newest)).copied().unwrap_or(0)
    }
}

impl Growth {
    /// Waits until byte `at` may be sent; returns how many bytes may be sent from there on. `None` if that
    /// takes too long.
    pub(crate) async fn ready(&self, at: u64) -> Option<NonZeroU64> {
        let needed = Position { segment: self.segment, part: self.parts.of_byte(at)? };
        let mut watch = self.watch.clone();
        watch.look_again();
        let (progress, _) = watch.until(|_| Ok(Some(needed))).await.ok()?;
        NonZeroU64::new(self.parts.made(self.segment, &progress).saturating_sub(at))
    }
}

/// The first requested byte.
pub(crate) fn first_byte(headers: &HeaderMap) -> u64 {
    bounds(headers).map_or(0, |(first, _)| first)
}

/// Announces in the head that the object is not complete. True if the length of the body is unknown: it
/// continues until the segment is complete.
pub(crate) fn announce(answer: &mut Answer, headers: &HeaderMap) -> bool {
    if !matches!(answer.content, Content::Growing { .. }) {
        return false;
    }
    // A range is open if it has no end, or the one that RFC 8673 defines for ranges without an end.
    let end = bounds(headers).and_then(|(_, last)| last).filter(|last| *last < VERY_LARGE);
    if answer.headers.contains_key(CONTENT_RANGE) {
        let last = end.map_or(VERY_LARGE, |_| answer.body.end - 1);
        put(&mut answer.headers, CONTENT_RANGE, &format!("bytes {}-{last}/*", answer.body.start));
    }
    end.is_none()
}

/// 2^53-1 (RFC 8673 section 4).
const VERY_LARGE: u64 = (1 << 53) - 1;

/// First and last byte of a range that says where it begins.
fn bounds(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let range = headers.get(RANGE)?.to_str().ok()?;
    let (first, last) = range.trim().strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::progress;
    use super::*;

    #[test]
    fn bytes_are_sent_part_by_part() {
        let parts = Parts(vec![10, 20, 30, 40, 50, 60]);
        assert_eq!(
            [0, 9, 10, 59, 60].map(|at| parts.of_byte(at)),
            [Some(0), Some(0), Some(1), Some(5), None]
        );
        let made = |segment, millis| parts.made(segment, &progress(millis));
        assert_eq!([made(500, 1_000_000), made(500, 1_000_700), made(501, 1_000_700)], [0, 20, 0]);
        assert_eq!([made(500, 1_002_000), made(500, 1_004_000)], [60, 60]);
    }

    #[test]
    fn a_range_may_be_open() {
        let bounds = |range: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, range.parse().unwrap());
            bounds(&headers)
        };
        assert_eq!(bounds("bytes=5-"), Some((5, None)));
        assert_eq!(bounds("bytes=5-9007199254740991"), Some((5, Some(VERY_LARGE))));
        assert_eq!(bounds("bytes=-5"), None);
    }
}
