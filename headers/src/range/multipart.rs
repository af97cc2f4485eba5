//! `multipart/byteranges` (RFC 9110 section 14.6): several spans of one object in one body of known length.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::HeaderValue;

use super::span::Span;
use crate::field;

/// The framing of the spans of one response. A body is, for each span, [`Multipart::part_head`] and the
/// span's bytes, and [`Multipart::close`] at the end.
#[derive(Debug, Clone)]
pub struct Multipart {
    boundary: String,
    content_type: Option<HeaderValue>,
    len: u64,
}

impl Multipart {
    /// A framing with its own boundary, for an object of `len` bytes; each part repeats `content_type`.
    pub fn new(content_type: Option<HeaderValue>, len: u64) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // A boundary must not occur in the object (RFC 2046 section 5.1.1). 128 bits keyed by this process's
        // random seeds make that practically certain without a search.
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let half = || ahash::RandomState::new().hash_one(count);
        Self::with_boundary(&format!("tidegate-{:016x}{:016x}", half(), half()), content_type, len)
    }

    /// The `Content-Type` of the response.
    pub fn content_type(&self) -> HeaderValue {
        field::value(format_args!("multipart/byteranges; boundary={}", self.boundary))
    }

    /// The bytes before a span: the delimiter, the part's headers and the empty line.
    pub fn part_head(&self, span: &Span) -> Bytes {
        let mut head = Vec::with_capacity(self.part_head_len(span));
        head.extend_from_slice(b"\r\n--");
        head.extend_from_slice(self.boundary.as_bytes());
        if let Some(content_type) = &self.content_type {
            head.extend_from_slice(CONTENT_TYPE);
            head.extend_from_slice(content_type.as_bytes());
        }
        head.extend_from_slice(CONTENT_RANGE);
        // Writing to a vector cannot fail.
        write!(head, "{}-{}/{}\r\n\r\n", span.start, span.end_inclusive, self.len).ok();
        Bytes::from(head)
    }

    /// The bytes after the last span.
    pub fn close(&self) -> Bytes {
        Bytes::from(format!("\r\n--{}--\r\n", self.boundary))
    }

    /// The `Content-Length` of the response, known before any byte has arrived.
    pub fn content_length(&self, spans: &[Span]) -> u64 {
        let close = "\r\n--".len() + self.boundary.len() + "--\r\n".len();
        let parts = spans.iter().map(|span| as_u64(self.part_head_len(span)).saturating_add(span.len()));
        parts.fold(as_u64(close), u64::saturating_add)
    }

    pub(super) fn with_boundary(boundary: &str, content_type: Option<HeaderValue>, len: u64) -> Self {
        Self { boundary: boundary.to_owned(), content_type, len }
    }

    fn part_head_len(&self, span: &Span) -> usize {
        let content_type = self.content_type.as_ref().map_or(0, |value| CONTENT_TYPE.len() + value.len());
        let positions =
            digits(span.start) + "-".len() + digits(span.end_inclusive) + "/".len() + digits(self.len);
        "\r\n--".len()
            + self.boundary.len()
            + content_type
            + CONTENT_RANGE.len()
            + positions
            + "\r\n\r\n".len()
    }
}

const CONTENT_TYPE: &[u8] = b"\r\nContent-Type: ";
const CONTENT_RANGE: &[u8] = b"\r\nContent-Range: bytes ";

fn digits(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
