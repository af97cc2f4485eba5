//! `max-age` beside `Expires`, where the session replaces `Date`.
//!
//! `Expires` is a time by the origin's clock, and only the origin's `Date` says what that clock shows.
//! pingora's session writes a `Date` of its own, so that the next hop would compare `Expires` with another
//! clock, which may differ by hours. `max-age` is the same lifetime in seconds and needs no clock.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{self, HeaderName};
use tidegate_cache::freshness::CacheControl;
use tidegate_headers::field;

/// Adds `max-age` to a response whose lifetime is in `Expires` alone. `now` counts if it has no `Date`.
pub(super) fn add_max_age(headers: &mut HeaderMap, now: SystemTime) {
    // With max-age, a recipient ignores Expires (RFC 9111 section 5.3).
    if headers.contains_key(header::EXPIRES) && CacheControl::from_headers(headers).max_age.is_none() {
        let seconds = lifetime(headers, now).as_secs();
        field::append_member(headers, &header::CACHE_CONTROL, format_args!("max-age={seconds}"));
    }
}

/// The lifetime by `Expires`. An invalid date is in the past, and so are two dates that differ (RFC 9111
/// sections 4.2.1 and 5.3).
fn lifetime(headers: &HeaderMap, now: SystemTime) -> Duration {
    let mut all = headers.get_all(header::EXPIRES).iter();
    let first = all.next();
    if all.any(|other| Some(other) != first) {
        return Duration::ZERO;
    }
    let sent = date(headers, header::DATE).unwrap_or(now);
    date(headers, header::EXPIRES).and_then(|expires| expires.duration_since(sent).ok()).unwrap_or_default()
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const SENT: &str = "Sat, 21 Nov 2026 10:00:00 GMT";
    const LATER: &str = "Sat, 21 Nov 2026 10:01:30 GMT";

    fn replaced(fields: &[(&'static str, &'static str)]) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        add_max_age(&mut headers, httpdate::parse_http_date(SENT).unwrap());
        headers.remove("date");
        headers.remove("expires");
        let fields = headers.iter();
        fields.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    }

    #[test]
    fn expires_becomes_max_age_in_seconds() {
        for (fields, control) in [
            (&[("date", SENT), ("expires", LATER)][..], "max-age=90"),
            // By the origin's clock, independent of this node's.
            (
                &[("date", "Sat, 21 Nov 2026 05:00:00 GMT"), ("expires", "Sat, 21 Nov 2026 05:00:07 GMT")],
                "max-age=7",
            ),
            (&[("expires", LATER)], "max-age=90"),
            (&[("date", LATER), ("expires", SENT)], "max-age=0"),
            (&[("date", SENT), ("expires", "0")], "max-age=0"),
            (&[("expires", LATER), ("expires", "0")], "max-age=0"),
            (&[("expires", LATER), ("cache-control", "public")], "public, max-age=90"),
            (&[("expires", LATER), ("cache-control", "s-maxage=5")], "s-maxage=5, max-age=90"),
            (&[("expires", LATER), ("cache-control", "max-age=5")], "max-age=5"),
            (&[("cache-control", "public")], "public"),
        ] {
            assert_eq!(replaced(fields), [("cache-control".to_owned(), control.to_owned())], "{fields:?}");
        }
    }
}
