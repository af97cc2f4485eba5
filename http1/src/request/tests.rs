use proptest::prelude::*;

use super::*;
use crate::find::HeadFinder;
use crate::limits::{EMPTY_LINES_MAX, FIELDS_MAX};

const LIMITS: Limits = Limits { head_bytes_max: 200, fields_max: 5 };

/// Method, target, version and fields in one line; `None` while the end is missing.
fn parsed(bytes: &[u8]) -> Result<Option<String>, Error> {
    let mut room = Room::new();
    let head = RequestHead::parse(bytes, LIMITS, &mut room)?;
    Ok(head.map(|head| {
        let fields = head.fields.iter().map(|(name, value)| format!(" {name}={}", value.escape_ascii()));
        format!("{} {} {:?}{}", head.method, head.target, head.version, fields.collect::<String>())
    }))
}

fn framing(fields: &str) -> Result<Framing, Error> {
    framing_of(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes())
}

fn framing_of(bytes: &[u8]) -> Result<Framing, Error> {
    RequestHead::parse(bytes, Limits::default(), &mut Room::new())?.unwrap().framing()
}

#[test]
fn a_head_is_read_as_it_stands() {
    for (bytes, head) in [
        (&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], "GET / HTTP/1.1 Host=a"),
        (b"get /A HTTP/1.0\r\n\r\n", "get /A HTTP/1.0"),
        (b"M-SEARCH * HTTP/1.1\r\n\r\n", "M-SEARCH * HTTP/1.1"),
        (b"GET http://a/b?c HTTP/1.1\r\nhost:a\r\n\r\n", "GET http://a/b?c HTTP/1.1 host=a"),
        (b"GET /a|\"b\\c HTTP/1.1\r\n\r\n", "GET /a|\"b\\c HTTP/1.1"),
        (b"GET / HTTP/1.1\r\nA: \t b c \t\r\nA:\r\nB: \r\n\r\n", "GET / HTTP/1.1 A=b c A= B="),
        (b"GET / HTTP/1.1\r\nA: caf\xe9\t\"\r\n\r\n", "GET / HTTP/1.1 A=caf\\xe9\\t\\\""),
        // RFC 9112 section 2.2: LF may end a line, and empty lines may come before a request.
        (b"\r\n\nGET / HTTP/1.1\nA: b\n\n", "GET / HTTP/1.1 A=b"),
        (b"GET / HTTP/1.1\r\nA: b\n\r\nGET", "GET / HTTP/1.1 A=b"),
    ] {
        assert_eq!(parsed(bytes), Ok(Some(head.to_owned())), "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_head_that_is_not_whole_is_waited_for() {
    let whole = b"\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n";
    for there in 0..whole.len() {
        assert_eq!(parsed(&whole[..there]), Ok(None), "{}", whole[..there].escape_ascii());
    }
    let mut room = Room::new();
    let behind = [whole, &b"GET"[..]].concat();
    let head = RequestHead::parse(&behind, LIMITS, &mut room).unwrap().unwrap();
    assert_eq!(head.len, whole.len());
}

#[test]
fn a_request_line_that_is_none_is_not_repaired() {
    for (line, error) in [
        (&b"GET /"[..], Error::RequestLine),
        (b"GET  / HTTP/1.1", Error::RequestLine),
        (b"GET /  HTTP/1.1", Error::RequestLine),
        (b"GET / HTTP/1.1 ", Error::LineEnd),
        (b"GET / HTTP/1.1\t", Error::LineEnd),
        (b"GET / HTTP/1.1\r", Error::LineEnd),
        (b" GET / HTTP/1.1", Error::RequestLine),
        (b"GET\t/ HTTP/1.1", Error::RequestLine),
        (b"GET\x0b/ HTTP/1.1", Error::RequestLine),
        (b"GET /\tHTTP/1.1", Error::RequestLine),
        (b"GET /a b HTTP/1.1", Error::RequestLine),
        (b"GET /a\rb HTTP/1.1", Error::RequestLine),
        (b"GET /a#b HTTP/1.1", Error::RequestLine),
        (b"GET /\xc3\xa9 HTTP/1.1", Error::RequestLine),
        (b"GET /\xff HTTP/1.1", Error::RequestLine),
        (b"GET /\0 HTTP/1.1", Error::RequestLine),
        (b"GET /\x7f HTTP/1.1", Error::RequestLine),
        (b"G(T / HTTP/1.1", Error::RequestLine),
        (b"G\0T / HTTP/1.1", Error::RequestLine),
        (b"GET / http/1.1", Error::RequestLine),
        (b"GET / HTTP/1", Error::RequestLine),
        (b"GET / HTTP/01.1", Error::RequestLine),
        (b"GET / HTTP/1.10", Error::LineEnd),
        (b"GET / HTTPS/1.1", Error::RequestLine),
        (b"GET / ICY/1.0", Error::RequestLine),
        (b"GET / HTTP/0.9", Error::Version),
        (b"GET / HTTP/1.2", Error::Version),
        (b"GET / HTTP/2.0", Error::Version),
        (b"PRI * HTTP/2.0", Error::Version),
        (b"HTTP/1.1 200 OK", Error::RequestLine),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Error::RequestLine),
    ] {
        let head = [line, b"\r\nHost: a\r\n\r\n"].concat();
        assert_eq!(parsed(&head), Err(error), "{}", line.escape_ascii());
    }
    assert_eq!(parsed(b"\r\rGET / HTTP/1.1\r\n\r\n"), Err(Error::LineEnd));
    let empty = "\r\n".repeat(EMPTY_LINES_MAX + 1);
    let many = Error::EmptyLines { max: EMPTY_LINES_MAX };
    assert_eq!(parsed(format!("{empty}GET / HTTP/1.1\r\n\r\n").as_bytes()), Err(many));
}

