//! Any bytes as what an upstream answers: no panic, however they arrive it is the same answer, and its body ends in one
//! place.
#![no_main]

/// The modules are compiled from where they stand: the crate around them brings a whole client, which would take minutes
/// to instrument and has nothing to do with reading bytes.
#[expect(dead_code, reason = "only what reads is used here")]
#[path = "../../upstream/src/connect/http1"]
mod http1 {
    pub mod answer;
    pub mod chunks;
    pub mod framing;
}

use http::{Method, StatusCode, header};
use http1::answer::{Answer, FIELDS_MAX, HEAD_MAX};
use http1::chunks::{Decoder, Part};
use http1::framing::Framing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((method, bytes)) = bytes.split_first() else { return };
    let method = if method % 2 == 0 { Method::GET } else { Method::HEAD };
    let read = Answer::read(bytes, 0, &method);
    assert_eq!(received(&read), received(&dripped(bytes, &method)));
    let Ok(Some((answer, len))) = read else { return };
    assert!(len <= HEAD_MAX && answer.headers.len() <= FIELDS_MAX);
    check(&answer, &method);
    let body = &bytes[len..];
    assert_eq!(decode([body]), decode(body.chunks(1)));
});

type Read = Result<Option<(Answer, usize)>, http1::answer::Malformed>;

/// Reads after each byte, up to the first that decides.
fn dripped(bytes: &[u8], method: &Method) -> Read {
    for there in 0..bytes.len() {
        match Answer::read(&bytes[..there], there.saturating_sub(1), method) {
            Ok(None) => {}
            decided => return decided,
        }
    }
    Answer::read(bytes, bytes.len().saturating_sub(1), method)
}

fn received(read: &Read) -> Option<Option<(StatusCode, Framing, bool, usize)>> {
    let answer = read.as_ref().ok()?.as_ref();
    Some(answer.map(|(answer, len)| (answer.status, answer.framing, answer.persists, *len)))
}

fn check(answer: &Answer, method: &Method) {
    let lengths: Vec<_> = answer.headers.get_all(header::CONTENT_LENGTH).iter().collect();
    let has_coding = answer.headers.contains_key(header::TRANSFER_ENCODING);
    assert!(lengths.len() <= 1 && (lengths.is_empty() || !has_coding));
    match answer.framing {
        Framing::Length(length) => {
            assert_eq!(lengths.first().unwrap().to_str().unwrap().trim().parse(), Ok(length));
        }
        Framing::Chunked => assert!(has_coding),
        Framing::Close => assert!(!answer.persists && lengths.is_empty() && !has_coding),
        Framing::Nothing => {
            assert!(*method == Method::HEAD || matches!(answer.status.as_u16(), 100..=199 | 204 | 304));
        }
    }
}

/// The body that stands in chunks, and what is behind it; nothing of what is no chunk.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut decoder, mut body, mut behind) = (Decoder::new(), vec![], vec![]);
    for mut piece in pieces {
        loop {
            let used = match decoder.next(piece).ok()? {
                Part::More => break,
                Part::Frame(used) => used,
                Part::Data(used) => {
                    body.extend_from_slice(&piece[..used]);
                    used
                }
                Part::End => {
                    behind.extend_from_slice(piece);
                    break;
                }
            };
            piece = &piece[used..];
        }
    }
    Some((body, behind))
}
