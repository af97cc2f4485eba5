//! `Expires`, told in seconds.
//!
//! It is a point on the origin's clock, and only `Date` beside it says what that clock shows. The `Date` of an answer
//! is that of the node which sends it (the protocol layer sees to it), so behind this node the point would be read off
//! another clock: hours off where the origin's is. What it means is a number of seconds, and `max-age` says that
//! without a clock.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{self, HeaderName};
use tidegate_cache::freshness::CacheControl;
use tidegate_headers::field;

/// Puts `max-age` in the place of `Expires`. `now` is when the answer came.
pub(crate) fn tell_in_seconds(headers: &mut HeaderMap, now: SystemTime) {
    if !headers.contains_key(header::EXPIRES) {
        return;
    }
    // RFC 9111 section 5.3: beside max-age it says nothing.
    if CacheControl::from_headers(headers).max_age.is_none() {
        let seconds = lifetime(headers, now).as_secs();
        field::append_member(headers, &header::CACHE_CONTROL, format_args!("max-age={seconds}"));
    }
    headers.remove(header::EXPIRES);
}

/// RFC 9111 sections 4.2.1 and 5.3: what cannot be read is in the past, and so are two that differ.
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

    fn told(fields: &[(&'static str, &'static str)]) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        tell_in_seconds(&mut headers, httpdate::parse_http_date(SENT).unwrap());
        headers.remove("date");
        let fields = headers.iter();
        fields.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    }

    #[test]
    fn what_expires_means_is_told_in_seconds() {
        for (fields, control) in [
            (&[("date", SENT), ("expires", LATER)][..], "max-age=90"),
            // By the origin's clock, whatever ours shows.
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
            assert_eq!(told(fields), [("cache-control".to_owned(), control.to_owned())], "{fields:?}");
        }
    }
}
