//! Conditional requests: viewers' preconditions against a cached object (RFC 9110 section 13), and its
//! revalidation upstream (RFC 9111 section 4.3).

use std::time::{Duration, SystemTime};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, header::AsHeaderName};

use crate::field;

mod renewal;

pub use renewal::{altered, not_modified_headers, renew, revalidation};

/// The validators of one version of an object, from its stored headers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Validators<'a> {
    /// `ETag`.
    pub etag: Option<&'a HeaderValue>,
    /// `Last-Modified`.
    pub last_modified: Option<&'a HeaderValue>,
    /// `Date`: it decides whether `Last-Modified` is a strong validator.
    pub date: Option<&'a HeaderValue>,
}

/// The result of a request's preconditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every precondition holds.
    Proceed,
    /// 304: the viewer has this version.
    NotModified,
    /// 412: the viewer requires another version.
    PreconditionFailed,
}

/// Evaluates a request's preconditions in the order of RFC 9110 section 13.2.2.
///
/// RFC 9111 section 4.3.2 leaves `If-Match` and `If-Unmodified-Since` to the origin. A CDN's node is a
/// gateway, an origin towards the viewer (RFC 9110 section 3.7), and a viewer that continues a download needs
/// the 412.
pub fn evaluate(request: &HeaderMap, method: &Method, object: &Validators<'_>) -> Outcome {
    let is_read = *method == Method::GET || *method == Method::HEAD;
    if request.contains_key(header::IF_MATCH) {
        if !matches_any(request, header::IF_MATCH, object, Comparison::Strong) {
            return Outcome::PreconditionFailed;
        }
    } else if let Some(since) = only_date(request, header::IF_UNMODIFIED_SINCE)
        && object.last_modified.and_then(field::date).is_some_and(|modified| modified > since)
    {
        return Outcome::PreconditionFailed;
    }
    if request.contains_key(header::IF_NONE_MATCH) {
        if !matches_any(request, header::IF_NONE_MATCH, object, Comparison::Weak) {
            return Outcome::Proceed;
        }
        return if is_read { Outcome::NotModified } else { Outcome::PreconditionFailed };
    }
    if is_read
        && let Some(since) = only_date(request, header::IF_MODIFIED_SINCE)
        && object.modified().is_some_and(|modified| modified <= since)
    {
        return Outcome::NotModified;
    }
    Outcome::Proceed
}

impl<'a> Validators<'a> {
    /// The validators in an object's headers.
    pub fn of(headers: &'a HeaderMap) -> Self {
        Self {
            etag: headers.get(header::ETAG),
            last_modified: headers.get(header::LAST_MODIFIED),
            date: headers.get(header::DATE),
        }
    }

    /// The entity tag, if it is well formed.
    pub fn tag(&self) -> Option<Tag<'a>> {
        self.etag.and_then(|value| Tag::parse(value.as_bytes()))
    }

    /// Whether `Last-Modified` is a strong validator: the response was sent a second or more after the
    /// change, so a second change would have another date (RFC 9110 section 8.8.2.2).
    pub fn modified_is_strong(&self) -> bool {
        match (self.last_modified.and_then(field::date), self.date.and_then(field::date)) {
            (Some(modified), Some(sent)) => {
                sent.duration_since(modified).is_ok_and(|apart| apart >= Duration::from_secs(1))
            }
            _ => false,
        }
    }

    /// `Last-Modified`, or without it the `Date` of the stored response (RFC 9111 section 4.3.2).
    fn modified(&self) -> Option<SystemTime> {
        self.last_modified.or(self.date).and_then(field::date)
    }
}

/// An entity tag (RFC 9110 section 8.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag<'a> {
    weak: bool,
    opaque: &'a [u8],
}

impl<'a> Tag<'a> {
    /// Parses a field value that is one entity tag and nothing else.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (tag, rest) = Self::parse_prefix(value.trim_ascii())?;
        rest.is_empty().then_some(tag)
    }

    /// Whether two tags name the same version (RFC 9110 section 8.8.3.2).
    pub fn matches(self, other: Tag<'_>, comparison: Comparison) -> bool {
        let is_comparable = match comparison {
            Comparison::Strong => !self.weak && !other.weak,
            Comparison::Weak => true,
        };
        is_comparable && self.opaque == other.opaque
    }

    /// A tag has no escapes (a backslash is a plain character), so the next quote ends it.
    fn parse_prefix(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (weak, quoted) = text.strip_prefix(b"W/").map_or((false, text), |quoted| (true, quoted));
        let inner = quoted.strip_prefix(b"\"")?;
        let end = inner.iter().position(|&byte| byte == b'"')?;
        let (opaque, rest) = inner.split_at_checked(end)?;
        let is_etagc = |byte: &u8| *byte == 0x21 || (0x23..=0x7e).contains(byte) || *byte >= 0x80;
        opaque.iter().all(is_etagc).then_some((Self { weak, opaque }, rest.get(1..)?))
    }
}

/// How two entity tags are compared (RFC 9110 section 8.8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Byte for byte the same object: neither tag may be weak.
    Strong,
    /// Equivalent objects: either tag may be weak.
    Weak,
}

/// Whether a list of entity tags, or `*`, matches the object (RFC 9110 sections 13.1.1 and 13.1.2). `*`
/// matches any cached object.
fn matches_any(
    request: &HeaderMap,
    name: HeaderName,
    object: &Validators<'_>,
    comparison: Comparison,
) -> bool {
    let cached = object.tag();
    request.get_all(name).iter().any(|line| {
        let line = line.as_bytes();
        line.trim_ascii() == b"*"
            || cached.is_some_and(|cached| tags(line).any(|listed| cached.matches(listed, comparison)))
    })
}

