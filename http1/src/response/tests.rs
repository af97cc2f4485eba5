use super::*;
use crate::limits::{FIELDS_MAX, HEAD_BYTES_MAX};

fn read(bytes: &[u8]) -> Result<Option<(Response, usize)>, Error> {
    let bytes = Bytes::copy_from_slice(bytes);
    let mut room = Room::new();
    let Some(head) = ResponseHead::parse(&bytes, Limits::default(), &mut room)? else { return Ok(None) };
    Ok(Some((head.to_owned(&bytes, &Method::GET)?, head.len)))
}

fn whole(text: &str) -> Response {
    read(text.as_bytes()).unwrap().unwrap().0
}

#[test]
fn a_head_is_read_up_to_its_empty_line_and_no_further() {
    let head = "HTTP/1.1 206 Partial\r\nETag : \"a\"\r\nX: \t1 \r\nX: 2\r\nContent-Length: 5\r\n\r\n";
    let (response, len) = read(format!("{head}HTTP/").as_bytes()).unwrap().unwrap();
    assert_eq!((response.status, len), (StatusCode::PARTIAL_CONTENT, head.len()));
    assert_eq!(response.headers["etag"], "\"a\"");
    assert_eq!(response.headers.get_all("x").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!((response.framing, response.persists), (Framing::Length(5), true));
    for there in 0..head.len() {
        assert!(read(&head.as_bytes()[..there]).unwrap().is_none(), "{there} bytes");
    }
}

#[test]
fn a_status_line_says_a_version_and_a_status() {
    for (line, status) in [
        (&b"HTTP/1.1 200 OK"[..], Ok(200)),
        (b"HTTP/1.0 200 OK", Ok(200)),
        (b"HTTP/1.1 404 ", Ok(404)),
        (b"HTTP/1.1 404", Ok(404)),
        (b"HTTP/1.1 200 caf\xe9 (\t\"", Ok(200)),
        (b"HTTP/1.1 999 -", Ok(999)),
        (b"HTTP/1.1  200 OK", Err(Error::StatusLine)),
        (b"HTTP/1.1 20 OK", Err(Error::StatusLine)),
        (b"HTTP/1.1 2000 OK", Err(Error::StatusLine)),
        (b"HTTP/1.1 +20 OK", Err(Error::StatusLine)),
        (b"HTTP/1.1 099 OK", Err(Error::StatusLine)),
        (b"HTTP/1.1 OK", Err(Error::StatusLine)),
        (b"HTTP/1.1 200\tOK", Err(Error::StatusLine)),
        (b"HTTP/1.1 200 O\0K", Err(Error::StatusLine)),
        (b"HTTP/1.1 200 O\rK", Err(Error::StatusLine)),
        (b"HTTP/2.0 200 OK", Err(Error::Version)),
        (b"HTTP/1.2 200 OK", Err(Error::Version)),
        (b"http/1.1 200 OK", Err(Error::StatusLine)),
        (b"ICY 200 OK", Err(Error::StatusLine)),
        (b"SSH-2.0-OpenSSH_9.2", Err(Error::StatusLine)),
        (b"\r\nHTTP/1.1 200 OK", Err(Error::StatusLine)),
        (b" HTTP/1.1 200 OK", Err(Error::StatusLine)),
        (b"\0\0", Err(Error::StatusLine)),
    ] {
        let read = read(&[line, b"\r\n\r\n"].concat()).map(|head| head.unwrap().0.status.as_u16());
        assert_eq!(read, status, "{}", line.escape_ascii());
    }
}

#[test]
fn a_field_line_that_is_none_is_refused() {
    for line in [
        &b"no colon"[..],
        b": 1",
        b"A B: 1",
        b"A: 1\r\n folded",
        b"A: 1\r\n\tfolded: 2",
        b" A: 1",
        b"A: 1\rB: 2",
        b"A: \0",
        b"A: 1\x0b",
    ] {
        let head = [b"HTTP/1.1 200 OK\r\n", line, b"\r\n\r\n"].concat();
        assert_eq!(read(&head).map(|_| ()), Err(Error::FieldLine), "{}", line.escape_ascii());
    }
}

#[test]
fn heads_are_bounded_in_bytes_and_fields() {
    let endless = format!("HTTP/1.1 200 OK\r\nA: {}", "a".repeat(HEAD_BYTES_MAX));
    let too_large = Err(Error::HeadTooLarge { max: HEAD_BYTES_MAX });
    assert_eq!(read(endless.as_bytes()).map(|_| ()), too_large);
    assert_eq!(read(format!("{endless}\r\n\r\n").as_bytes()).map(|_| ()), too_large, "whole, and too long");
    for (fields, fits) in [(FIELDS_MAX, true), (FIELDS_MAX + 1, false)] {
        let head = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: 1\r\n".repeat(fields));
        assert_eq!(read(head.as_bytes()).is_ok(), fits, "{fields} fields");
    }
}

#[test]
fn a_connection_persists_where_both_sides_know_how_the_body_ends() {
    for (head, persists) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", true),
        ("HTTP/1.1 200 OK\nContent-Length: 1\n\n", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: x, Close\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: x\r\nConnection: close\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\n\r\n", false),
        ("HTTP/1.1 304 Not Modified\r\n\r\n", true),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n", true),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n", false),
    ] {
        assert_eq!(whole(head).persists, persists, "{head}");
    }
}

#[test]
fn a_length_that_is_repeated_goes_on_once() {
    for fields in ["Content-Length: 5, 5\r\n", "Content-Length: 5\r\ncontent-length: 05\r\n"] {
        let response = whole(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
        let lengths: Vec<_> = response.headers.get_all("content-length").iter().collect();
        assert_eq!(lengths, ["5"], "{fields:?}");
        assert_eq!(response.framing, Framing::Length(5), "{fields:?}");
    }
}
