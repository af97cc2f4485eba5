//! From an object to an answer: conditional requests and ranges (RFC 9110 sections 13 and 14).

use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::clock::http_date;
use crate::low_latency::growth::Growth;
use crate::synthetic::{mix, synthetic_variant};

/// An object that can be requested.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) content: Content,
    pub(crate) content_type: String,
    pub(crate) cache_control: String,
    /// Without it the object cannot be requested conditionally.
    pub(crate) etag: Option<String>,
    /// Since the Unix epoch.
    pub(crate) last_modified: Option<Duration>,
}

/// The bytes of an object, or a recipe for them.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Whole(Bytes),
    Synthetic {
        path: Arc<str>,
        variant: u64,
        size: u64,
    },
    /// Bytes that may be sent as they are made.
    Growing {
        bytes: Bytes,
        growth: Box<Growth>,
    },
}

/// The response before faults change it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) content: Content,
    /// The range of the content that is the body.
    pub(crate) body: Range<u64>,
}

impl Object {
    /// Responds to GET and HEAD.
    pub(crate) fn answer(self, method: &Method, request: &HeaderMap) -> Answer {
        let mut headers = HeaderMap::new();
        put(&mut headers, CACHE_CONTROL, &self.cache_control);
        if let Some(etag) = &self.etag {
            put(&mut headers, ETAG, etag);
        }
        if let Some(moment) = self.last_modified {
            put(&mut headers, LAST_MODIFIED, &http_date(moment));
        }
        if self.is_unchanged(request) {
            return Answer {
                status: StatusCode::NOT_MODIFIED,
                headers,
                content: Content::empty(),
                body: 0..0,
            };
        }
        put(&mut headers, CONTENT_TYPE, &self.content_type);
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let length = self.content.len();
        // Range applies to GET only, not to HEAD (RFC 9110 section 14.2).
        let has_range = method == Method::GET && self.range_applies(request);
        let range = if has_range {
            text(request, RANGE).map_or(Selection::All, |range| parse(range, length))
        } else {
            Selection::All
        };
        let (status, body) = match range {
            Selection::All => (StatusCode::OK, 0..length),
            Selection::Part(part) => {
                put(&mut headers, CONTENT_RANGE, &format!("bytes {}-{}/{length}", part.start, part.end - 1));
                (StatusCode::PARTIAL_CONTENT, part)
            }
            Selection::Nothing => {
                put(&mut headers, CONTENT_RANGE, &format!("bytes */{length}"));
                return Answer {
                    status: StatusCode::RANGE_NOT_SATISFIABLE,
                    headers,
                    content: Content::empty(),
                    body: 0..0,
                };
            }
        };
        Answer { status, headers, content: self.content, body }
    }

    /// If-None-Match takes precedence over If-Modified-Since (RFC 9110 section 13.2.2).
    fn is_unchanged(&self, request: &HeaderMap) -> bool {
        if let Some(tags) = text(request, IF_NONE_MATCH) {
            let own = self.etag.as_deref().unwrap_or_default();
            let weakly_equal = |tag: &str| tag.trim_start_matches("W/") == own.trim_start_matches("W/");
            return tags.trim() == "*"
                || (!own.is_empty() && tags.split(',').map(str::trim).any(weakly_equal));
        }
        let since = text(request, IF_MODIFIED_SINCE).and_then(|date| httpdate::parse_http_date(date).ok());
        matches!((since, self.last_modified), (Some(since), Some(own)) if seconds(own) <= since)
    }

    /// If-Range requires a strong match (RFC 9110 section 13.1.5); without it a Range always applies.
    fn range_applies(&self, request: &HeaderMap) -> bool {
        let Some(condition) = text(request, IF_RANGE) else { return true };
        if condition.starts_with('"') {
            return self.etag.as_deref() == Some(condition);
        }
        let date = httpdate::parse_http_date(condition).ok();
        matches!((date, self.last_modified), (Some(date), Some(own)) if seconds(own) == date)
    }
}

impl Content {
    pub(crate) fn empty() -> Self {
        Self::Whole(Bytes::new())
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Whole(bytes) | Self::Growing { bytes, .. } => bytes.len() as u64,
            Self::Synthetic { size, .. } => *size,
        }
    }

    /// Waits until byte `at` may be sent; returns how many may be sent from there on. `None` if it never
    /// exists.
    pub(crate) async fn ready(&self, at: u64) -> Option<NonZeroU64> {
        match self {
            Self::Whole(_) | Self::Synthetic { .. } => Some(NonZeroU64::MAX),
            Self::Growing { growth, .. } => growth.ready(at).await,
        }
    }

    /// The bytes of `range`, which must be within the content.
    pub(crate) fn slice(&self, range: Range<u64>) -> Bytes {
        match self {
            Self::Whole(bytes) | Self::Growing { bytes, .. } => {
                let at = |position: u64| usize::try_from(position).unwrap_or(usize::MAX).min(bytes.len());
                bytes.slice(at(range.start)..at(range.end))
            }
            Self::Synthetic { path, variant, .. } => synthetic_variant(path, *variant, range),
        }
    }
}

impl Answer {
    /// A status with a line of text as its reason.
    pub(crate) fn text(status: StatusCode, line: &str) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        let body = Bytes::from(format!("{line}\n"));
        let length = body.len() as u64;
        Self { status, headers, content: Content::Whole(body), body: 0..length }
    }

    /// A status alone.
    pub(crate) fn bare(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), content: Content::empty(), body: 0..0 }
    }

    pub(crate) fn with(mut self, name: HeaderName, value: &str) -> Self {
        put(&mut self.headers, name, value);
        self
    }
}

