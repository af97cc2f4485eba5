use http::HeaderValue;

use super::*;

const LENGTH: &str = "Content-Length";
const CODING: &str = "Transfer-Encoding";

type Field = (&'static str, &'static [u8]);

type Framed = Result<Framing, Error>;

/// What both sides make of the fields of one message: a request, and the response to a GET.
const CASES: &[(&[Field], Framed, Framed)] = &[
    (&[], Ok(Framing::Empty), Ok(Framing::Close)),
    (&[(LENGTH, b"5")], Ok(Framing::Length(5)), Ok(Framing::Length(5))),
    (&[("content-LENGTH", b"5")], Ok(Framing::Length(5)), Ok(Framing::Length(5))),
    (&[(LENGTH, b"0")], Ok(Framing::Length(0)), Ok(Framing::Length(0))),
    (&[(LENGTH, b"005")], Ok(Framing::Length(5)), Ok(Framing::Length(5))),
    (&[(LENGTH, b"18446744073709551615")], Ok(Framing::Length(u64::MAX)), Ok(Framing::Length(u64::MAX))),
    (&[(LENGTH, b"18446744073709551616")], Err(Error::ContentLength), Err(Error::ContentLength)),
    (&[(LENGTH, b"99999999999999999999999")], Err(Error::ContentLength), Err(Error::ContentLength)),
    // RFC 9110 section 8.6 lets a recipient take the same length twice. Nothing that sends requests has a
    // reason to.
    (&[(LENGTH, b"5"), (LENGTH, b"5")], Err(Error::ContentLength), Ok(Framing::Length(5))),
    (&[(LENGTH, b"5, 5")], Err(Error::ContentLength), Ok(Framing::Length(5))),
    (&[(LENGTH, b"60, 60"), (LENGTH, b"060")], Err(Error::ContentLength), Ok(Framing::Length(60))),
    (&[(LENGTH, b"5"), (LENGTH, b"6")], Err(Error::ContentLength), Err(Error::ContentLength)),
    (&[(LENGTH, b"5, 6")], Err(Error::ContentLength), Err(Error::ContentLength)),
    (&[(LENGTH, b"+5")], Err(Error::ContentLength), Err(Error::ContentLength)),
    (&[(LENGTH, b"-5")], Err(Error::ContentLength), Err(Error::ContentLength)),
    (&[(LENGTH, b"-0")], Err(Error::ContentLength), Err(Error::ContentLength)),
    (&[(LENGTH, b"0x5")], Err(Error::ContentLength), Err(Error::ContentLength)),
    (&[(LENGTH, b"5 5")], Err(Error::ContentLength), Err(Error::ContentLength)),
    (&[(LENGTH, b"5\t")], Ok(Framing::Length(5)), Ok(Framing::Length(5))),
    (&[(LENGTH, b"5\x0b")], Err(Error::ContentLength), Err(Error::ContentLength)),
    (&[(LENGTH, b"5.0")], Err(Error::ContentLength), Err(Error::ContentLength)),
    (&[(LENGTH, b"5e1")], Err(Error::ContentLength), Err(Error::ContentLength)),
    (&[(LENGTH, b"1_0")], Err(Error::ContentLength), Err(Error::ContentLength)),
    (&[(LENGTH, b"\xef\xbc\x95")], Err(Error::ContentLength), Err(Error::ContentLength)),
    (&[(LENGTH, b"")], Err(Error::ContentLength), Err(Error::ContentLength)),
    (&[(LENGTH, b"5,")], Err(Error::ContentLength), Err(Error::ContentLength)),
    (&[(LENGTH, b",5")], Err(Error::ContentLength), Err(Error::ContentLength)),
    (&[(LENGTH, b"5;a=b")], Err(Error::ContentLength), Err(Error::ContentLength)),
    (&[(LENGTH, b"\"5\"")], Err(Error::ContentLength), Err(Error::ContentLength)),
    (&[(LENGTH, b"five")], Err(Error::ContentLength), Err(Error::ContentLength)),
    (&[(CODING, b"chunked")], Ok(Framing::Chunked), Ok(Framing::Chunked)),
    (&[("transfer-encoding", b"CHUNKED")], Ok(Framing::Chunked), Ok(Framing::Chunked)),
    (&[(CODING, b" chunked\t")], Ok(Framing::Chunked), Ok(Framing::Chunked)),
    (&[(CODING, b"gzip, chunked")], Err(Error::TransferCoding), Err(Error::TransferCoding)),
    (&[(CODING, b"gzip"), (CODING, b"chunked")], Err(Error::TransferCoding), Err(Error::TransferCoding)),
    (&[(CODING, b"identity, chunked")], Err(Error::TransferCoding), Err(Error::TransferCoding)),
    (&[(CODING, b"gzip")], Err(Error::ChunkedNotLast), Err(Error::ChunkedNotLast)),
    (&[(CODING, b"identity")], Err(Error::ChunkedNotLast), Err(Error::ChunkedNotLast)),
    (&[(CODING, b"chunked, gzip")], Err(Error::ChunkedNotLast), Err(Error::ChunkedNotLast)),
    (&[(CODING, b"chunked, chunked")], Err(Error::ChunkedNotLast), Err(Error::ChunkedNotLast)),
    (&[(CODING, b"chunked"), (CODING, b"chunked")], Err(Error::ChunkedNotLast), Err(Error::ChunkedNotLast)),
    (&[(CODING, b"chunked"), (CODING, b"x")], Err(Error::ChunkedNotLast), Err(Error::ChunkedNotLast)),
    (&[(CODING, b"xchunked")], Err(Error::ChunkedNotLast), Err(Error::ChunkedNotLast)),
    (&[(CODING, b"chunkedx")], Err(Error::ChunkedNotLast), Err(Error::ChunkedNotLast)),
    (&[(CODING, b"chun ked")], Err(Error::ChunkedNotLast), Err(Error::ChunkedNotLast)),
    (&[(CODING, b"x chunked")], Err(Error::ChunkedNotLast), Err(Error::ChunkedNotLast)),
    (&[(CODING, b"chunked\x0b")], Err(Error::ChunkedNotLast), Err(Error::ChunkedNotLast)),
    (&[(CODING, b"\x0bchunked")], Err(Error::ChunkedNotLast), Err(Error::ChunkedNotLast)),
    (&[(CODING, b"chunked\0")], Err(Error::ChunkedNotLast), Err(Error::ChunkedNotLast)),
    (&[(CODING, b"chunked;a=b")], Err(Error::ChunkedNotLast), Err(Error::ChunkedNotLast)),
    (&[(CODING, b"\"chunked\"")], Err(Error::ChunkedNotLast), Err(Error::ChunkedNotLast)),
    (&[(CODING, b"'chunked'")], Err(Error::ChunkedNotLast), Err(Error::ChunkedNotLast)),
    (&[(CODING, b"")], Err(Error::ChunkedNotLast), Err(Error::ChunkedNotLast)),
    (&[(CODING, b", chunked")], Err(Error::ChunkedNotLast), Err(Error::ChunkedNotLast)),
    (&[(CODING, b"chunked,")], Err(Error::ChunkedNotLast), Err(Error::ChunkedNotLast)),
    (&[(CODING, b""), (CODING, b"chunked")], Err(Error::ChunkedNotLast), Err(Error::ChunkedNotLast)),
    (&[(CODING, b"chunked"), (LENGTH, b"5")], Err(Error::AmbiguousLength), Err(Error::AmbiguousLength)),
    (&[(LENGTH, b"x"), (CODING, b"chunked")], Err(Error::AmbiguousLength), Err(Error::AmbiguousLength)),
    (&[(LENGTH, b"0"), (CODING, b"identity")], Err(Error::AmbiguousLength), Err(Error::AmbiguousLength)),
    (&[("Content_Length", b"5"), ("TE", b"chunked")], Ok(Framing::Empty), Ok(Framing::Close)),
];