#[test]
fn a_field_line_that_is_none_is_refused() {
    for (line, error) in [
        (&b"no colon"[..], Error::FieldLine),
        (b": empty", Error::FieldLine),
        (b"A : space", Error::FieldLine),
        (b"A\t: tab", Error::FieldLine),
        (b" A: space", Error::FieldLine),
        (b"A: 1\r\n folded", Error::FieldLine),
        (b"A: 1\r\n\tfolded", Error::FieldLine),
        (b"A:\r\n folded", Error::FieldLine),
        (b"A: 1\rB: 2", Error::FieldLine),
        (b"A: 1\r\rB: 2", Error::FieldLine),
        (b"A:\rB: 2", Error::FieldLine),
        (b"A: \0", Error::FieldLine),
        (b"A: 1\x01", Error::FieldLine),
        (b"A: 1\x7f", Error::FieldLine),
        (b"Transfer-Encoding: chunked\x0b", Error::FieldLine),
        (b"Transfer-Encoding:\x0bchunked", Error::FieldLine),
        (b"Transfer-Encoding\x0b: chunked", Error::FieldLine),
        (b"\0Transfer-Encoding: chunked", Error::FieldLine),
        (b"Transfer\xadEncoding: chunked", Error::FieldLine),
        (b"Content Length: 1", Error::FieldLine),
        (b"Content\tLength: 1", Error::FieldLine),
        (b"(A): 1", Error::FieldLine),
        (b"\"A\": 1", Error::FieldLine),
        (b"A@: 1", Error::FieldLine),
        (b"\rA: 1", Error::LineEnd),
    ] {
        let head = [b"GET / HTTP/1.1\r\nHost: a\r\n", line, b"\r\nX: y\r\n\r\n"].concat();
        assert_eq!(parsed(&head), Err(error), "{}", line.escape_ascii());
    }
}

#[test]
fn a_head_has_its_bounds() {
    let long = |len: usize| {
        let head = "GET / HTTP/1.1\r\nA: \r\n\r\n";
        head.replace("A: ", &format!("A: {}", "b".repeat(len - head.len())))
    };
    let too_large = Err(Error::HeadTooLarge { max: LIMITS.head_bytes_max });
    assert!(parsed(long(LIMITS.head_bytes_max).as_bytes()).unwrap().is_some());
    assert_eq!(parsed(long(LIMITS.head_bytes_max + 1).as_bytes()), too_large);
    let target = format!("GET /{}", "a".repeat(LIMITS.head_bytes_max));
    assert_eq!(parsed(target.as_bytes()), too_large, "its end cannot fit any more");

    let fields = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(count));
    assert!(parsed(fields(LIMITS.fields_max).as_bytes()).unwrap().is_some());
    let too_many = Error::TooManyFields { max: LIMITS.fields_max };
    assert_eq!(parsed(fields(LIMITS.fields_max + 1).as_bytes()), Err(too_many));
    let wide = Limits { fields_max: usize::MAX, ..Limits::default() };
    let (mut room, many) = (Room::new(), fields(FIELDS_MAX + 1));
    let refused = RequestHead::parse(many.as_bytes(), wide, &mut room).map(|_| ());
    assert_eq!(refused, Err(Error::TooManyFields { max: FIELDS_MAX }), "there is no more room");
}

