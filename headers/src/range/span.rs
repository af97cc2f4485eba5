//! A range of existing bytes.

use http::HeaderValue;

use crate::field;

/// Existing bytes of an object: both ends are positions, and `start <= end_inclusive`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first byte's position.
    pub start: u64,
    /// The last byte's position.
    pub end_inclusive: u64,
}

impl Span {
    /// The number of bytes.
    #[expect(clippy::len_without_is_empty, reason = "a span is never empty")]
    pub const fn len(&self) -> u64 {
        self.end_inclusive.saturating_sub(self.start).saturating_add(1)
    }

    /// The `Content-Range` of a 206, where the full length may not be known yet (RFC 9110 section 14.4).
    pub fn content_range(&self, len: Option<u64>) -> HeaderValue {
        let Self { start, end_inclusive } = self;
        match len {
            Some(len) => field::value(format_args!("bytes {start}-{end_inclusive}/{len}")),
            None => field::value(format_args!("bytes {start}-{end_inclusive}/*")),
        }
    }

    /// Whether the two overlap or lie next to each other.
    pub(super) const fn touches(&self, other: &Self) -> bool {
        self.start <= other.end_inclusive.saturating_add(1)
            && other.start <= self.end_inclusive.saturating_add(1)
    }
}
