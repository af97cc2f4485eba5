//! A slice: a byte range that a playlist lists (HLS section 4.4.4.2), cached as an object of its own.
//!
//! A recording in one file is many segments, and while it is live the file grows with each of them. Cached as
//! a whole, it would be fetched again for each segment, or exceed the largest size of an object. So each
//! slice is requested by its range, stored under the name of its resource and range, and served to requests
//! for exactly these bytes.

use std::fmt;
use std::ops::RangeInclusive;

use http::{HeaderMap, HeaderValue, Method, header};
use tidegate_cache::Key;
use tidegate_headers::hop::SLICE;
use tidegate_headers::range::{self, RangeSpec, Span};
use tidegate_hls::ByteRange;

use crate::site::Site;

/// A byte range of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slice(Span);

impl Slice {
    /// The slice that a playlist lists; `None` for a range without an end.
    pub(crate) fn listed(range: ByteRange) -> Option<Self> {
        let last = range.length?.checked_sub(1)?;
        Some(Self(Span { start: range.start, end_inclusive: range.start.checked_add(last)? }))
    }

    /// The slice that a viewer requests: one range with both ends, and without a condition. (A tier that
    /// resumes a broken body at another upstream checks itself whether it is the same object.)
    pub(crate) fn requested(method: &Method, headers: &HeaderMap) -> Option<Self> {
        let range = headers.get(header::RANGE).filter(|_| *method == Method::GET)?;
        if headers.contains_key(header::IF_RANGE) && !headers.contains_key(&SLICE) {
            return None;
        }
        match range::parse(range.to_str().ok()?, 1)?.iter().next()? {
            RangeSpec::From(start, Some(end_inclusive)) if end_inclusive < range::FOLLOW_FROM => {
                Some(Self(Span { start, end_inclusive }))
            }
            _ => None,
        }
    }

    /// The key of the slice. No resource's own name has a `#`.
    pub(crate) fn key(self, site: &Site, resource: &str) -> Key {
        Key::new(&site.name, &format!("{resource}#{self}"))
    }

    /// The position of its last byte.
    pub(crate) const fn last(self) -> u64 {
        self.0.end_inclusive
    }

    /// Its bytes.
    pub(crate) const fn bytes(self) -> RangeInclusive<u64> {
        self.0.start..=self.0.end_inclusive
    }

    /// Adds the header fields of a request for the slice to a shield or to an origin.
    pub(crate) fn add_headers(self, headers: &mut HeaderMap, is_shield: bool) {
        if let Ok(range) = HeaderValue::try_from(self.to_string()) {
            headers.insert(header::RANGE, range);
        }
        if is_shield {
            headers.insert(SLICE.clone(), HeaderValue::from_static("?1"));
        }
    }
}

/// The value of a `Range` field.
impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes={}-{}", self.0.start, self.0.end_inclusive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requested(fields: &[(http::HeaderName, &'static str)]) -> Option<String> {
        let fields = fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        Slice::requested(&Method::GET, &fields.collect()).map(|slice| slice.to_string())
    }

    #[test]
    fn a_slice_is_one_range_with_both_ends() {
        assert_eq!(requested(&[(header::RANGE, "bytes=100-299")]).as_deref(), Some("bytes=100-299"));
        for other in ["bytes=100-", "bytes=-5", "bytes=0-1,5-6", "bytes=0-9007199254740991", "lines=1-2"] {
            assert_eq!(requested(&[(header::RANGE, other)]), None, "{other}");
        }
        assert_eq!(requested(&[(header::RANGE, "bytes=1-2"), (header::IF_RANGE, "\"a\"")]), None);
        assert_eq!(requested(&[]), None);
    }

    #[test]
    fn a_listed_slice_is_the_requested_one() {
        let listed =
            |start, length| Slice::listed(ByteRange { start, length }).map(|slice| slice.to_string());
        assert_eq!(listed(100, Some(200)).as_deref(), Some("bytes=100-299"));
        assert_eq!(listed(100, None), None);
        assert_eq!(listed(100, Some(0)), None);
        assert_eq!(listed(u64::MAX, Some(2)), None);
    }
}