#[test]
fn every_message_is_framed_as_the_rfc_says_or_refused() {
    for (fields, request, response) in CASES {
        let shown = fields.iter().map(|(name, value)| format!("{name}: {} ", value.escape_ascii()));
        let shown = shown.collect::<String>();
        let of_request = Framing::of_request(Version::HTTP_11, fields.iter().copied());
        assert_eq!(of_request, *request, "request with {shown}");
        let of_response = Framing::of_response(&Method::GET, StatusCode::OK, fields.iter().copied());
        assert_eq!(of_response, *response, "response with {shown}");
        // A response without a body is refused for the same fields: it may be stored, and its fields go on.
        let headed = Framing::of_response(&Method::HEAD, StatusCode::OK, fields.iter().copied());
        assert_eq!(headed, response.map(|_| Framing::Empty), "response to HEAD with {shown}");
    }
}

#[test]
fn what_http_1_0_knows_no_coding() {
    let coded: &[Field] = &[(CODING, b"chunked")];
    let of_request = Framing::of_request(Version::HTTP_10, coded.iter().copied());
    assert_eq!(of_request, Err(Error::CodingInHttp10));
    assert!(!persists(
        Version::HTTP_10,
        [("connection", &b"keep-alive"[..])].into_iter().chain(coded.iter().copied())
    ));
}

