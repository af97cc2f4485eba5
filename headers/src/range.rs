//! `Range` (RFC 9110 14): which bytes a viewer asks for, of an object that is whole or still growing.
//!
//! The three steps are apart because they happen at different times: [`parse`] when the request is read,
//! [`Ranges::resolve`] when the length is known, [`Ranges::resolve_growing`] while it is not.

use http::HeaderValue;

use crate::conditional::{Comparison, Tag, Validators};
use crate::field;

mod multipart;
mod span;

pub use multipart::Multipart;
pub use span::Span;

/// One range as asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spec {
    /// From the first position to the last one, or to the end.
    From(u64, Option<u64>),
    /// The last so many bytes.
    Suffix(u64),
}

/// The ranges of one request, in the order asked. One range, the usual case, needs no allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranges {
    first: Spec,
    rest: Vec<Spec>,
}

/// What ranges mean for an object of known length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// No range overlaps the object: 416.
    Unsatisfiable,
    /// 206 with `Content-Range`.
    One(Span),
    /// 206 with `multipart/byteranges`. The spans are disjoint, so that they never add up to more than the object.
    Many(Vec<Span>),
}

/// What ranges mean for an object whose length is not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growing {
    /// The answer depends on the length.
    Wait,
    /// Can be answered with `Content-Range: bytes a-b/*` once the body has reached the last byte.
    Span(Span),
    /// Can be answered at once and streamed to the end of the body: the viewer follows a growing object and says so
    /// with a last position no object reaches (RFC 8673 2.2). The answer repeats that position.
    Follow(Span),
}

/// Reads a `Range` field. `None` means that it is to be ignored and the whole object answered: another unit, a
/// malformed set, a range that ends before it begins (RFC 9110 14.1.2), or more than `max` ranges.
///
/// More than `max` is no error: a server may ignore Range (14.2), the whole object holds every byte asked for, and a
/// 416 would be untrue.
pub fn parse(header: &str, max: usize) -> Option<Ranges> {
    let (unit, set) = header.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") || max == 0 {
        return None;
    }
    let mut specs = set.split(',').map(field::trim).filter(|spec| !spec.is_empty()).map(Spec::parse);
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
    /// The ranges in the order asked.
    pub fn iter(&self) -> impl Iterator<Item = Spec> {
        std::iter::once(self.first).chain(self.rest.iter().copied())
    }

    /// The bytes meant, of an object of `len` bytes. Ranges that overlap or touch become one (RFC 9110 15.3.7.2), at
    /// the place of the first; the order is otherwise kept.
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

    /// What can be said before the length is known.
    pub fn resolve_growing(&self) -> Growing {
        match (self.first, self.rest.as_slice()) {
            (Spec::From(start, Some(end_inclusive)), []) if end_inclusive >= FOLLOW_FROM => {
                Growing::Follow(Span { start, end_inclusive })
            }
            (Spec::From(start, Some(end_inclusive)), []) => Growing::Span(Span { start, end_inclusive }),
            _ => Growing::Wait,
        }
    }
}

impl Spec {
    /// RFC 9110 14.1.2: `first-pos "-" [last-pos]` or `"-" suffix-length`.
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
        // A range whose end lies before its beginning makes the whole field invalid.
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

/// The `Content-Range` of a 416 (RFC 9110 14.4).
pub fn unsatisfied_content_range(len: u64) -> HeaderValue {
    field::value(format_args!("bytes */{len}"))
}

/// Whether an `If-Range` condition holds (RFC 9110 13.1.5): if not, `Range` is ignored.
pub fn if_range(value: &HeaderValue, object: &Validators<'_>) -> bool {
    if let Some(asked) = Tag::parse(value.as_bytes()) {
        // Strong comparison: parts of two objects that are only equivalent do not fit together.
        return object.tag().is_some_and(|held| held.matches(asked, Comparison::Strong));
    }
    object.last_modified == Some(value) && object.modified_is_strong()
}

/// Adds a span to disjoint spans. What it touches is contiguous with it, so one pass is enough.
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

/// A number too large for 64 bits lies behind every object all the same.
fn position(digits: &str) -> Option<u64> {
    let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// The last position with which HLS players follow a hinted resource: the largest integer that every JSON and
/// JavaScript number holds exactly.
pub const FOLLOW_FROM: u64 = (1 << 53) - 1;

#[cfg(test)]
mod tests;
