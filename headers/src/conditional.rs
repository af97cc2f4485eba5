//! Conditional requests: viewers' preconditions against a cached object (RFC 9110 section 13), and its
//! revalidation upstream (RFC 9111 section 4.3).

use std::time::{Duration, SystemTime};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, header::AsHeaderName};

use crate::field;

mod renewal;
mod tag;
mod version;

pub use renewal::{altered, not_modified_headers, renew, revalidation, revalidation_between_tiers};
pub use tag::{Comparison, Tag};
pub use version::{VERSION, is_own_tag, tag_of, unique_tag};

/// The validators of one version of an object, read from its stored headers.
#[derive(Debug, Clone, Copy)]
pub struct Validators<'a> {
    headers: &'a HeaderMap,
    has_dates: bool,
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
        && object.last_modified().and_then(field::date).is_some_and(|modified| modified > since)
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
        Self { headers, has_dates: true }
    }

    /// The same without dates: those of an object that changes more often than its dates tell.
    #[must_use]
    pub fn without_dates(self) -> Self {
        Self { has_dates: false, ..self }
    }

    /// The entity tag, if it is well formed.
    pub fn tag(&self) -> Option<Tag<'a>> {
        self.headers.get(header::ETAG).and_then(|value| Tag::parse(value.as_bytes()))
    }

    /// The tag of the version between tiers.
    fn version(&self) -> Option<Tag<'a>> {
        self.headers.get(&VERSION).and_then(|value| Tag::parse(value.as_bytes()))
    }

    /// `Last-Modified`.
    pub fn last_modified(&self) -> Option<&'a HeaderValue> {
        self.headers.get(header::LAST_MODIFIED).filter(|_| self.has_dates)
    }

    /// Whether `Last-Modified` is a strong validator: the response was sent a second or more after the
    /// change, so a second change would have another date (RFC 9110 section 8.8.2.2).
    pub fn modified_is_strong(&self) -> bool {
        let sent = self.headers.get(header::DATE).and_then(field::date);
        match (self.last_modified().and_then(field::date), sent) {
            (Some(modified), Some(sent)) => {
                sent.duration_since(modified).is_ok_and(|apart| apart >= Duration::from_secs(1))
            }
            _ => false,
        }
    }

    /// `Last-Modified`, or without it the `Date` of the stored response (RFC 9111 section 4.3.2).
    fn modified(&self) -> Option<SystemTime> {
        let date = || self.headers.get(header::DATE).filter(|_| self.has_dates);
        self.last_modified().or_else(date).and_then(field::date)
    }
}

/// Whether a list of entity tags, or `*`, matches the object (RFC 9110 sections 13.1.1 and 13.1.2). `*`
/// matches any cached object. A tier lists the tag of the version that it has stored, and beside it the
/// origin's tag, in case the request reaches an origin: only the former counts then.
fn matches_any(
    request: &HeaderMap,
    name: HeaderName,
    object: &Validators<'_>,
    comparison: Comparison,
) -> bool {
    let cached = object.tag();
    request.get_all(name).iter().any(|line| {
        let line = line.as_bytes();
        let names_version = Tag::listed(line).any(Tag::is_own);
        let version = if names_version { object.version() } else { None };
        let is_listed = |cached: Tag<'_>| {
            Tag::listed(line)
                .any(|listed| listed.is_own() == names_version && cached.matches(listed, comparison))
        };
        line.trim_ascii() == b"*" || cached.is_some_and(is_listed) || version.is_some_and(is_listed)
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

    #[test]
    fn a_tier_with_another_version_is_not_told_that_nothing_has_changed() {
        let cached = [("etag", "\"a\""), ("last-modified", MODIFIED), ("tidegate-version", "\"tg-2\"")];
        check(
            &cached,
            &[
                (&[("if-none-match", "\"tg-2\"")], Outcome::NotModified),
                (&[("if-none-match", "\"tg-2\", \"b\"")], Outcome::NotModified),
                (&[("if-none-match", "\"tg-1\"")], Outcome::Proceed),
                (&[("if-none-match", "\"tg-1\", \"a\"")], Outcome::Proceed),
                (&[("if-none-match", "\"a\"")], Outcome::NotModified),
            ],
        );
        let tagged = [("etag", "\"tg-2\"")];
        check(
            &tagged,
            &[
                (&[("if-none-match", "W/\"tg-2\"")], Outcome::NotModified),
                (&[("if-none-match", "\"tg-1\"")], Outcome::Proceed),
            ],
        );
    }

    #[test]
    fn an_object_without_dates_is_compared_by_its_tag_alone() {
        let cached = headers(&[("etag", "\"a\""), ("last-modified", MODIFIED), ("date", MODIFIED)]);
        let undated = Validators::of(&cached).without_dates();
        let outcome = |request| evaluate(&headers(&[request]), &Method::GET, &undated);
        assert_eq!(outcome(("if-modified-since", AFTER)), Outcome::Proceed);
        assert_eq!(outcome(("if-none-match", "\"a\"")), Outcome::NotModified);
        assert!(!undated.modified_is_strong());
    }
}
