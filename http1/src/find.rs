//! Where a head ends.

use std::ops::Range;

use crate::error::Error;
use crate::limits::EMPTY_LINES_MAX;
use crate::syntax::is_token;

/// Finds a head while its bytes arrive. It remembers how far it has searched, so that a head that arrives
/// byte by byte costs no more than one that arrives whole.
///
/// Lines may end with LF alone (RFC 9112 section 2.2): a head ends after its first empty line, whichever
/// ending that has.
#[derive(Debug, Clone, Copy)]
pub struct HeadFinder {
    what: What,
    searched: usize,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Request,
    Response,
}

impl HeadFinder {
    /// Looks for the head of a request.
    pub const fn request() -> Self {
        Self { what: What::Request, searched: 0 }
    }

    /// Looks for the head of a response.
    pub const fn response() -> Self {
        Self { what: What::Response, searched: 0 }
    }

    /// Where in `bytes` the head is, or `None` while its end is missing. `bytes` are all bytes since the
    /// finder was made: those of the last call, and those read since.
    ///
    /// # Errors
    ///
    /// The bytes cannot begin a head, or the head is larger than `head_bytes_max`.
    pub fn find(&mut self, bytes: &[u8], head_bytes_max: usize) -> Result<Option<Range<usize>>, Error> {
        let start = match self.what {
            What::Request => request_start(bytes)?,
            What::Response => response_start(bytes)?,
        };
        let there = bytes.len() - start;
        match self.end(bytes, start) {
            Some(end) if end - start <= head_bytes_max => Ok(Some(start..end)),
            None if there == 0 || there < head_bytes_max => Ok(None),
            _ => Err(Error::HeadTooLarge { max: head_bytes_max }),
        }
    }

    fn end(&mut self, bytes: &[u8], start: usize) -> Option<usize> {
        let mut at = self.searched.max(start);
        while let Some(line) = bytes.get(at..)?.iter().position(|byte| *byte == b'\n') {
            at += line;
            match bytes.get(at + 1..)? {
                [b'\n', ..] => return Some(at + 2),
                [b'\r', b'\n', ..] => return Some(at + 3),
                // The next bytes say whether this was the last line.
                [] | [b'\r'] => {
                    self.searched = at;
                    return None;
                }
                _ => at += 1,
            }
        }
        self.searched = bytes.len();
        None
    }
}

/// Where a request begins: after a few empty lines at most (RFC 9112 section 2.2). A request begins with a
/// token. Another protocol, TLS for one, may have no lines to wait for.
pub(crate) fn request_start(bytes: &[u8]) -> Result<usize, Error> {
    let mut rest = bytes;
    for _ in 0..=EMPTY_LINES_MAX {
        rest = match rest {
            [b'\n', rest @ ..] | [b'\r', b'\n', rest @ ..] => rest,
            // The LF is still to come. Until then this is no byte of a head.
            [b'\r'] => return Ok(bytes.len()),
            [b'\r', ..] => return Err(Error::LineEnd),
            [first, ..] if !is_token(*first) => return Err(Error::RequestLine),
            _ => return Ok(bytes.len() - rest.len()),
        };
    }
    Err(Error::EmptyLines { max: EMPTY_LINES_MAX })
}

/// A response begins with its status line. Bytes before it belong to no response.
pub(crate) fn response_start(bytes: &[u8]) -> Result<usize, Error> {
    let is_http = bytes.iter().zip(b"HTTP/").all(|(byte, expected)| byte == expected);
    if is_http { Ok(0) } else { Err(Error::StatusLine) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(bytes: &[u8], max: usize) -> Result<Option<Range<usize>>, Error> {
        HeadFinder::request().find(bytes, max)
    }

    #[test]
    fn a_head_ends_behind_its_first_empty_line() {
        for (bytes, head) in [
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET", Some(0..27)),
            ("GET / HTTP/1.0\n\n", Some(0..16)),
            ("GET / HTTP/1.1\r\na: b\n\r\n", Some(0..23)),
            ("GET / HTTP/1.1\r\n\n", Some(0..17)),
            ("\r\n\nGET / HTTP/1.1\r\n\r\n", Some(3..21)),
            ("GET / HTTP/1.1\r\nhost: a\r\n", None),
            ("GET / HTTP/1.1\r\nhost: a\r\n\r", None),
            ("\r\n", None),
            ("\r", None),
            ("", None),
        ] {
            assert_eq!(request(bytes.as_bytes(), 100), Ok(head), "{bytes:?}");
        }
    }

    #[test]
    fn what_begins_no_head_is_refused_before_its_end() {
        for (bytes, error) in [
            (&b"\x16\x03\x01"[..], Error::RequestLine),
            (b" GET", Error::RequestLine),
            (b"\0", Error::RequestLine),
            (b"\rG", Error::LineEnd),
            (b"\r\n\r\r\nGET", Error::LineEnd),
            (b"\n\n\n\n\n", Error::EmptyLines { max: EMPTY_LINES_MAX }),
            (b"\r\n\r\n\r\n\r\n\r\nGET", Error::EmptyLines { max: EMPTY_LINES_MAX }),
        ] {
            assert_eq!(request(bytes, 100), Err(error), "{}", bytes.escape_ascii());
        }
        for bytes in [&b"SSH-2.0"[..], b"\r\nHTTP/1.1 200 OK", b"HTPP", b"http/1.1", b"0\r\n\r\n"] {
            let refused = HeadFinder::response().find(bytes, 100);
            assert_eq!(refused, Err(Error::StatusLine), "{}", bytes.escape_ascii());
        }
        assert_eq!(HeadFinder::response().find(b"HTT", 100), Ok(None));
    }

    #[test]
    fn a_head_has_its_bound() {
        let head = b"\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n";
        let (len, too_large) = (head.len() - 2, |max| Err(Error::HeadTooLarge { max }));
        assert_eq!(request(head, len), Ok(Some(2..head.len())));
        assert_eq!(request(head, len - 1), too_large(len - 1));
        assert_eq!(request(&[b'a'; 99], 100), Ok(None));
        assert_eq!(request(&[b'a'; 100], 100), too_large(100), "its end cannot fit any more");
    }

    proptest! {
        #[test]
        fn a_head_is_found_however_its_bytes_arrive(
            text in "(GET|\r\n|\n)[a\r\n]{0,40}",
            max in 1_usize..50,
        ) {
            let bytes = text.as_bytes();
            let mut finder = HeadFinder::request();
            let mut found = Ok(None);
            for there in 0..=bytes.len() {
                found = finder.find(&bytes[..there], max);
                if found != Ok(None) {
                    break;
                }
            }
            prop_assert_eq!(found, request(bytes, max));
        }
    }
}
