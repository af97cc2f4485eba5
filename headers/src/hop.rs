//! What crosses a hop: hop-by-hop headers end here, end-to-end ones go on, and each node leaves its mark.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::field;

mod marks;

pub use marks::{CDN_LOOP, SLICE, append_cdn_loop, append_via, loops};

/// Whether a header concerns one connection only (RFC 9110 7.6.1, 11.7; RFC 9113 8.2.2).
///
/// `Trailer` announces trailers, which are not given on.
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

/// An answer's headers as they are stored and given on: the end-to-end ones. `Age` is left out, since the caller
/// accounts for it; the lists of the tiers nearer the origin (`Cache-Status`, `X-Cache`, `Via`) stay to be
/// continued. Whether `Set-Cookie` may stay is for the caller to say.
pub fn end_to_end(response: &HeaderMap) -> HeaderMap {
    kept(response, |name| *name != header::AGE)
}

/// A request's headers for a fill that many viewers share: those of the viewer who asked first, without what is
/// particular to this viewer or connection. The caller adds `Host` and, where it has them, conditions.
pub fn fill_headers(viewer: &HeaderMap) -> HeaderMap {
    let mut headers = kept(viewer, is_sent_on_fill);
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers
}

/// A request's headers when it is passed for one viewer alone: all end-to-end ones, with cookies, authorization, range
/// and conditions. The caller adds `Host`, and what tiers tell each other.
pub fn pass_headers(viewer: &HeaderMap) -> HeaderMap {
    kept(viewer, |name| *name != header::HOST && !name.as_str().starts_with(OURS))
}

/// Whether a shared fill carries this header of the first asker's.
///
/// Not: what is about one viewer, since the answer goes to others too; what asks for a part or a version, since the
/// fill is whole; and the headers by which some servers let a request pretend another URL, method or
/// host, since the answer would be kept under a key that does not show it.
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
    let pretends = matches!(
        name,
        "x-host"
            | "x-http-method"
            | "x-http-method-override"
            | "x-method-override"
            | "x-original-host"
            | "x-original-url"
            | "x-rewrite-url"
    );
    is_about_the_viewer || is_about_the_request || pretends
}

/// What tiers tell each other of one hop.
const OURS: &str = "tidegate-";

const PREFIXES_NOT_FILLED: [&str; 6] =
    ["access-control-request-", "cmcd-", "content-", "sec-", OURS, "x-forwarded-"];

fn kept(headers: &HeaderMap, wanted: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let listed = connection_listed(headers);
    let mut kept = HeaderMap::with_capacity(headers.keys_len() + ROOM_FOR_OURS);
    for (name, value) in headers {
        if wanted(name) && !is_hop_by_hop(name) && !listed.contains(name) {
            kept.append(name, value.clone());
        }
    }
    kept
}

/// The headers that `Connection` lists. Some it cannot take away: without `Host` and `Content-Length` a message means
/// something else to the next hop (request smuggling), and `CDN-Loop` must stay whatever a request says
/// (RFC 8586 2).
fn connection_listed(headers: &HeaderMap) -> Vec<HeaderName> {
    field::members_of(headers, header::CONNECTION)
        .filter_map(|option| HeaderName::try_from(option).ok())
        .filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH && name != CDN_LOOP)
        .collect()
}

const ROOM_FOR_OURS: usize = 4;

#[cfg(test)]
mod tests;
