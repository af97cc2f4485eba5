//! What downstream caches, those in browsers included, are told of the lifetime of a playlist that may
//! change.
//!
//! An origin may allow a day for it. A tier knows better: it replaces the playlist as soon as there is a
//! newer version. A downstream cache obeys what reaches it (RFC 9111 section 4.2), so the lifetime is limited
//! to what HLS allows for a cache that does not follow the playlist: half a target duration (appendix B.1).

use std::time::{Duration, SystemTime};

use http::header::{CACHE_CONTROL, DATE, EXPIRES, HeaderMap, HeaderName, HeaderValue};
use tidegate_headers::field;

/// Limits the lifetime of a response to `max`. `now` is the time when it arrived. Directives that allow less
/// stay; those that let a cache serve it without a request are removed.
pub(super) fn limit(headers: &mut HeaderMap, max: Duration, now: SystemTime) {
    let max = max.as_secs();
    for name in [CACHE_CONTROL, CDN_CACHE_CONTROL.clone()] {
        limit_directives(headers, &name, max);
    }
    let sent = headers.get(DATE).and_then(field::date).unwrap_or(now);
    if headers.get(EXPIRES).is_some_and(|expires| may_be_later(expires, sent, max)) {
        headers.remove(EXPIRES);
        let has_lifetime = field::members_of(headers, CACHE_CONTROL).any(|directive| {
            let name = directive_name(directive);
            name.eq_ignore_ascii_case("max-age") || name.eq_ignore_ascii_case("no-cache")
        });
        if !has_lifetime {
            field::append_member(headers, &CACHE_CONTROL, format_args!("max-age={max}"));
        }
    }
}

/// Whether a cache may read `Expires` as later than `max` seconds after `sent`. Browsers accept dates that
/// are none by RFC 9110, such as one with a wrong day of the week. Numbers stand for the past.
fn may_be_later(expires: &HeaderValue, sent: SystemTime, max: u64) -> bool {
    match field::date(expires) {
        Some(expires) => expires.duration_since(sent).is_ok_and(|lifetime| lifetime.as_secs() > max),
        None => {
            expires.to_str().is_ok_and(|text| text.trim().parse::<f64>().is_err() && !text.trim().is_empty())
        }
    }
}

fn limit_directives(headers: &mut HeaderMap, name: &HeaderName, max: u64) {
    let needs_change = |directive: &str| limited(directive, max).as_deref() != Some(directive);
    if !field::members_of(headers, name).any(needs_change) {
        return;
    }
    let kept: Vec<_> = field::members_of(headers, name).filter_map(|member| limited(member, max)).collect();
    headers.remove(name);
    if let Ok(value) = HeaderValue::try_from(kept.join(", "))
        && !kept.is_empty()
    {
        headers.insert(name, value);
    }
}

/// A directive as it is sent; `None` if it is not.
fn limited(directive: &str, max: u64) -> Option<String> {
    let name = directive_name(directive);
    let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
    if is("immutable") || is("stale-while-revalidate") {
        return None;
    }
    let seconds =
        || directive.split_once('=').and_then(|(_, value)| value.trim().trim_matches('"').parse().ok());
    // A value that is no number, or a larger one than fits, may be read as a long lifetime.
    let is_lifetime = is("max-age") || is("s-maxage");
    if is_lifetime && seconds().is_none_or(|seconds: u64| seconds > max) {
        return Some(format!("{}={max}", name.to_ascii_lowercase()));
    }
    Some(directive.to_owned())
}

fn directive_name(directive: &str) -> &str {
    directive.split('=').next().unwrap_or(directive).trim()
}

/// The field for CDNs further down (RFC 9213).
static CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = "Sat, 21 Nov 2026 10:00:00 GMT";
    const SOON: &str = "Sat, 21 Nov 2026 10:00:01 GMT";
    const LATE: &str = "Fri, 01 Jan 2038 00:00:00 GMT";

    fn limited(fields: &[(&'static str, &'static str)]) -> Vec<(String, String)> {
        let fields = fields.iter();
        let mut headers: HeaderMap = fields
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        limit(&mut headers, Duration::from_millis(2_500), httpdate::parse_http_date(SENT).unwrap());
        headers.remove("date");
        let fields = headers.iter();
        fields.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    }

    #[test]
    fn a_live_playlist_is_kept_for_half_a_target_duration_at_most() {
        for (fields, expected) in [
            (&[("cache-control", "public,max-age=86400")][..], &[("cache-control", "public, max-age=2")][..]),
            (&[("cache-control", "s-maxage=60, max-age=1")], &[("cache-control", "s-maxage=2, max-age=1")]),
            (&[("cache-control", "max-age=1")], &[("cache-control", "max-age=1")]),
            (&[("cache-control", "no-cache")], &[("cache-control", "no-cache")]),
            (&[("cache-control", "MAX-AGE=\"99\"")], &[("cache-control", "max-age=2")]),
            (&[("cache-control", "max-age=99999999999999999999")], &[("cache-control", "max-age=2")]),
            (
                &[("cache-control", "max-age=2, immutable, stale-while-revalidate=60")],
                &[("cache-control", "max-age=2")],
            ),
            (&[("cache-control", "stale-while-revalidate=60")], &[]),
            (&[("cdn-cache-control", "max-age=60")], &[("cdn-cache-control", "max-age=2")]),
            (&[("date", SENT), ("expires", LATE)], &[("cache-control", "max-age=2")]),
            (&[("expires", LATE), ("cache-control", "max-age=60")], &[("cache-control", "max-age=2")]),
            (&[("expires", "Sun, 01 Jan 2040 00:00:00 GMT+1")], &[("cache-control", "max-age=2")]),
            (&[("expires", "-1")], &[("expires", "-1")]),
            (&[("expires", "")], &[("expires", "")]),
            (&[("expires", LATE), ("cache-control", "no-cache")], &[("cache-control", "no-cache")]),
            (&[("date", SENT), ("expires", SOON)], &[("expires", SOON)]),
            (&[("expires", "0")], &[("expires", "0")]),
            (&[], &[]),
        ] {
            let expected: Vec<_> =
                expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(limited(fields), expected, "{fields:?}");
        }
    }
}