/// The tags of one line, up to the first invalid one.
fn tags(line: &[u8]) -> impl Iterator<Item = Tag<'_>> {
    let mut rest = line;
    std::iter::from_fn(move || {
        while let [b' ' | b'\t' | b',', after @ ..] = rest {
            rest = after;
        }
        let (tag, after) = Tag::parse_prefix(rest)?;
        rest = after;
        Some(tag)
    })
}

/// The date of a field that may appear only once; an invalid or repeated one is ignored (RFC 9110 sections
/// 13.1.3 and 13.1.4).
fn only_date(headers: &HeaderMap, name: impl AsHeaderName) -> Option<SystemTime> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?;
    lines.next().is_none().then(|| field::date(first)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "Sat, 21 Nov 2026 09:00:00 GMT";
    const MODIFIED: &str = "Sat, 21 Nov 2026 10:00:00 GMT";
    const AFTER: &str = "Sat, 21 Nov 2026 11:00:00 GMT";

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[track_caller]
    fn check(object: &[(&'static str, &'static str)], cases: &[(&[(&'static str, &'static str)], Outcome)]) {
        let object = headers(object);
        for (request, outcome) in cases {
            let got = evaluate(&headers(request), &Method::GET, &Validators::of(&object));
            assert_eq!(got, *outcome, "{request:?}");
        }
    }

    #[test]
    fn a_tag_in_if_none_match_means_not_modified() {
        let cached = [("etag", "\"a\""), ("last-modified", MODIFIED)];
        check(
            &cached,
            &[
                (&[], Outcome::Proceed),
                (&[("if-none-match", "\"a\"")], Outcome::NotModified),
                (&[("if-none-match", "W/\"a\"")], Outcome::NotModified),
                (&[("if-none-match", "*")], Outcome::NotModified),
                (&[("if-none-match", "\"x,y\", ,\t\"a\"")], Outcome::NotModified),
                (&[("if-none-match", "\"x\""), ("if-none-match", "\"a\"")], Outcome::NotModified),
                (&[("if-none-match", "\"b\"")], Outcome::Proceed),
                (&[("if-none-match", "\"A\"")], Outcome::Proceed),
                (&[("if-none-match", "a")], Outcome::Proceed),
                (&[("if-none-match", "\"a")], Outcome::Proceed),
                (&[("if-none-match", "w/\"a\"")], Outcome::Proceed),
                (&[("if-none-match", "")], Outcome::Proceed),
            ],
        );
    }

    #[test]
    fn if_none_match_overrules_if_modified_since() {
        let cached = [("etag", "\"a\""), ("last-modified", MODIFIED)];
        let cases: [(&[_], _); 2] = [
            (&[("if-none-match", "\"b\""), ("if-modified-since", AFTER)], Outcome::Proceed),
            (&[("if-none-match", "\"a\""), ("if-modified-since", BEFORE)], Outcome::NotModified),
        ];
        check(&cached, &cases);
    }

    #[test]
    fn if_modified_since_compares_dates() {
        let cases: [(&[_], _); 6] = [
            (&[("if-modified-since", BEFORE)], Outcome::Proceed),
            (&[("if-modified-since", MODIFIED)], Outcome::NotModified),
            (&[("if-modified-since", AFTER)], Outcome::NotModified),
            (&[("if-modified-since", "Saturday, 21-Nov-26 10:00:00 GMT")], Outcome::NotModified),
            (&[("if-modified-since", "yesterday")], Outcome::Proceed),
            (&[("if-modified-since", AFTER), ("if-modified-since", AFTER)], Outcome::Proceed),
        ];
        check(&[("last-modified", MODIFIED)], &cases);
        // Without Last-Modified the Date is compared; without both there is nothing to compare.
        check(&[("date", MODIFIED)], &[(&[("if-modified-since", MODIFIED)], Outcome::NotModified)]);
        check(&[], &[(&[("if-modified-since", MODIFIED)], Outcome::Proceed)]);
    }

    #[test]
    fn if_match_and_if_unmodified_since_refuse_another_version() {
        let cached = [("etag", "\"a\""), ("last-modified", MODIFIED)];
        check(
            &cached,
            &[
                (&[("if-match", "\"a\"")], Outcome::Proceed),
                (&[("if-match", "*")], Outcome::Proceed),
                (&[("if-match", "\"b\"")], Outcome::PreconditionFailed),
                (&[("if-match", "W/\"a\"")], Outcome::PreconditionFailed),
                (&[("if-unmodified-since", AFTER)], Outcome::Proceed),
                (&[("if-unmodified-since", BEFORE)], Outcome::PreconditionFailed),
                (&[("if-unmodified-since", "never")], Outcome::Proceed),
                (&[("if-match", "\"a\""), ("if-unmodified-since", BEFORE)], Outcome::Proceed),
                (&[("if-match", "\"a\""), ("if-none-match", "\"a\"")], Outcome::NotModified),
                (&[("if-match", "\"b\""), ("if-none-match", "\"a\"")], Outcome::PreconditionFailed),
            ],
        );
        check(
            &[],
            &[
                (&[("if-match", "*")], Outcome::Proceed),
                (&[("if-match", "\"a\"")], Outcome::PreconditionFailed),
            ],
        );
    }

    #[test]
    fn a_method_that_writes_gets_a_412() {
        let (object, request) = (headers(&[("etag", "\"a\"")]), headers(&[("if-none-match", "*")]));
        let outcome = evaluate(&request, &Method::PUT, &Validators::of(&object));
        assert_eq!(outcome, Outcome::PreconditionFailed);
    }
}
