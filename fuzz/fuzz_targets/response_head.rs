//! Any bytes as a response, head and body: no panic, the result does not depend on how they arrive, the body
//! ends in one place or the response is refused, and a written head parses back to itself.
#![no_main]

use bytes::Bytes;
use http::{Method, StatusCode, header};
use libfuzzer_sys::fuzz_target;
use tidegate_http1::{Error, Framing, HeadFinder, Limits, Response, ResponseHead, Room, lines};

fuzz_target!(|bytes: &[u8]| {
    let Some((method, bytes)) = bytes.split_first() else { return };
    let method = if method % 2 == 0 { Method::GET } else { Method::HEAD };
    let bytes = Bytes::copy_from_slice(bytes);
    let whole = read(&bytes, &method);
    assert_eq!(facts(&whole), facts(&dripped(&bytes, &method)), "it depends on how it arrives");
    let Ok(Some((response, len))) = whole else { return };
    assert!(len <= Limits::default().head_bytes_max);
    check(&response, &method);
    assert_parses_back(&response, &method);
});

type Read = Result<Option<(Response, usize)>, Error>;

/// Parses the head that the finder finds.
fn read(bytes: &Bytes, method: &Method) -> Read {
    let limits = Limits::default();
    match HeadFinder::response().find(bytes, limits.head_bytes_max)? {
        None => Ok(None),
        Some(place) => {
            let head = bytes.slice(place);
            let mut room = Room::new();
            let parsed = ResponseHead::parse(&head, limits, &mut room)?.expect("its end is there");
            assert_eq!(parsed.len, head.len());
            parsed.to_owned(&head, method).map(|response| Some((response, head.len())))
        }
    }
}

/// Looks after each byte, and parses without the finder.
fn dripped(bytes: &Bytes, method: &Method) -> Read {
    for there in 0..=bytes.len() {
        let mut room = Room::new();
        let bytes = bytes.slice(..there);
        if let Some(head) = ResponseHead::parse(&bytes, Limits::default(), &mut room)? {
            return head.to_owned(&bytes, method).map(|response| Some((response, head.len)));
        }
    }
    Ok(None)
}

/// The finder waits for the end of a head where the parser refuses a fault before it. Neither is a response.
fn facts(read: &Read) -> Option<(StatusCode, Framing, bool, usize)> {
    let (response, len) = read.as_ref().ok()?.as_ref()?;
    Some((response.status, response.framing, response.persists, *len))
}

fn check(response: &Response, method: &Method) {
    let lengths: Vec<_> = response.headers.get_all(header::CONTENT_LENGTH).iter().collect();
    let has_coding = response.headers.contains_key(header::TRANSFER_ENCODING);
    assert!(lengths.len() <= 1 && (lengths.is_empty() || !has_coding));
    match response.framing {
        Framing::Length(length) => assert_eq!(lengths[0].to_str().unwrap().parse(), Ok(length)),
        Framing::Chunked => assert!(has_coding),
        Framing::Close => assert!(!response.persists && lengths.is_empty() && !has_coding),
        Framing::Empty => {
            assert!(*method == Method::HEAD || matches!(response.status.as_u16(), 100..=199 | 204 | 304));
        }
    }
}

fn assert_parses_back(response: &Response, method: &Method) {
    let mut written = Vec::new();
    lines::status_line(&mut written, response.status);
    for (name, value) in &response.headers {
        lines::field(&mut written, name, value.as_bytes());
    }
    written.extend_from_slice(lines::END);
    let written = Bytes::from(written);
    let limits = Limits { head_bytes_max: written.len(), ..Limits::default() };
    let mut room = Room::new();
    let head = ResponseHead::parse(&written, limits, &mut room).unwrap().unwrap();
    let again = head.to_owned(&written, method).unwrap();
    assert_eq!((again.status, &again.headers), (response.status, &response.headers));
    assert_eq!((again.framing, head.len), (response.framing, written.len()));
}
