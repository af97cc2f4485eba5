//! `Range` (RFC 9110 section 14): which bytes of a complete or growing object a viewer requests.
//!
//! The three steps happen at different times: [`parse`] when the request is read, [`Ranges::resolve`] when
//! the length is known, [`Ranges::resolve_growing`] while it is not.

use http::HeaderValue;

use crate::conditional::{Comparison, Tag, Validators};
use crate::field;

mod multipart;
mod span;

pub use multipart::Multipart;
pub use span::Span;

/// One requested range (a range-spec in RFC 9110).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeSpec {
    /// From the first position to the last one, or to the end.
    From(u64, Option<u64>),
    /// The last bytes of the object, and their number.
    Suffix(u64),
}

/// The ranges of one request, in the requested order. One range, the usual case, needs no allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranges {
    first: RangeSpec,
    rest: Vec<RangeSpec>,
}

/// The requested ranges of an object of known length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// No range overlaps the object: 416.
    Unsatisfiable,
    /// 206 with `Content-Range`.
    One(Span),
    /// 206 with `multipart/byteranges`. The spans are disjoint, so their sum never exceeds the object.
    Many(Vec<Span>),
}

/// The requested ranges of an object whose length is not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growing {
    /// The response depends on the length.
    Wait,
    /// The response has `Content-Range: bytes a-b/*` and can begin when the body has reached the last byte.
    Span(Span),
    /// The response can begin immediately and continue to the end of the body: the viewer follows a growing
    /// object and indicates this by a last position that no object reaches (RFC 8673 section 2.2). The
    /// response repeats that position.
    Follow(Span),
}

/// Parses a `Range` field. `None` means that the field is ignored and the response is the whole object:
/// another unit, an invalid set, a range that ends before its start (RFC 9110 section 14.1.2), or more than
/// `max` ranges.
///
/// More than `max` is not an error: a server may ignore Range (section 14.2), the whole object has every
/// requested byte, and a 416 would be wrong.
pub fn parse(header: &str, max: usize) -> Option<Ranges> {
    let (unit, set) = header.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") || max == 0 {
        return None;
    }
    let mut specs = set.split(',').map(field::trim).filter(|spec| !spec.is_empty()).map(RangeSpec::parse);
    let first = specs.next()??;
    let mut rest = Vec::new();
    for spec in specs {
        if rest.len() + 1 == max {
            return None;
        }
        rest.push(spec?);
    }
    Some(Ranges { first, rest })
}

impl Ranges {
    /// The ranges in the requested order.
    pub fn iter(&self) -> impl Iterator<Item = RangeSpec> {
        std::iter::once(self.first).chain(self.rest.iter().copied())
    }

    /// The requested bytes of an object of `len` bytes. Ranges that overlap or touch become one (RFC 9110
    /// section 15.3.7.2), at the place of the first; otherwise the order stays.
    pub fn resolve(&self, len: u64) -> Resolved {
        if self.rest.is_empty() {
            return self.first.within(len).map_or(Resolved::Unsatisfiable, Resolved::One);
        }
        let mut spans = Vec::with_capacity(self.rest.len() + 1);
        for span in self.iter().filter_map(|spec| spec.within(len)) {
            absorb(&mut spans, span);
        }
        match spans.as_slice() {
            [] => Resolved::Unsatisfiable,
            [one] => Resolved::One(*one),
            _ => Resolved::Many(spans),
        }
    }

    /// The requested bytes as far as they are known without the length.
    pub fn resolve_growing(&self) -> Growing {
        match (self.first, self.rest.as_slice()) {
            (RangeSpec::From(start, Some(end_inclusive)), []) if end_inclusive >= FOLLOW_FROM => {
                Growing::Follow(Span { start, end_inclusive })
            }
            (RangeSpec::From(start, Some(end_inclusive)), []) => Growing::Span(Span { start, end_inclusive }),
            _ => Growing::Wait,
        }
    }
}

impl RangeSpec {
    /// Parses `first-pos "-" [last-pos]` or `"-" suffix-length` (RFC 9110 section 14.1.2).
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        if first.is_empty() {
            return position(last).map(Self::Suffix);
        }
        let first = position(first)?;
        if last.is_empty() {
            return Some(Self::From(first, None));
        }
        let last = position(last)?;
        // A range that ends before its start makes the whole field invalid.
        (first <= last).then_some(Self::From(first, Some(last)))
    }

    fn within(self, len: u64) -> Option<Span> {
        let end = len.checked_sub(1)?;
        match self {
            Self::From(start, last) => {
                (start <= end).then(|| Span { start, end_inclusive: last.map_or(end, |last| last.min(end)) })
            }
            Self::Suffix(0) => None,
            Self::Suffix(count) => Some(Span { start: len.saturating_sub(count), end_inclusive: end }),
        }
    }
}

/// The `Content-Range` of a 416 (RFC 9110 section 14.4).
pub fn unsatisfied_content_range(len: u64) -> HeaderValue {
    field::value(format_args!("bytes */{len}"))
}

/// Whether an `If-Range` condition holds (RFC 9110 section 13.1.5): if not, `Range` is ignored.
pub fn if_range(value: &HeaderValue, object: &Validators<'_>) -> bool {
    if let Some(condition) = Tag::parse(value.as_bytes()) {
        // Strong comparison: ranges of two objects that are only equivalent cannot be joined.
        return object.tag().is_some_and(|tag| tag.matches(condition, Comparison::Strong));
    }
    object.last_modified() == Some(value) && object.modified_is_strong()
}

/// Adds a span to disjoint spans and merges it with those that it touches. One pass is enough, since the
/// merged span touches no further one.
fn absorb(spans: &mut Vec<Span>, span: Span) {
    let place = spans.iter().position(|other| other.touches(&span)).unwrap_or(spans.len());
    let mut merged = span;
    spans.retain(|other| {
        let touches = other.touches(&span);
        if touches {
            merged.start = merged.start.min(other.start);
            merged.end_inclusive = merged.end_inclusive.max(other.end_inclusive);
        }
        !touches
    });
    spans.insert(place.min(spans.len()), merged);
}

/// A position. A number beyond 64 bits is past the end of every object, as is the greatest position.
fn position(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// The last position from which on a range follows a growing resource: HLS players send the largest integer
/// that JSON and JavaScript numbers represent exactly.
pub const FOLLOW_FROM: u64 = (1 << 53) - 1;

#[cfg(test)]
mod tests;
