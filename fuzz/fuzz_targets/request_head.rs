//! Any bytes as a request head: no panic, the result does not depend on how they arrive, the body ends where
//! the text of its fields says, httparse alone gives the same, and a written head parses back to itself.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tidegate_http1::{Error, Framing, HeadFinder, Limits, Request, RequestHead, Room, is_target, lines};

const LIMITS: Limits = Limits { head_bytes_max: 4096, fields_max: 100 };

fuzz_target!(|bytes: &[u8]| {
    let bytes = Bytes::copy_from_slice(bytes);
    let mut room = Room::new();
    let whole = RequestHead::parse(&bytes, LIMITS, &mut room);
    let place = HeadFinder::request().find(&bytes, LIMITS.head_bytes_max);
    assert_eq!(place, dripped(&bytes), "where it ends depends on how it arrives");
    match (&whole, &place) {
        (Ok(None), found) => assert_eq!(found, &Ok(None)),
        (Ok(Some(head)), Ok(Some(place))) => assert_eq!(head.len, place.end),
        (Ok(Some(head)), found) => panic!("{head:?} ends at {found:?}"),
        (Err(error), _) => assert_is_ours(&bytes, *error),
    }
    let Ok(Some(head)) = whole else { return };
    assert_is_the_same_in_httparse(&bytes, &head);
    let framing = head.framing();
    if let Ok(framing) = framing {
        let empty_lines = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        assert_eq!(Some(framing), framing_of_text(&bytes[empty_lines..head.len]));
    }
    let (_form, _host) = (head.form(), head.host());
    let request = head.to_owned(&bytes);
    assert_eq!(request.as_ref().map(|request| request.framing), framing.as_ref().copied());
    if let Ok(request) = request {
        assert_parses_back(&request);
    }
});

/// Parses after each byte, up to the first that decides.
fn dripped(bytes: &[u8]) -> Result<Option<std::ops::Range<usize>>, Error> {
    let mut finder = HeadFinder::request();
    for there in 0..bytes.len() {
        match finder.find(&bytes[..there], LIMITS.head_bytes_max) {
            Ok(None) => {}
            decided => return decided,
        }
    }
    finder.find(bytes, LIMITS.head_bytes_max)
}

/// A head that another parser accepts is refused by one of our rules, and not because the lines differ.
fn assert_is_ours(bytes: &[u8], error: Error) {
    let mut fields = [httparse::EMPTY_HEADER; 2048];
    let mut head = httparse::Request::new(&mut fields);
    if !matches!(head.parse(bytes), Ok(httparse::Status::Complete(_))) {
        return;
    }
    match error {
        Error::HeadTooLarge { .. } | Error::TooManyFields { .. } | Error::EmptyLines { .. } => {}
        Error::RequestLine => assert!(!head.path.is_some_and(is_target), "{head:?}"),
        error => panic!("{error} in {head:?}"),
    }
}

fn assert_is_the_same_in_httparse(bytes: &[u8], head: &RequestHead<'_>) {
    let mut fields = [httparse::EMPTY_HEADER; LIMITS.fields_max];
    let mut other = httparse::Request::new(&mut fields);
    assert_eq!(other.parse(bytes), Ok(httparse::Status::Complete(head.len)));
    assert_eq!((other.method, other.path), (Some(head.method), Some(head.target)));
    assert!(other.headers.iter().map(|field| (field.name, field.value)).eq(head.fields.iter()));
}

/// The end of the body, from a naive reading of the lines; `None` where that is ambiguous.
fn framing_of_text(head: &[u8]) -> Option<Framing> {
    let lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let values = |name: &str| {
        let fields = lines.clone().filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            line[..colon].eq_ignore_ascii_case(name.as_bytes()).then(|| line[colon + 1..].to_vec())
        });
        fields.collect::<Vec<_>>()
    };
    let has_lone_lf = head.split_inclusive(|byte| *byte == b'\n').any(|line| !line.ends_with(b"\r\n"));
    match (&values("content-length")[..], &values("transfer-encoding")[..]) {
        ([], []) => Some(Framing::Empty),
        _ if has_lone_lf => None,
        ([length], []) => {
            let text = std::str::from_utf8(length).ok()?.trim_matches([' ', '\t']);
            let is_number = !text.is_empty() && text.chars().all(|digit| digit.is_ascii_digit());
            text.parse().ok().filter(|_| is_number).map(Framing::Length)
        }
        ([], [coding]) => {
            let is_first_version = head.windows(9).any(|window| window == b" HTTP/1.1");
            let is_chunked = coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
            (is_first_version && is_chunked).then_some(Framing::Chunked)
        }
        _ => None,
    }
}

fn assert_parses_back(request: &Request) {
    let mut written = Vec::new();
    let target = std::str::from_utf8(&request.target).unwrap();
    lines::request_line(&mut written, &request.method, &[target]);
    for (name, value) in &request.headers {
        lines::field(&mut written, name, value.as_bytes());
    }
    written.extend_from_slice(lines::END);
    let written = Bytes::from(written);
    let mut room = Room::new();
    let limits = Limits { head_bytes_max: written.len(), ..LIMITS };
    let head = RequestHead::parse(&written, limits, &mut room).unwrap().unwrap();
    assert_eq!(head.len, written.len());
    let Ok(again) = head.to_owned(&written) else {
        panic!("{} is refused", written.escape_ascii());
    };
    assert_eq!((&again.method, &again.target), (&request.method, &request.target));
    assert_eq!((&again.headers, again.framing), (&request.headers, request.framing));
}
