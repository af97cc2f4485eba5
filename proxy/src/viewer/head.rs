//! The head of an HTTP/1.1 request, read until it is complete and parsed once, by the codec `http1/`.
//!
//! A head that the fast path has parsed and not served is handed over as it is. Any other head is read here.

use bytes::{Bytes, BytesMut};
use tidegate_http1::{Error, HeadFinder, Limits, Request, RequestHead, Room};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::refusal::Refusal;

/// Most header fields in one request.
pub(crate) const FIELDS_MAX: usize = 100;

/// Bytes per read.
const PIECE: usize = 4096;

/// A request whose head has been read.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) request: Request,
    /// The bytes of the head. The request consists of slices of them.
    pub(crate) head: Bytes,
    /// The bytes received after the head.
    pub(crate) pipelined: BytesMut,
}

/// What has been read of a request.
#[derive(Debug)]
pub(crate) enum Start {
    /// Its head is complete.
    Whole(Box<Received>),
    /// More of its head is still to come.
    Part(BytesMut),
    /// It is refused.
    Refused(Refusal),
}

/// The bounds of a head that may have `head_max` bytes.
pub(crate) fn limits(head_max: u64) -> Limits {
    Limits { head_bytes_max: usize::try_from(head_max).unwrap_or(usize::MAX), fields_max: FIELDS_MAX }
}

/// Reads until the head is complete. `None` if the viewer closes the connection first.
///
/// # Errors
/// When the head is too large, has too many fields, is malformed, or does not say where the body ends.
pub(crate) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    start: Start,
    limits: Limits,
) -> Result<Option<Box<Received>>, Refusal> {
    let mut bytes = match start {
        Start::Whole(received) => return Ok(Some(received)),
        Start::Part(bytes) => bytes,
        Start::Refused(refusal) => return Err(refusal),
    };
    let mut finder = HeadFinder::request();
    while finder.find(&bytes, limits.head_bytes_max)?.is_none() {
        bytes.reserve(PIECE);
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
    }
    parse(&bytes, limits).map(Some)
}

/// The request at the start of `bytes`. Not asynchronous, so that no task holds the room.
fn parse(bytes: &[u8], limits: Limits) -> Result<Box<Received>, Refusal> {
    let mut room = Room::new();
    let head = RequestHead::parse(bytes, limits, &mut room)?.ok_or(Refusal::Malformed)?;
    Received::of(&head, bytes)
}

impl Start {
    /// A request of which the fast path has parsed the head, at the start of `bytes`.
    pub(crate) fn of(head: &RequestHead<'_>, bytes: &[u8]) -> Self {
        match Received::of(head, bytes) {
            Ok(received) => Self::Whole(received),
            Err(refusal) => Self::Refused(refusal),
        }
    }
}

impl Received {
    /// The request with `head`, which was parsed at the start of `bytes`. A blocked request lives long: it
    /// keeps a copy of its head, but not the larger buffer of the reads.
    fn of(head: &RequestHead<'_>, bytes: &[u8]) -> Result<Box<Self>, Refusal> {
        let pipelined = bytes.get(head.len..).unwrap_or_default().into();
        let copy = Bytes::copy_from_slice(head.bytes());
        Ok(Box::new(Self { request: head.to_owned_in(&copy)?, head: copy, pipelined }))
    }

    /// All received bytes, for another parser.
    pub(crate) fn into_bytes(self) -> BytesMut {
        let mut bytes = BytesMut::with_capacity(self.head.len() + self.pipelined.len());
        bytes.extend_from_slice(&self.head);
        bytes.extend_from_slice(&self.pipelined);
        bytes
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::HeadTooLarge { max } => Self::HeadTooLarge { max: max as u64 },
            Error::TooManyFields { max } => Self::TooManyFields { max },
            Error::AmbiguousLength => Self::AmbiguousLength,
            Error::ContentLength => Self::ContentLength,
            Error::ChunkedNotLast | Error::CodingInHttp10 => Self::TransferEncoding,
            Error::TransferCoding => Self::TransferCoding,
            _ => Self::Malformed,
        }
    }
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
        let read = read(&mut Bytewise(request), Start::Part(BytesMut::new()), limits(max)).await?;
        Ok(read.map(|received| received.into_bytes()))
    }

    async fn complete(request: &[u8]) -> Result<Option<BytesMut>, Refusal> {
        let start = Start::Part(BytesMut::from(request));
        let read = read(&mut tokio::io::empty(), start, limits(100)).await?;
        Ok(read.map(|received| received.into_bytes()))
    }

    #[tokio::test]
    async fn a_head_ends_with_its_first_empty_line() {
        for head in
            ["GET / HTTP/1.1\r\nhost: a\r\n\r\n", "GET / HTTP/1.0\n\n", "GET / HTTP/1.1\r\na: b\n\r\n"]
        {
            let read = bytewise(format!("\r\n{head}").as_bytes(), 100).await.unwrap().unwrap();
            assert_eq!(read, head.as_bytes());
            let whole = format!("{head}GET /next");
            let read = complete(whole.as_bytes()).await.unwrap().unwrap();
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

    #[tokio::test]
    async fn a_request_line_is_three_words_of_what_they_may_hold() {
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
            let head = [line, b"\r\nhost: a\r\n\r\n"].concat();
            let expected = if valid { Ok(Some(BytesMut::from(&head[..]))) } else { Err(Refusal::Malformed) };
            assert_eq!(complete(&head).await, expected, "{}", line.escape_ascii());
        }
    }

    #[tokio::test]
    async fn a_body_ends_in_one_place_or_the_request_is_refused() {
        for (fields, refusal) in [
            ("content-length: 60", None),
            ("transfer-encoding: chunked", None),
            ("content-length: 60, 60", Some(Refusal::ContentLength)),
            ("content-length: 60\r\ncontent-length: 60", Some(Refusal::ContentLength)),
            ("content-length: +6", Some(Refusal::ContentLength)),
            ("content-length: -6", Some(Refusal::ContentLength)),
            ("content-length: 0x6", Some(Refusal::ContentLength)),
            ("content-length:", Some(Refusal::ContentLength)),
            ("content-length: 6\r\ntransfer-encoding: chunked", Some(Refusal::AmbiguousLength)),
            ("transfer-encoding: gzip, chunked", Some(Refusal::TransferCoding)),
            ("transfer-encoding: chunked, gzip", Some(Refusal::TransferEncoding)),
            ("transfer-encoding: gzip", Some(Refusal::TransferEncoding)),
            ("transfer-encoding: chunked, chunked", Some(Refusal::TransferEncoding)),
            ("a: b\ncontent-length: 6", Some(Refusal::Malformed)),
        ] {
            let head = format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n");
            let expected = refusal.map_or_else(|| Ok(Some(BytesMut::from(head.as_bytes()))), Err);
            assert_eq!(complete(head.as_bytes()).await, expected, "{fields:?}");
        }
        let old = complete(b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n").await;
        assert_eq!(old, Err(Refusal::TransferEncoding));
    }

    #[tokio::test]
    async fn a_malformed_head_is_refused() {
        for head in [
            &b"GET / HTTP/1.1\r\nHost: d\r\nA b: c\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nHost: d\r\nA: b\r\n c\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: d\r\nA: \0\r\n\r\n",
            b"\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: d\r\n\r\n",
            b"\x16\x03\x01",
        ] {
            assert_eq!(complete(head).await, Err(Refusal::Malformed), "{}", head.escape_ascii());
        }
    }
}