#[test]
fn some_responses_have_no_body_whatever_their_fields_say() {
    for status in [100, 103, 204, 304] {
        let status = StatusCode::from_u16(status).unwrap();
        for fields in [&[][..], &[(LENGTH, &b"5"[..])], &[(CODING, b"chunked")]] {
            let framing = Framing::of_response(&Method::GET, status, fields.iter().copied());
            assert_eq!(framing, Ok(Framing::Empty), "{status}");
        }
        let differing = [(LENGTH, &b"5"[..]), (LENGTH, b"6")];
        let refused = Framing::of_response(&Method::GET, status, differing.into_iter());
        assert_eq!(refused, Err(Error::ContentLength), "{status}");
    }
}

#[test]
fn a_response_leaves_with_a_length_in_chunks_or_until_the_connection_ends() {
    let (new, old) = (Version::HTTP_11, Version::HTTP_10);
    for (method, status, version, length, framing) in [
        (Method::GET, StatusCode::OK, new, Some(5), Framing::Length(5)),
        (Method::GET, StatusCode::OK, new, None, Framing::Chunked),
        (Method::GET, StatusCode::OK, old, None, Framing::Close),
        (Method::HEAD, StatusCode::OK, new, Some(5), Framing::Empty),
        (Method::HEAD, StatusCode::OK, new, None, Framing::Empty),
        (Method::GET, StatusCode::NO_CONTENT, new, None, Framing::Empty),
        (Method::GET, StatusCode::NOT_MODIFIED, new, Some(5), Framing::Empty),
        (Method::GET, StatusCode::CONTINUE, new, None, Framing::Empty),
    ] {
        assert_eq!(Framing::to_send(&method, status, version, length), framing, "{method} {status}");
    }
}

#[test]
fn options_of_a_connection_are_read_in_all_its_lines() {
    for (version, lines, expected) in [
        (Version::HTTP_11, &[][..], true),
        (Version::HTTP_11, &["keep-alive"], true),
        (Version::HTTP_11, &["x", "y , CLOSE\t"], false),
        (Version::HTTP_11, &["closed", "not-close"], true),
        (Version::HTTP_10, &[], false),
        (Version::HTTP_10, &["x, Keep-Alive"], true),
        (Version::HTTP_10, &["keep-alive", "close"], false),
    ] {
        let fields = lines.iter().map(|line| ("Connection", line.as_bytes()));
        assert_eq!(persists(version, fields), expected, "{version:?} {lines:?}");
    }
}

#[test]
fn a_declared_length_is_one_number_or_an_error() {
    let length = |values: &[&'static str]| {
        let values = values.iter().map(|value| HeaderValue::from_static(value));
        content_length(&values.map(|value| (header::CONTENT_LENGTH, value)).collect())
    };
    assert_eq!(length(&[]), Ok(None));
    for values in [&["60"][..], &["60, 60"], &["60", "60"]] {
        assert_eq!(length(values), Ok(Some(60)), "{values:?}");
    }
    for value in ["", "+60", "-1", "0x3c", "6 0", "60,", "60, 61", "18446744073709551616"] {
        assert_eq!(length(&[value]), Err(Error::ContentLength), "{value:?}");
    }
}