#[test]
fn the_body_of_a_request_ends_in_one_place_or_the_request_is_refused() {
    for (fields, expected) in [
        ("", Ok(Framing::Empty)),
        ("Content-Length: 0\r\n", Ok(Framing::Length(0))),
        ("content-length:\t5 \r\n", Ok(Framing::Length(5))),
        ("Content-Length: 5\nX: y\r\n", Err(Error::LineEnd)),
        ("X: y\nContent-Length: 5\r\n", Err(Error::LineEnd)),
        ("X: y\nTransfer-Encoding: chunked\r\n", Err(Error::LineEnd)),
        ("X: y\n", Ok(Framing::Empty)),
        ("Transfer-Encoding: Chunked\r\n", Ok(Framing::Chunked)),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Err(Error::AmbiguousLength)),
        ("Content-Length: 0\r\nTransfer-Encoding: gzip\r\n", Err(Error::AmbiguousLength)),
        ("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", Ok(Framing::Length(5))),
    ] {
        assert_eq!(framing(fields), expected, "{fields:?}");
    }
    let old = framing_of(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(old, Err(Error::CodingInHttp10));
    assert_eq!(framing_of(b"POST / HTTP/1.1\nContent-Length: 5\n\n"), Err(Error::LineEnd));
}

#[test]
fn a_target_has_one_of_four_forms() {
    let absolute =
        |scheme, authority, path_and_query| Ok(Form::Absolute { scheme, authority, path_and_query });
    for (method, target, form) in [
        ("GET", "/a?b", Ok(Form::Origin("/a?b"))),
        ("GET", "//a/b", Ok(Form::Origin("//a/b"))),
        ("GET", "http://a:80/b?c", absolute("http", "a:80", "/b?c")),
        ("GET", "HTTPS://a", absolute("HTTPS", "a", "")),
        ("GET", "http://a?b", absolute("http", "a", "?b")),
        ("GET", "ftp://a/", absolute("ftp", "a", "/")),
        ("CONNECT", "a:443", Ok(Form::Authority("a:443"))),
        ("OPTIONS", "*", Ok(Form::Asterisk)),
        ("GET", "*", Err(Error::Target)),
        ("GET", "a:443", Err(Error::Target)),
        ("GET", "a/b", Err(Error::Target)),
        ("GET", "http:///b", Err(Error::Target)),
        ("GET", "http://me@a/b", Err(Error::Target)),
        ("GET", "://a", Err(Error::Target)),
        ("GET", "1http://a", Err(Error::Target)),
        ("GET", "?a", Err(Error::Target)),
    ] {
        let text = format!("{method} {target} HTTP/1.1\r\n\r\n");
        let mut room = Room::new();
        let head = RequestHead::parse(text.as_bytes(), LIMITS, &mut room).unwrap().unwrap();
        assert_eq!(head.form(), form, "{text:?}");
        assert_eq!(head.has_plain_target(), matches!(form, Ok(Form::Origin(_))), "{text:?}");
    }
}

#[test]
fn hosts_are_counted() {
    for (fields, host) in [
        ("", Host::Missing),
        ("Host:\r\n", Host::One(b"")),
        ("hOST: a:80\r\n", Host::One(b"a:80")),
        ("Host: a, b\r\n", Host::One(b"a, b")),
        ("Host: a\r\nX: y\r\nhost: a\r\n", Host::Several),
    ] {
        let text = format!("GET / HTTP/1.1\r\n{fields}\r\n");
        let mut room = Room::new();
        let head = RequestHead::parse(text.as_bytes(), LIMITS, &mut room).unwrap().unwrap();
        assert_eq!(head.host(), host, "{text:?}");
    }
}

