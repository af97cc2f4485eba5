//! The content codings of upstreams' responses: which ones are removed, and how the head changes with that.

use http::header::{self, HeaderMap};
use tidegate_headers::{coding, conditional};
use tidegate_upstream::Coding;

/// More codings on one body than this are no one's intention.
const CODINGS_MAX: usize = 4;

/// The codings to remove from a body, in the order of `Content-Encoding`. The head becomes that of the
/// decoded body. Empty, without a change, if there are none or one of them is unknown.
pub(crate) fn remove(headers: &mut HeaderMap) -> Vec<Coding> {
    if !headers.contains_key(header::CONTENT_ENCODING) {
        return Vec::new();
    }
    let names = coding::codings(headers);
    let known: Option<Vec<_>> = names.iter().map(|name| known(name)).collect();
    let Some(codings) = known.filter(|codings| codings.len() <= CODINGS_MAX) else { return Vec::new() };
    if !codings.is_empty() {
        *headers = conditional::altered(headers);
        headers.remove(header::CONTENT_LENGTH);
    }
    headers.remove(header::CONTENT_ENCODING);
    codings
}

fn known(name: &str) -> Option<Coding> {
    Some(match name {
        "gzip" | "x-gzip" => Coding::Gzip,
        "deflate" => Coding::Deflate,
        "br" => Coding::Brotli,
        "zstd" => Coding::Zstd,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn coded(coding: &'static str) -> HeaderMap {
        [("content-encoding", coding), ("content-length", "9"), ("etag", "\"a\""), ("content-md5", "x")]
            .map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_static(value)))
            .into_iter()
            .collect()
    }

    #[test]
    fn the_head_becomes_that_of_the_decoded_body() {
        let mut headers = coded("x-gzip, br");
        assert_eq!(remove(&mut headers), [Coding::Gzip, Coding::Brotli]);
        assert_eq!((headers.len(), &headers["etag"]), (1, &HeaderValue::from_static("W/\"a\"")));
    }

    #[test]
    fn a_word_that_is_no_coding_is_removed_alone() {
        let mut headers = coded("aws-chunked");
        assert_eq!(remove(&mut headers), []);
        assert!(!headers.contains_key("content-encoding") && headers["etag"] == "\"a\"");
        assert_eq!(headers["content-length"], "9");
    }

    #[test]
    fn an_unknown_coding_stays() {
        for coding in ["dcb", "gzip, compress", "gzip, gzip, gzip, gzip, gzip"] {
            let mut headers = coded(coding);
            assert_eq!(remove(&mut headers), []);
            assert_eq!(headers, coded(coding));
        }
    }
}
