//! Which bytes of a resource a response has, compared with the requested ones (RFC 9110 section 14).
//!
//! Some origins ignore `Range`, answer another range than the requested one, or send 206 for a whole
//! resource. What such a response has is used if that is certain; otherwise the resource is requested in
//! another way.

use std::ops::RangeInclusive;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tidegate_cache::Head;

use crate::request::UpstreamRequest;

/// What to do with a response, by the bytes that it has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// It has the requested bytes. An error counts as what was requested.
    Requested,
    /// It has the whole resource in place of a slice.
    Whole,
    /// It has more than the slice: this part of it is the slice, counted from its first byte.
    Larger(RangeInclusive<u64>),
    /// The resource ends before the slice does: either it is still growing, or no playlist has listed such a
    /// slice.
    Shorter,
    /// It has other bytes, or does not say which: the request is repeated in this way.
    Unclear(Again),
}

/// How a request is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// Without a range: the upstream does not do what a range says.
    WithoutRange,
    /// For all bytes: the upstream sends a part without a range.
    AllBytes,
}

impl Extent {
    /// Compares a response with the requested slice of the resource; `None`: the whole resource was
    /// requested. The head of a whole resource becomes that of a 200, and `Content-Range` gets its one
    /// correct form.
    pub(crate) fn of(head: &mut Head, requested: Option<&RangeInclusive<u64>>) -> Self {
        if head.status == StatusCode::OK {
            // It has no meaning there (RFC 9110 section 14.4).
            head.headers.remove(header::CONTENT_RANGE);
        }
        match (head.status, requested) {
            (StatusCode::OK, Some(_)) => Self::Whole,
            (StatusCode::PARTIAL_CONTENT, Some(span)) => of_slice(head, span),
            (StatusCode::PARTIAL_CONTENT, None) => of_unrequested(head),
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(span)) => {
                // The upstream contradicts itself: the slice begins within the resource.
                match unsatisfied_length(&head.headers) {
                    Some(length) if *span.start() < length => Self::Unclear(Again::WithoutRange),
                    _ => Self::Requested,
                }
            }
            // No condition was sent, so that there is nothing to renew.
            (StatusCode::NOT_MODIFIED, _) => Self::Unclear(Again::WithoutRange),
            _ => Self::Requested,
        }
    }
}

fn of_slice(head: &mut Head, span: &RangeInclusive<u64>) -> Extent {
    let unclear = Extent::Unclear(Again::WithoutRange);
    // The bytes of a range of the coded form are no range of the resource.
    if head.headers.contains_key(header::CONTENT_ENCODING) {
        return unclear;
    }
    let Some((sent, total)) = content_range(&head.headers) else { return unclear };
    let length = span_length(&sent);
    if declared_length(&head.headers).is_some_and(|declared| declared != length) {
        return unclear;
    }
    if total.is_some_and(|total| *sent.end() >= total) {
        return unclear;
    }
    let (start, end) = (*span.start(), *span.end());
    if sent == *span {
        set_content_range(head, &sent, total);
        return Extent::Requested;
    }
    if sent.contains(&start) && sent.contains(&end) {
        set_content_range(head, span, total);
        return Extent::Larger(start - sent.start()..=end - sent.start());
    }
    // A part that ends where the resource does not is less than was requested.
    let is_to_the_end = total.is_none_or(|total| *sent.end() + 1 == total);
    if *sent.start() == start && *sent.end() < end && is_to_the_end {
        set_content_range(head, &sent, total);
        return Extent::Shorter;
    }
    unclear
}

/// A 206 without a range in the request. If it has all bytes, it is a 200 in another form.
fn of_unrequested(head: &mut Head) -> Extent {
    let is_whole = match content_range(&head.headers) {
        Some((sent, Some(total))) => *sent.start() == 0 && *sent.end() + 1 == total,
        Some((_, None)) => false,
        // Nothing says that it is a part.
        None => !head.headers.contains_key(header::CONTENT_RANGE) && !is_multipart(&head.headers),
    };
    if !is_whole {
        return Extent::Unclear(Again::AllBytes);
    }
    head.status = StatusCode::OK;
    head.headers.remove(header::CONTENT_RANGE);
    Extent::Requested
}

fn is_multipart(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    value.get(..MULTIPART.len()).is_some_and(|start| start.eq_ignore_ascii_case(MULTIPART))
}

const MULTIPART: &[u8] = b"multipart/";

fn span_length(span: &RangeInclusive<u64>) -> u64 {
    (span.end() - span.start()).saturating_add(1)
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

pub(crate) fn set_content_range(head: &mut Head, span: &RangeInclusive<u64>, total: Option<u64>) {
    let (start, end) = (span.start(), span.end());
    let text = match total {
        Some(total) => format!("bytes {start}-{end}/{total}"),
        None => format!("bytes {start}-{end}/*"),
    };
    if let Ok(value) = HeaderValue::try_from(text) {
        head.headers.insert(header::CONTENT_RANGE, value);
    }
}

/// `Content-Range: bytes 5-9/10`: the bytes, and the full length, which may be `*`. The forms that servers
/// write by mistake (`bytes=5-9/10`, spaces, capitals) mean the same.
pub(crate) fn content_range(headers: &HeaderMap) -> Option<(RangeInclusive<u64>, Option<u64>)> {
    let (span, total) = after_unit(headers)?.split_once('/')?;
    let (start, end) = span.split_once('-')?;
    let (start, end) = (start.trim().parse().ok()?, end.trim().parse().ok()?);
    (start <= end && end < u64::MAX).then(|| (start..=end, total.trim().parse().ok()))
}

/// `Content-Range: bytes */10`, of a 416: the full length.
fn unsatisfied_length(headers: &HeaderMap) -> Option<u64> {
    after_unit(headers)?.strip_prefix('*')?.trim().strip_prefix('/')?.trim().parse().ok()
}

fn after_unit(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::CONTENT_RANGE)?.to_str().ok()?.trim();
    let (unit, rest) = value.split_at_checked("bytes".len())?;
    unit.eq_ignore_ascii_case("bytes").then(|| rest.trim_start_matches([' ', '=', ':', '\t']))
}

