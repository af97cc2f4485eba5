//! Which header fields cross a hop: hop-by-hop fields end here, end-to-end fields are forwarded, and each
//! node adds its marks.

use std::time::SystemTime;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::field;

mod tier_fields;

pub use tier_fields::{CDN_LOOP, SLICE, append_cdn_loop, append_via, loops};

/// Whether a header field concerns one connection only (RFC 9110 sections 7.6.1 and 11.7, RFC 9113 section
/// 8.2.2).
///
/// `Trailer` announces trailers, which are not forwarded.
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// The headers of a response as they are stored and forwarded: the end-to-end ones. `Age` is removed, since
/// the caller accounts for it; the lists of the tiers nearer the origin (`Cache-Status`, `X-Cache`, `Via`)
/// stay, and this tier appends to them. The caller decides on `Set-Cookie`.
pub fn end_to_end(response: &HeaderMap) -> HeaderMap {
    let listed = connection_listed(response);
    let is_removed = |name: &HeaderName| *name == header::AGE || is_hop_by_hop(name) || listed.contains(name);
    // Most fields stay, and to copy a map takes less time than to fill another one.
    let mut remaining = response.clone();
    for name in response.keys().filter(|name| is_removed(name)) {
        remaining.remove(name);
    }
    for value in remaining.values_mut().filter(|value| is_padded(value)) {
        *value = trimmed(value);
    }
    remaining
}

/// Adds the time of arrival to a response without a valid `Date` (RFC 9110 section 6.6.1). The origin's own
/// stays: it is the point on the origin's clock from which its `Expires` counts.
pub fn date(response: &mut HeaderMap, arrived: SystemTime) {
    if response.get(header::DATE).and_then(field::date).is_none() {
        response.insert(header::DATE, field::value(httpdate::fmt_http_date(arrived)));
    }
}

/// The request headers of a pass for one viewer: all end-to-end ones, with cookies, authorization, range and
/// conditions. The caller adds `Host` and the fields between tiers.
///
/// Over HTTP/2 a viewer may split `Cookie` into several fields; an upstream over HTTP/1.1 receives one (RFC
/// 9113 section 8.2.3). There, frames mark the end of a body, and a length may stand several times: it frames
/// the body over HTTP/1.1, and is one number.
pub fn pass_headers(viewer: &HeaderMap) -> HeaderMap {
    let mut headers = filtered(viewer, |name| *name != header::HOST && !name.as_str().starts_with(OURS));
    let mut crumbs = viewer.get_all(header::COOKIE).iter();
    if headers.contains_key(header::COOKIE) && crumbs.by_ref().nth(1).is_some() {
        let crumbs = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
        let crumbs: Vec<&[u8]> = crumbs.filter(|crumb| !crumb.is_empty()).collect();
        if let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
            headers.insert(header::COOKIE, cookie);
        }
    }
    if let Ok(Some(length)) = tidegate_http1::content_length(&headers) {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    headers
}

/// Whether a shared fill may carry this header of the viewer that starts it.
///
/// Three groups are excluded: fields about one viewer, since the response goes to other viewers too; fields
/// that select a range or a version, since the fill requests the whole object; and fields by which some
/// servers let a request override its URL, method or host, since the key of the response would not show the
/// override.
pub fn is_sent_on_fill(name: &HeaderName) -> bool {
    let name_text = name.as_str();
    let is_refused_group = PREFIXES_NOT_FILLED.iter().any(|prefix| name_text.starts_with(prefix));
    !is_refused_group && !is_hop_by_hop(name) && !is_not_filled(name_text)
}

fn is_not_filled(name: &str) -> bool {
    let is_about_the_viewer = matches!(
        name,
        "authorization"
            | "client-cert"
            | "client-cert-chain"
            | "cookie"
            | "forwarded"
            | "from"
            | "origin"
            | "referer"
            | "true-client-ip"
            | "x-client-ip"
            | "x-real-ip"
    );
    let is_about_the_request = matches!(
        name,
        "accept-encoding"
            | "cache-control"
            | "expect"
            | "host"
            | "if-match"
            | "if-modified-since"
            | "if-none-match"
            | "if-range"
            | "if-unmodified-since"
            | "max-forwards"
            | "pragma"
            | "priority"
            | "range"
    );
    let overrides_target = matches!(
        name,
        "x-host"
            | "x-http-method"
            | "x-http-method-override"
            | "x-method-override"
            | "x-original-host"
            | "x-original-url"
            | "x-rewrite-url"
    );
    is_about_the_viewer || is_about_the_request || overrides_target
}

/// The prefix of the fields between tiers, which concern one hop.
const OURS: &str = "tidegate-";

const PREFIXES_NOT_FILLED: [&str; 6] =
    ["access-control-request-", "cmcd-", "content-", "sec-", OURS, "x-forwarded-"];

pub(crate) fn filtered(headers: &HeaderMap, wanted: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let listed = connection_listed(headers);
    let mut filtered = HeaderMap::with_capacity(headers.keys_len() + ROOM_FOR_MARKS);
    for (name, value) in headers {
        if wanted(name) && !is_hop_by_hop(name) && !listed.contains(name) {
            filtered.append(name, trimmed(value));
        }
    }
    filtered
}

/// The value without the whitespace around it. HTTP/1.1 allows that on the line; HTTP/2 has no place for it,
/// and a value that keeps it would be another one for the next hop (RFC 9113 section 8.2.1).
fn trimmed(value: &HeaderValue) -> HeaderValue {
    if is_padded(value) {
        return HeaderValue::from_bytes(value.as_bytes().trim_ascii()).unwrap_or_else(|_never| value.clone());
    }
    value.clone()
}

/// Whether there is whitespace around the value.
fn is_padded(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    matches!((bytes, bytes), ([b' ' | b'\t', ..], _) | (_, [.., b' ' | b'\t']))
}

/// The headers that `Connection` lists. It cannot remove some of them: without `Host` and `Content-Length`
/// the message has another meaning for the next hop (request smuggling), `CDN-Loop` must always stay (RFC
/// 8586 section 2), and without the fields that say who may have a response, the next cache would share it
/// (RFC 9110 section 7.6.1).
fn connection_listed(headers: &HeaderMap) -> Vec<HeaderName> {
    field::members_of(headers, header::CONNECTION)
        .filter_map(|option| HeaderName::try_from(option).ok())
        .filter(|name| !NEVER_LISTED.contains(name) && name != CDN_LOOP)
        .collect()
}

const NEVER_LISTED: [HeaderName; 5] =
    [header::HOST, header::CONTENT_LENGTH, header::CACHE_CONTROL, header::VARY, header::SET_COOKIE];

const ROOM_FOR_MARKS: usize = 4;

#[cfg(test)]
mod tests;
