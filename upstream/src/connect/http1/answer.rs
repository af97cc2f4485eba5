//! The head of an answer: from the bytes that came to status, header fields and what they say of the rest.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::framing::Framing;
pub(crate) use super::framing::Malformed;

/// Bytes that a head may have, its empty line included.
pub(crate) const HEAD_MAX: usize = 64 * 1024;

/// Header fields that a head may have.
pub(crate) const FIELDS_MAX: usize = 256;

/// A head that was read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// How the body ends.
    pub(crate) framing: Framing,
    /// Whether the connection may be used again once the body has come to its end.
    pub(crate) persists: bool,
}

impl Answer {
    /// Reads the head at the start of `bytes`, if it is there as a whole; tells how many bytes it has. The first
    /// `looked` bytes are known not to hold its end.
    pub(crate) fn read(
        bytes: &[u8],
        looked: usize,
        method: &Method,
    ) -> Result<Option<(Self, usize)>, Malformed> {
        match end(bytes, looked) {
            Some(end) if end <= HEAD_MAX => {
                let head = bytes.get(..end).ok_or(Malformed)?;
                Ok(Some((Self::parse(&Bytes::copy_from_slice(head), method)?, end)))
            }
            None if bytes.len() < HEAD_MAX => Ok(None),
            _ => Err(Malformed),
        }
    }

    /// The values are slices of `head`, which has not a byte more than they need: objects are kept with their heads.
    fn parse(head: &Bytes, method: &Method) -> Result<Self, Malformed> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut parsed = httparse::Response::new(&mut []);
        let mut parser = httparse::ParserConfig::default();
        // RFC 9112 section 5.1: a proxy removes such space from an answer, and does not refuse it. Folded lines
        // (section 5.2) are refused.
        parser.allow_spaces_after_header_name_in_responses(true);
        match parser.parse_response_with_uninit_headers(&mut parsed, head, &mut fields) {
            Ok(httparse::Status::Complete(read)) if read == head.len() => {}
            _ => return Err(Malformed),
        }
        let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Malformed)?;
        let mut headers = HeaderMap::with_capacity(parsed.headers.len());
        for field in parsed.headers.iter() {
            let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_bad| Malformed)?;
            let value = HeaderValue::from_maybe_shared(head.slice_ref(field.value));
            headers.append(name, value.map_err(|_bad| Malformed)?);
        }
        let (framing, length) = Framing::of(status, method, &headers)?;
        if let Some(length) = length {
            // RFC 9110 section 8.6: of a length that is said several times, one goes on.
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        let persists = framing != Framing::Close && persists(parsed.version, &headers);
        Ok(Self { status, headers, framing, persists })
    }
}

/// Where the head ends: behind its first empty line.
fn end(bytes: &[u8], looked: usize) -> Option<usize> {
    // The end may have begun in what was looked at: three bytes of four.
    let from = looked.saturating_sub(3);
    let fresh = bytes.get(from..)?;
    let ends = fresh.iter().enumerate().filter(|&(_, byte)| *byte == b'\n').find_map(|(at, _)| {
        match (fresh.get(at + 1), fresh.get(at + 2)) {
            (Some(b'\n'), _) => Some(at + 2),
            (Some(b'\r'), Some(b'\n')) => Some(at + 3),
            _ => None,
        }
    })?;
    Some(from + ends)
}

/// RFC 9112 section 9.3.
fn persists(version: Option<u8>, headers: &HeaderMap) -> bool {
    let says = |option: &str| {
        headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|token| token.trim().eq_ignore_ascii_case(option))
    };
    match version {
        Some(1) => !says("close"),
        // Section 6.1: in HTTP/1.0 a transfer coding makes the framing doubtful.
        _ => says("keep-alive") && !says("close") && !headers.contains_key(header::TRANSFER_ENCODING),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Option<(Answer, usize)>, Malformed> {
        Answer::read(text.as_bytes(), 0, &Method::GET)
    }

    #[test]
    fn a_head_is_read_up_to_its_empty_line_and_no_further() {
        let head = "HTTP/1.1 206 Partial\r\nETag : \"a\"\r\nX: \t1 \r\nX: 2\r\nContent-Length: 5\r\n\r\n";
        let (answer, len) = read(&format!("{head}HTTP/")).unwrap().unwrap();
        assert_eq!((answer.status, len), (StatusCode::PARTIAL_CONTENT, head.len()));
        assert_eq!(answer.headers["etag"], "\"a\"");
        assert_eq!(answer.headers.get_all("x").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!((answer.framing, answer.persists), (Framing::Length(5), true));
    }

    #[test]
    fn what_is_not_http_is_refused() {
        for text in [
            "\0\0\n\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: 1\rB: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA B: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\n: 1\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert_eq!(read(text).map(|_| ()), Err(Malformed), "{text:?}");
        }
    }

    #[test]
    fn heads_are_bounded_in_bytes_and_fields() {
        let endless = format!("HTTP/1.1 200 OK\r\nA: {}", "a".repeat(HEAD_MAX));
        assert_eq!(read(&endless).map(|_| ()), Err(Malformed));
        assert_eq!(read(&format!("{endless}\r\n\r\n")).map(|_| ()), Err(Malformed), "whole, and too long");
        for (fields, fits) in [(FIELDS_MAX, true), (FIELDS_MAX + 1, false)] {
            let head = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: 1\r\n".repeat(fields));
            assert_eq!(read(&head).is_ok(), fits, "{fields} fields");
        }
    }

    #[test]
    fn a_connection_persists_where_both_sides_know_how_the_body_ends() {
        for (head, persists) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: x, Close\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\n\r\n", false),
            ("HTTP/1.1 304 Not Modified\r\n\r\n", true),
            ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n", true),
            ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n", false),
        ] {
            assert_eq!(read(head).unwrap().unwrap().0.persists, persists, "{head}");
        }
    }

    #[test]
    fn a_length_that_is_said_several_times_goes_on_once() {
        let (answer, _) =
            read("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\nContent-Length: 05\r\n\r\n").unwrap().unwrap();
        assert_eq!(answer.headers.get_all("content-length").iter().collect::<Vec<_>>(), ["5"]);
    }

    proptest! {
        #[test]
        fn the_end_is_found_however_the_bytes_arrive(text in "[a\r\n]{0,40}", cut in 0_usize..40) {
            let bytes = text.as_bytes();
            let whole = end(bytes, 0);
            let cut = cut.min(bytes.len());
            let early = end(&bytes[..cut], 0);
            prop_assert_eq!(early.or_else(|| end(bytes, cut)), whole);
        }
    }
}
