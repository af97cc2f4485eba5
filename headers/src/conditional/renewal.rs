//! Revalidation of a cached object upstream: the conditions to send, and what a 304 changes.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::tag::Tag;
use super::version::{VERSION, is_own_tag};
use crate::{field, hop};

/// The header fields of an object that a 304 to a viewer carries.
///
/// RFC 9110 section 15.4.5: `Content-Location`, `Date`, `ETag`, `Vary`, `Cache-Control` and `Expires`, and no
/// other metadata of the representation, except `Last-Modified` when there is no entity tag. Fields that do
/// not describe the representation (CORS, `Cache-Status`, `Via` ...) stay.
pub fn not_modified_headers(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    let tagged = headers.contains_key(header::ETAG);
    headers.iter().filter(move |(name, _)| match name.as_str() {
        "last-modified" => !tagged,
        name => !matches!(
            name,
            "content-encoding"
                | "content-language"
                | "content-length"
                | "content-md5"
                | "content-digest"
                | "content-range"
                | "content-type"
                | "digest"
                | "repr-digest"
        ),
    })
}

/// The conditions that revalidate an object with these stored headers at an origin (RFC 9111 section 4.3.1).
/// There are none if it has no validator of the origin; the response is then never a 304.
pub fn revalidation(stored: &HeaderMap) -> HeaderMap {
    let etag = stored.get(header::ETAG).filter(|tag| !is_own_tag(tag));
    let etag = etag.map(|tag| (header::IF_NONE_MATCH, tag.clone()));
    let modified = stored.get(header::LAST_MODIFIED).filter(|value| field::date(value).is_some());
    let modified = modified.map(|value| (header::IF_MODIFIED_SINCE, value.clone()));
    etag.into_iter().chain(modified).collect()
}

/// The same at another tier: only the version that this tier has stored is confirmed, since the other one may
/// know versions that the origin's validators do not distinguish. The origin's tag stands beside the
/// version's, for an origin that receives the request when no tier is available.
pub fn revalidation_between_tiers(stored: &HeaderMap) -> HeaderMap {
    let version = stored.get(&VERSION).filter(|version| is_own_tag(version));
    let Some(version) = version else { return HeaderMap::new() };
    let mut conditions = HeaderMap::new();
    conditions.append(header::IF_NONE_MATCH, version.clone());
    let etag = stored.get(header::ETAG).and_then(|tag| tag.to_str().ok());
    if let Some(etag) = etag.filter(|etag| Tag::parse(etag.as_bytes()).is_some_and(|tag| !tag.is_own())) {
        field::append_member(&mut conditions, &header::IF_NONE_MATCH, etag);
    }
    conditions
}

/// The headers of a stored object after a 304 has revalidated it (RFC 9111 sections 3.2 and 4.3.4): every
/// field of the 304 replaces the stored field of that name; fields that the 304 does not have stay.
///
/// Fields that frame or describe the stored bytes (length, coding, type, range, digests) stay, since a 304
/// has no body. Fields of the 304 that are not taken: those that RFC 9111 section 3.1 excludes from a cache
/// (hop-by-hop), `Age`, which the caller accounts for, and `Set-Cookie`, which belongs to one viewer.
pub fn renew(stored: &HeaderMap, from_304: &HeaderMap) -> HeaderMap {
    let mut renewed = stored.clone();
    let fresh = hop::end_to_end(from_304);
    for name in fresh.keys().filter(|name| is_updatable(name)) {
        renewed.remove(name);
        for value in fresh.get_all(name) {
            renewed.append(name, value.clone());
        }
    }
    // An object with a weak tag may be a form that this node made, and the 304 describes the upstream's form.
    let was_weak = stored.get(header::ETAG).is_some_and(|tag| tag.as_bytes().starts_with(WEAK));
    if let Some(tag) = renewed.get_mut(header::ETAG).filter(|_| was_weak) {
        *tag = weakened(tag);
    }
    renewed
}

/// The headers of a form of an object that this node has made: other bytes with the same meaning. The entity
/// tag becomes weak (RFC 9110 section 8.8.1), and digests of the original bytes are removed (RFC 9530 section
/// 2).
pub fn altered(headers: &HeaderMap) -> HeaderMap {
    let mut altered = headers.clone();
    if let Some(tag) = headers.get(header::ETAG) {
        altered.insert(header::ETAG, weakened(tag));
    }
    for digest in ["content-md5", "content-digest", "repr-digest", "digest"] {
        altered.remove(digest);
    }
    altered
}

