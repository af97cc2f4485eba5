//! Gzip of playlists (draft-pantos-hls-rfc8216bis appendix B.1): compressed once per version, stored with it,
//! selected by the viewer's `Accept-Encoding`.
//!
//! The compressed form has the origin's entity tag, made weak. Two codings may share a weak tag but not a
//! strong one (RFC 9110 section 8.8.3.3), `If-None-Match` compares weakly, so it matches either form, and
//! `If-Range` compares strongly, so it never joins bytes of two codings.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{self, HeaderMap, HeaderValue};

use crate::conditional;
use crate::field;

/// Whether a viewer prefers gzip to no coding (RFC 9110 section 12.5.3). Without `Accept-Encoding` every
/// coding is allowed, but clients that do not send it rarely decode any: the response is not compressed.
pub fn accepts_gzip(request: &HeaderMap) -> bool {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    for member in field::members_of(request, header::ACCEPT_ENCODING) {
        let (coding, quality) = weighted(member);
        // The first mention counts; `x-gzip` means `gzip` (RFC 9110 section 8.4.1.3).
        let quality_of = match coding {
            name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => &mut gzip,
            name if name.eq_ignore_ascii_case("identity") => &mut identity,
            "*" => &mut any,
            _ => continue,
        };
        quality_of.get_or_insert(quality);
    }
    let gzip = gzip.or(any).unwrap_or(0);
    gzip > 0 && identity.is_none_or(|identity| gzip >= identity)
}

/// Compresses a body; `None` if the result is not smaller.
pub fn gzip(body: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::default());
    encoder.write_all(body).ok()?;
    let coded = encoder.finish().ok()?;
    (coded.len() < body.len()).then(|| Bytes::from(coded))
}

/// The header fields of the gzip form, derived from those of the identity form.
pub fn coded_headers(plain: &HeaderMap, coded_len: usize) -> HeaderMap {
    let mut headers = conditional::altered(plain);
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(coded_len));
    vary_by_coding(&mut headers);
    headers
}

/// Adds `Vary: Accept-Encoding` for downstream caches. Both forms must carry it.
pub fn vary_by_coding(headers: &mut HeaderMap) {
    field::vary_by(headers, "Accept-Encoding");
}

/// A coding and its weight in thousandths (RFC 9110 section 12.4.2); an invalid weight counts as 0.
pub(crate) fn weighted(member: &str) -> (&str, u16) {
    let mut parts = member.split(';').map(field::trim);
    let coding = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    (coding, weight.map_or(1000, |weight| thousandths(weight).unwrap_or(0)))
}

fn thousandths(weight: &str) -> Option<u16> {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let is_weight = fraction.len() <= 3 && fraction.bytes().all(|digit| digit.is_ascii_digit());
    match whole {
        "1" if is_weight && fraction.bytes().all(|digit| digit == b'0') => Some(1000),
        "0" if is_weight => format!("{fraction:0<3}").parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;
    use crate::conditional::{Outcome, Validators, evaluate};

    #[test]
    fn gzip_is_sent_to_viewers_that_prefer_it() {
        for (accepts, expected) in [
            ("gzip", true),
            ("GZIP", true),
            ("x-gzip", true),
            ("br, gzip;q=0.001", true),
            ("*", true),
            ("gzip ; q=1.000", true),
            ("identity;q=0.5, gzip;q=0.5", true),
            ("gzip;q=0.5, identity", false),
            ("gzip;q=0", false),
            ("gzip;q=0.000", false),
            ("gzip;q=0, *", false),
            ("*;q=0", false),
            ("identity", false),
            ("br, deflate", false),
            ("gzip;q=high", false),
            ("gzip;q=2", false),
            ("gzip;q=0.0001", false),
            ("", false),
        ] {
            let mut request = HeaderMap::new();
            request.insert("accept-encoding", HeaderValue::from_static(accepts));
            assert_eq!(accepts_gzip(&request), expected, "{accepts}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_compressed_playlist_decompresses_to_the_original() {
        let playlist = "#EXTINF:2.000,\nsegment-123.ts\n".repeat(100);
        let coded = gzip(playlist.as_bytes()).unwrap();
        let mut decoded = String::new();
        GzDecoder::new(&coded[..]).read_to_string(&mut decoded).unwrap();
        assert_eq!(decoded, playlist);
        assert!(coded.len() * 5 < playlist.len());
    }

    #[test]
    fn a_body_that_does_not_shrink_is_not_compressed() {
        assert_eq!(gzip(b""), None);
        assert_eq!(gzip(b"#EXTM3U\n"), None);
    }

    #[test]
    fn the_gzip_form_has_its_own_headers() {
        let mut plain = HeaderMap::new();
        for (name, value) in
            [("etag", "\"a\""), ("content-length", "900"), ("vary", "User-Agent"), ("content-digest", "x")]
        {
            plain.insert(name, HeaderValue::from_static(value));
        }
        let coded = coded_headers(&plain, 200);
        assert_eq!(coded["etag"], "W/\"a\"");
        assert_eq!(coded["content-length"], "200");
        assert_eq!(coded["content-encoding"], "gzip");
        assert_eq!(coded["vary"], "User-Agent, Accept-Encoding");
        assert!(!coded.contains_key("content-digest"));
        assert_eq!(coded_headers(&coded, 200)["etag"], "W/\"a\"");
        assert_eq!(coded_headers(&coded, 200)["vary"], "User-Agent, Accept-Encoding");
    }

    #[test]
    fn if_none_match_matches_either_form_by_the_tag_of_the_other() {
        let mut plain = HeaderMap::new();
        plain.insert("etag", HeaderValue::from_static("\"a\""));
        let coded = coded_headers(&plain, 1);
        for (sent, cached) in [(&plain, &coded), (&coded, &plain)] {
            let mut request = HeaderMap::new();
            request.insert("if-none-match", sent["etag"].clone());
            let outcome = evaluate(&request, &http::Method::GET, &Validators::of(cached));
            assert_eq!(outcome, Outcome::NotModified);
        }
    }
}