#[test]
fn a_copied_head_keeps_empty_values_and_leaves_out_the_lines_before_it() {
    let bytes = b"\r\nGET /a HTTP/1.1\r\nHost:\r\nX: \r\nY: z\r\n\r\nrest";
    let mut room = Room::new();
    let head = RequestHead::parse(bytes, LIMITS, &mut room).unwrap().unwrap();
    assert_eq!(head.bytes(), b"GET /a HTTP/1.1\r\nHost:\r\nX: \r\nY: z\r\n\r\n");
    let request = head.to_owned_in(&Bytes::copy_from_slice(head.bytes())).unwrap();
    assert_eq!((&request.target[..], request.has_plain_target), (&b"/a"[..], true));
    assert_eq!(request.headers["y"], "z");
    assert!(request.headers["host"].is_empty() && request.headers["x"].is_empty());
}

#[test]
fn a_head_is_turned_into_parts_of_one_buffer() {
    let bytes =
        Bytes::from_static(b"PUT /a HTTP/1.1\r\nHost: b\r\nX: 1\r\nx: 2\r\nContent-Length: 3\r\n\r\nabc");
    let mut room = Room::new();
    let head = RequestHead::parse(&bytes, LIMITS, &mut room).unwrap().unwrap();
    let request = head.to_owned(&bytes).unwrap();
    assert_eq!((&request.method, &request.target[..]), (&Method::PUT, &b"/a"[..]));
    assert_eq!((request.version, request.framing), (Version::HTTP_11, Framing::Length(3)));
    assert!(request.persists);
    assert_eq!(request.headers.get_all("x").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(head.fields.copied().unwrap(), request.headers);
    let copied = head.to_owned_in(&Bytes::copy_from_slice(head.bytes())).unwrap();
    assert_eq!((copied.method, copied.target), (request.method, request.target));
    assert_eq!((copied.headers, copied.framing), (request.headers, request.framing));
    assert_eq!(&bytes[head.len..], b"abc");
}

/// A head of which most is as it should be, with one byte that may be another.
fn heads() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec![
        "GET /a?b=%20 HTTP/1.1",
        "POST http://d/a HTTP/1.1",
        "GET /a HTTP/1.0",
        "GET /a HTTP/1.2",
        "\r\nGET /a HTTP/1.1",
    ]);
    let field = prop::sample::select(vec![
        "Host: d",
        "X-Odd: \tb, c",
        "Connection: x, close",
        "Content-Length: 0",
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
    ]);
    let fields = prop::collection::vec(field, 0..6);
    let breaks = prop::sample::select(vec!["\r\n", "\n"]);
    let odd = prop::option::of((any::<prop::sample::Index>(), any::<u8>()));
    (line, fields, breaks, odd).prop_map(|(line, fields, line_break, odd)| {
        let lines = [&[line], &fields[..], &["", "GET / HTTP/1.1"]].concat();
        let mut head = lines.join(line_break).into_bytes();
        if let Some((at, byte)) = odd {
            let at = at.index(head.len());
            head[at] = byte;
        }
        head
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_head_is_the_same_however_its_bytes_arrive(bytes in heads()) {
        let mut finder = HeadFinder::request();
        let mut found = Ok(None);
        for there in 0..=bytes.len() {
            found = finder.find(&bytes[..there], LIMITS.head_bytes_max);
            if found != Ok(None) {
                break;
            }
        }
        let whole = parsed(&bytes);
        match found {
            // What is refused early is refused.
            Err(_) => prop_assert!(whole.is_err()),
            Ok(None) => prop_assert!(whole.is_err() || whole == Ok(None)),
            Ok(Some(place)) => {
                prop_assert_eq!(parsed(&bytes[place.clone()]), whole.clone());
                if let Ok(head) = whole {
                    prop_assert!(head.is_some(), "the end is there");
                    let mut room = Room::new();
                    let head = RequestHead::parse(&bytes, LIMITS, &mut room).unwrap().unwrap();
                    prop_assert_eq!(head.len, place.end);
                }
            }
        }
    }
}
