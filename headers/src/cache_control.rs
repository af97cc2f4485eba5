//! `Cache-Control` in requests (RFC 9111 section 5.2.1). A CDN's node obeys one directive: `only-if-cached`
//! saves upstream requests. The others would let any viewer cause them, and section 5.2.1 obliges no cache.

use http::header::{self, HeaderMap};

use crate::field;

/// Whether the request accepts a cached response only.
pub fn is_only_if_cached(request: &HeaderMap) -> bool {
    request.contains_key(header::CACHE_CONTROL)
        && field::members_of(request, header::CACHE_CONTROL)
            .any(|directive| directive.eq_ignore_ascii_case("only-if-cached"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_directive_is_found_among_others() {
        for (value, expected) in [
            ("only-if-cached", true),
            ("max-stale, Only-If-Cached", true),
            ("no-cache", false),
            ("x=\"only-if-cached\"", false),
        ] {
            let headers = HeaderMap::from_iter([(header::CACHE_CONTROL, HeaderValue::from_static(value))]);
            assert_eq!(is_only_if_cached(&headers), expected, "{value}");
        }
        assert!(!is_only_if_cached(&HeaderMap::new()));
    }
}