/// A refusal: a status and a line of text.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    why: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::text(refusal.status, &refusal.why)
    }
}

/// A strong `ETag` (RFC 9110 section 8.8.3) made from the content alone.
pub(crate) fn etag(content: &[u8]) -> String {
    let (words, rest) = content.as_chunks::<8>();
    let start = mix(content.len() as u64);
    let hash = words.iter().fold(start, |hash, word| mix(hash ^ u64::from_le_bytes(*word)));
    let hash = rest.iter().fold(hash, |hash, byte| mix(hash ^ u64::from(*byte)));
    format!("\"{hash:016x}\"")
}

/// Sets a header; a value that HTTP does not allow is left out.
pub(crate) fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

enum Selection {
    All,
    Part(Range<u64>),
    Nothing,
}

/// One range of bytes (RFC 9110 section 14.1.2). Several ranges, other units and invalid syntax are ignored,
/// as section 14.2 allows.
fn parse(range: &str, length: u64) -> Selection {
    let Some((first, last)) = range.trim().strip_prefix("bytes=").and_then(|set| set.trim().split_once('-'))
    else {
        return Selection::All;
    };
    let part = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(length),
        (Some(first), None) if last.is_empty() => first..length,
        (None, Some(suffix)) if first.is_empty() => length.saturating_sub(suffix)..length,
        _ => return Selection::All,
    };
    if part.start < part.end { Selection::Part(part) } else { Selection::Nothing }
}

/// Digits only; a number that overflows counts as the largest one.
fn number(digits: &str) -> Option<u64> {
    let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| digits.parse().unwrap_or(u64::MAX))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// HTTP dates have whole seconds.
fn seconds(since_epoch: Duration) -> std::time::SystemTime {
    UNIX_EPOCH + Duration::from_secs(since_epoch.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> Object {
        Object {
            content: Content::Whole(Bytes::from_static(b"0123456789")),
            content_type: "text/plain".to_owned(),
            cache_control: "max-age=1".to_owned(),
            etag: Some("\"a\"".to_owned()),
            last_modified: Some(Duration::from_millis(1_000_500)),
        }
    }

    fn ask(pairs: &[(&'static str, &str)]) -> (u16, Range<u64>, String) {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        let answer = object().answer(&Method::GET, &headers);
        let range = text(&answer.headers, CONTENT_RANGE).unwrap_or_default().to_owned();
        (answer.status.as_u16(), answer.body, range)
    }

    #[test]
    fn ranges_are_cut_as_the_standard_defines() {
        for (range, status, body, content_range) in [
            ("bytes=0-0", 206, 0..1, "bytes 0-0/10"),
            ("bytes=3-", 206, 3..10, "bytes 3-9/10"),
            ("bytes=3-99999999999999999999999", 206, 3..10, "bytes 3-9/10"),
            ("bytes=-3", 206, 7..10, "bytes 7-9/10"),
            ("bytes=-30", 206, 0..10, "bytes 0-9/10"),
            ("bytes=10-", 416, 0..0, "bytes */10"),
            ("bytes=-0", 416, 0..0, "bytes */10"),
            ("bytes=5-3", 200, 0..10, ""),
            ("bytes=0-1,4-5", 200, 0..10, ""),
            ("bytes=", 200, 0..10, ""),
            ("bytes=+1-2", 200, 0..10, ""),
            ("lines=1-2", 200, 0..10, ""),
        ] {
            assert_eq!(ask(&[("range", range)]), (status, body, content_range.to_owned()), "{range}");
        }
    }

    #[test]
    fn if_range_requires_the_same_object() {
        let date = http_date(Duration::from_secs(1000));
        let other_date = http_date(Duration::from_secs(1001));
        for (condition, status) in [
            ("\"a\"", 206),
            ("\"b\"", 200),
            ("W/\"a\"", 200),
            (date.as_str(), 206),
            (other_date.as_str(), 200),
        ] {
            assert_eq!(ask(&[("range", "bytes=1-2"), ("if-range", condition)]).0, status, "{condition}");
        }
    }

    #[test]
    fn an_object_that_has_not_changed_is_a_304() {
        let date = http_date(Duration::from_secs(1000));
        let before = http_date(Duration::from_secs(999));
        for (pairs, status) in [
            (vec![("if-none-match", "\"a\"")], 304),
            (vec![("if-none-match", "\"x\", W/\"a\"")], 304),
            (vec![("if-none-match", "*")], 304),
            (vec![("if-none-match", "\"x\"")], 200),
            (vec![("if-modified-since", date.as_str())], 304),
            (vec![("if-modified-since", before.as_str())], 200),
            (vec![("if-none-match", "\"x\""), ("if-modified-since", date.as_str())], 200),
        ] {
            assert_eq!(ask(&pairs).0, status, "{pairs:?}");
        }
    }

    #[test]
    fn an_etag_depends_on_every_byte_and_on_the_length() {
        assert_eq!(etag(b"0123456789"), etag(b"0123456789"));
        assert_ne!(etag(b"0123456789"), etag(b"0123456780"));
        assert_ne!(etag(b"0123456789"), etag(b"1123456789"));
        assert_ne!(etag(b""), etag(b"\0"));
    }
}