/// The request in another form, for an upstream whose response had unclear bytes.
pub(crate) fn repeated(request: &UpstreamRequest, again: Again) -> UpstreamRequest {
    let mut request = request.clone();
    match again {
        Again::WithoutRange => request.headers.remove(header::RANGE),
        Again::AllBytes => request.headers.insert(header::RANGE, HeaderValue::from_static("bytes=0-")),
    };
    // Not the same response without a body.
    for condition in [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE] {
        request.headers.remove(condition);
    }
    request
}

/// The part of a body that counts.
#[derive(Debug)]
pub(crate) struct Window {
    /// Bytes before it.
    before: u64,
    /// Bytes of it that are missing.
    left: u64,
}

impl Window {
    /// The `length` bytes after the first `before` ones.
    pub(crate) const fn new(before: u64, length: u64) -> Self {
        Self { before, left: length }
    }

    /// Whether all of it has been read.
    pub(crate) const fn is_complete(&self) -> bool {
        self.left == 0
    }

    /// The bytes of a chunk that count.
    pub(crate) fn cut(&mut self, mut bytes: Bytes) -> Bytes {
        let len = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let dropped = bytes.split_to(len(self.before).min(bytes.len()));
        self.before -= dropped.len() as u64;
        bytes.truncate(len(self.left));
        self.left -= bytes.len() as u64;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, fields: &[(&'static str, &str)]) -> Head {
        let fields = fields.iter();
        let headers = fields.map(|(name, value)| {
            (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        Head { status: StatusCode::from_u16(status).unwrap(), headers: headers.collect() }
    }

    const AGAIN: Extent = Extent::Unclear(Again::WithoutRange);

    #[test]
    fn a_response_to_a_range_is_used_as_far_as_it_is_certain() {
        for (status, fields, expected) in [
            (200, &[][..], Extent::Whole),
            (206, &[("content-range", "bytes 100-199/1000")], Extent::Requested),
            (206, &[("content-range", "bytes 100-199/*")], Extent::Requested),
            (
                206,
                &[("content-range", "Bytes=100 - 199 / 1000"), ("content-length", "100")],
                Extent::Requested,
            ),
            (206, &[("content-range", "bytes 0-999/1000")], Extent::Larger(100..=199)),
            (206, &[("content-range", "bytes 100-299/1000")], Extent::Larger(0..=99)),
            (206, &[("content-range", "bytes 100-149/150")], Extent::Shorter),
            (206, &[("content-range", "bytes 100-149/*")], Extent::Shorter),
            (206, &[("content-range", "bytes 100-149/1000")], AGAIN),
            (206, &[("content-range", "bytes 0-99/1000")], AGAIN),
            (206, &[("content-range", "bytes 100-199/150")], AGAIN),
            (206, &[("content-range", "bytes 199-100/1000")], AGAIN),
            (206, &[("content-range", "bytes 100-199/1000"), ("content-length", "99")], AGAIN),
            (206, &[("content-range", "bytes 100-199/1000"), ("content-encoding", "gzip")], AGAIN),
            (206, &[("content-type", "multipart/byteranges; boundary=x")], AGAIN),
            (206, &[], AGAIN),
            (416, &[("content-range", "bytes */1000")], AGAIN),
            (416, &[("content-range", "bytes */100")], Extent::Requested),
            (416, &[], Extent::Requested),
            (404, &[], Extent::Requested),
        ] {
            assert_eq!(Extent::of(&mut head(status, fields), Some(&(100..=199))), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_206_of_all_bytes_is_a_200_in_another_form() {
        let all = Extent::Unclear(Again::AllBytes);
        for (fields, expected, status) in [
            (&[("content-range", "bytes 0-999/1000")][..], Extent::Requested, 200),
            (&[], Extent::Requested, 200),
            (&[("content-range", "bytes 0-99/1000")], all, 206),
            (&[("content-range", "bytes 0-99/*")], Extent::Unclear(Again::AllBytes), 206),
            (&[("content-range", "nonsense")], Extent::Unclear(Again::AllBytes), 206),
            (&[("content-type", "Multipart/byteranges")], Extent::Unclear(Again::AllBytes), 206),
        ] {
            let mut head = head(206, fields);
            assert_eq!(Extent::of(&mut head, None), expected, "{fields:?}");
            assert_eq!(head.status.as_u16(), status);
            assert_eq!(
                head.headers.contains_key("content-range"),
                status == 206 && fields[0].0 == "content-range"
            );
        }
    }

    #[test]
    fn content_range_leaves_in_its_correct_form() {
        for (sent, stored) in [
            ("bytes=100-199/1000", "bytes 100-199/1000"),
            ("bytes 0-999/1000", "bytes 100-199/1000"),
            ("BYTES 100-199/*", "bytes 100-199/*"),
        ] {
            let mut head = head(206, &[("content-range", sent)]);
            Extent::of(&mut head, Some(&(100..=199)));
            assert_eq!(head.headers["content-range"], stored);
        }
    }
}