fn weakened(tag: &HeaderValue) -> HeaderValue {
    if tag.as_bytes().starts_with(WEAK) {
        return tag.clone();
    }
    HeaderValue::from_bytes(&[WEAK, tag.as_bytes()].concat()).unwrap_or_else(|_never| tag.clone())
}

const WEAK: &[u8] = b"W/";

fn is_updatable(name: &HeaderName) -> bool {
    !matches!(
        name.as_str(),
        "content-encoding"
            | "content-length"
            | "content-md5"
            | "content-digest"
            | "content-range"
            | "content-type"
            | "digest"
            | "repr-digest"
            | "set-cookie"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODIFIED: &str = "Sat, 21 Nov 2026 10:00:00 GMT";

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn names_in_304(stored: &[(&'static str, &'static str)]) -> Vec<String> {
        let headers = headers(stored);
        let mut names: Vec<_> = not_modified_headers(&headers).map(|(name, _)| name.to_string()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_304_carries_what_updates_a_cache_and_no_description_of_bytes() {
        let tagged = [
            ("etag", "\"a\""),
            ("last-modified", MODIFIED),
            ("date", MODIFIED),
            ("cache-control", "max-age=1"),
            ("content-length", "5"),
            ("content-type", "video/mp4"),
            ("content-location", "/x"),
            ("cache-status", "shield-1; hit"),
        ];
        assert_eq!(
            names_in_304(&tagged),
            ["cache-control", "cache-status", "content-location", "date", "etag"]
        );
        assert_eq!(
            names_in_304(&[("last-modified", MODIFIED), ("content-encoding", "gzip")]),
            ["last-modified"]
        );
    }

    #[test]
    fn revalidation_sends_every_stored_validator() {
        let both = headers(&[("etag", "W/\"a\""), ("last-modified", MODIFIED)]);
        assert_eq!(
            revalidation(&both),
            headers(&[("if-none-match", "W/\"a\""), ("if-modified-since", MODIFIED)])
        );
        assert!(revalidation(&headers(&[("last-modified", "once"), ("date", MODIFIED)])).is_empty());
        assert!(revalidation(&headers(&[("etag", "\"tg-1\"")])).is_empty(), "no origin knows this tag");
    }

    #[test]
    fn between_tiers_only_the_version_itself_is_confirmed() {
        for (stored, sent) in [
            (&[("etag", "\"a\""), ("last-modified", MODIFIED)][..], &[][..]),
            (
                &[("tidegate-version", "\"tg-1\""), ("last-modified", MODIFIED)],
                &[("if-none-match", "\"tg-1\"")],
            ),
            (
                &[("tidegate-version", "\"tg-1\""), ("etag", "W/\"a\"")],
                &[("if-none-match", "\"tg-1\", W/\"a\"")],
            ),
            (&[("tidegate-version", "\"tg-1\""), ("etag", "\"tg-1\"")], &[("if-none-match", "\"tg-1\"")]),
            (&[("tidegate-version", "1")], &[]),
        ] {
            assert_eq!(revalidation_between_tiers(&headers(stored)), headers(sent), "{stored:?}");
        }
    }

    #[test]
    fn a_304_replaces_what_it_names_and_leaves_the_rest() {
        let stored = headers(&[
            ("etag", "\"a\""),
            ("cache-control", "max-age=1"),
            ("x-list", "1"),
            ("x-list", "2"),
            ("content-length", "5"),
            ("content-type", "video/mp4"),
            ("x-kept", "yes"),
        ]);
        let from_304 = headers(&[
            ("etag", "\"a\""),
            ("cache-control", "max-age=9"),
            ("x-list", "3"),
            ("x-new", "1"),
            ("x-new", "2"),
            ("content-length", "0"),
            ("content-type", "text/html"),
            ("transfer-encoding", "chunked"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("age", "7"),
            ("set-cookie", "a=b"),
        ]);
        let expected = headers(&[
            ("etag", "\"a\""),
            ("cache-control", "max-age=9"),
            ("x-list", "3"),
            ("content-length", "5"),
            ("content-type", "video/mp4"),
            ("x-kept", "yes"),
            ("x-new", "1"),
            ("x-new", "2"),
        ]);
        assert_eq!(renew(&stored, &from_304), expected);
    }
}
