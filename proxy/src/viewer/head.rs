//! The head of an HTTP/1.1 request, read and checked before the parser receives it.
//!
//! The parser would accept up to 1 MiB of head, and would repair an invalid request line. A cache does
//! neither: a head is bounded, and RFC 9112 section 3 warns against repair, since an attacker can craft a
//! request line that a filter and the server after it read differently.

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::refusal::Refusal;

/// Most header fields in one request.
pub(crate) const FIELDS_MAX: usize = 100;

/// Bytes per read.
const PIECE: usize = 4096;

/// Reads until the head is complete, and returns it with the bytes received after it. `ahead` was read
/// before. `None` if the viewer closes the connection first.
///
/// # Errors
/// When the head is too large, has too many fields, or does not begin as an HTTP/1.x request.
pub(crate) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    ahead: BytesMut,
    max: u64,
) -> Result<Option<BytesMut>, Refusal> {
    let mut bytes = ahead;
    let mut searched = 0;
    loop {
        // Empty lines before a request are ignored (RFC 9112 section 2.2).
        while bytes.first().is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
            bytes.advance(1);
        }
        let end = end(&bytes, searched);
        if end.unwrap_or(bytes.len()) as u64 > max {
            return Err(Refusal::HeadTooLarge { max });
        }
        if let Some(head) = end.and_then(|end| bytes.get(..end)) {
            check(head)?;
            // A blocked request lives long: it keeps its head, but not the larger buffer of the reads.
            return Ok(Some(BytesMut::from(&bytes[..])));
        }
        // Another protocol, such as TLS, may never send an empty line.
        if bytes.first().is_some_and(|byte| !is_token(*byte)) {
            return Err(Refusal::Malformed);
        }
        searched = bytes.len().saturating_sub(END_LEN_MAX - 1);
        bytes.reserve(PIECE);
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
    }
}

/// The end of the head, after its first empty line. Lines may end in a bare LF (RFC 9112 section 2.2).
fn end(bytes: &[u8], searched: usize) -> Option<usize> {
    let mut at = searched;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == b'\n')? + 1;
        match bytes.get(at..)? {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
}

const END_LEN_MAX: usize = "\n\r\n".len();

fn check(head: &[u8]) -> Result<(), Refusal> {
    let mut lines = head.split(|byte| *byte == b'\n');
    let line = lines.next().unwrap_or_default();
    if !is_request_line(line.strip_suffix(b"\r").unwrap_or(line)) {
        return Err(Refusal::Malformed);
    }
    // The split yields two parts more than fields: the empty line, and the empty rest.
    if lines.count().saturating_sub(2) > FIELDS_MAX {
        return Err(Refusal::TooManyFields { max: FIELDS_MAX });
    }
    Ok(())
}

/// Whether the line is three words and two spaces (RFC 9112 section 3). A target is visible ASCII without a
/// fragment.
fn is_request_line(line: &[u8]) -> bool {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return false;
    };
    let is_target = |byte: &u8| byte.is_ascii_graphic() && *byte != b'#';
    !method.is_empty()
        && method.iter().copied().all(is_token)
        && !target.is_empty()
        && target.iter().all(is_target)
        && matches!(version, b"HTTP/1.1" | b"HTTP/1.0")
}

/// Whether the byte may be in a token (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::ReadBuf;

    use super::*;

    /// A connection from which every read returns one byte.
    struct Bytewise<'a>(&'a [u8]);

    impl AsyncRead for Bytewise<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            if let Some((byte, rest)) = self.0.split_first() {
                buf.put_slice(&[*byte]);
                self.0 = rest;
            }
            Poll::Ready(Ok(()))
        }
    }

    async fn bytewise(request: &[u8], max: u64) -> Result<Option<BytesMut>, Refusal> {
        read(&mut Bytewise(request), BytesMut::new(), max).await
    }

    async fn try_hit(request: &[u8]) -> Result<Option<BytesMut>, Refusal> {
        read(&mut tokio::io::empty(), BytesMut::from(request), 100).await
    }

    #[tokio::test]
    async fn a_head_ends_with_its_first_empty_line() {
        for head in
            ["GET / HTTP/1.1\r\nhost: a\r\n\r\n", "GET / HTTP/1.0\n\n", "GET / HTTP/1.1\r\na: b\n\r\n"]
        {
            let read = bytewise(format!("\r\n{head}").as_bytes(), 100).await.unwrap().unwrap();
            assert_eq!(read, head.as_bytes());
            let whole = format!("{head}GET /next");
            let read = try_hit(whole.as_bytes()).await.unwrap().unwrap();
            assert_eq!(read, whole.as_bytes());
        }
        assert_eq!(bytewise(b"GET / HTTP/1.1\r\nhost: a\r\n", 100).await, Ok(None));
    }

    #[tokio::test]
    async fn a_head_has_its_bounds() {
        let head = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        let too_large = |max| Err(Refusal::HeadTooLarge { max });
        assert!(bytewise(head.as_bytes(), head.len() as u64).await.is_ok());
        assert_eq!(bytewise(head.as_bytes(), head.len() as u64 - 1).await, too_large(head.len() as u64 - 1));
        assert_eq!(bytewise(&[b'a'; 200], 100).await, too_large(100));
        let fields = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert!(bytewise(fields(FIELDS_MAX).as_bytes(), 10_000).await.is_ok());
        let refused = Err(Refusal::TooManyFields { max: FIELDS_MAX });
        assert_eq!(bytewise(fields(FIELDS_MAX + 1).as_bytes(), 10_000).await, refused);
    }

    #[test]
    fn a_request_line_is_three_words_of_what_they_may_hold() {
        for (line, valid) in [
            (&b"GET / HTTP/1.1"[..], true),
            (b"M-SEARCH * HTTP/1.1", true),
            (b"GET /a|b?c=\"d\" HTTP/1.0", true),
            (b"GET  / HTTP/1.1", false),
            (b"GET / HTTP/1.1 ", false),
            (b" GET / HTTP/1.1", false),
            (b"GET\t/ HTTP/1.1", false),
            (b"GET /a b HTTP/1.1", false),
            (b"GET /a#b HTTP/1.1", false),
            (b"GET /\xc3\xa9 HTTP/1.1", false),
            (b"GET /\0 HTTP/1.1", false),
            (b"G(T / HTTP/1.1", false),
            (b"GET / HTTP/1.2", false),
            (b"GET / http/1.1", false),
            (b"GET /", false),
            (b"", false),
        ] {
            assert_eq!(is_request_line(line), valid, "{}", line.escape_ascii());
        }
    }
}
