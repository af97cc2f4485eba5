//! Content codings (RFC 9110 section 8.4), and the viewers that accept them (section 12.5.3).

use http::header::{self, HeaderMap};

use crate::compress::weighted;
use crate::field;

/// The codings of a response, in the order in which they were applied, in lower case. Words that stand for no
/// coding are left out: some servers write the charset there, or how the object was uploaded.
pub fn codings(response: &HeaderMap) -> Vec<String> {
    let members = field::members_of(response, header::CONTENT_ENCODING);
    members.map(str::to_ascii_lowercase).filter(|coding| !NO_CODINGS.contains(&coding.as_str())).collect()
}

/// Whether a viewer accepts a coding. Without `Accept-Encoding`, it accepts any.
pub fn accepts(request: &HeaderMap, coding: &str) -> bool {
    if !request.contains_key(header::ACCEPT_ENCODING) {
        return true;
    }
    let canonical = |name: &str| name.strip_prefix("x-").unwrap_or(name).to_ascii_lowercase();
    let (mut named, mut any) = (None, None);
    for member in field::members_of(request, header::ACCEPT_ENCODING) {
        let (name, quality) = weighted(member);
        if name == "*" {
            any.get_or_insert(quality);
        } else if canonical(name) == canonical(coding) {
            named.get_or_insert(quality);
        }
    }
    named.or(any).unwrap_or(0) > 0
}

/// `aws-chunked` is the framing of an upload to object stores, which keep the word and not the framing.
const NO_CODINGS: [&str; 10] =
    ["identity", "none", "aws-chunked", "chunked", "binary", "8bit", "7bit", "utf-8", "utf8", "iso-8859-1"];

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: &'static str, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn the_codings_of_all_lines_are_read_and_words_without_meaning_are_not() {
        for (values, expected) in [
            (&[][..], &[][..]),
            (&["gzip"], &["gzip"]),
            (&["GZip , x-gzip", "br"], &["gzip", "x-gzip", "br"]),
            (&["identity", "UTF-8", ""], &[]),
            (&["aws-chunked,gzip"], &["gzip"]),
        ] {
            assert_eq!(codings(&headers("content-encoding", values)), expected, "{values:?}");
        }
    }

    #[test]
    fn a_viewer_accepts_what_it_names() {
        for (accepts_, coding, expected) in [
            (&[][..], "dcb", true),
            (&["dcb"], "dcb", true),
            (&["gzip, br"], "dcb", false),
            (&["*"], "dcb", true),
            (&["*, dcb;q=0"], "dcb", false),
            (&["identity"], "gzip", false),
            (&["x-gzip"], "gzip", true),
            (&[""], "gzip", false),
        ] {
            assert_eq!(
                accepts(&headers("accept-encoding", accepts_), coding),
                expected,
                "{accepts_:?} {coding}"
            );
        }
    }
}
