//! Any bytes as a chunked body: no panic, any cuts give the same body and the same end, lines and trailers
//! are bounded, and an encoded body decodes to itself.
#![no_main]

use bytes::Buf;
use libfuzzer_sys::fuzz_target;
use tidegate_http1::{Decoder, Encoder, Error, Framing, LINE_BYTES_MAX, Part, TRAILERS_BYTES_MAX};

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, bytes)) = bytes.split_first() else { return };
    let cut = usize::from(*cut).max(1);
    let whole = decode([bytes]);
    assert_eq!(whole, decode(bytes.chunks(1)));
    assert_eq!(whole, decode(bytes.chunks(cut)));
    if let Ok(Decoded { body, behind: Some(behind), .. }) = &whole {
        assert!(bytes.ends_with(behind));
        let framing = bytes.len() - behind.len() - body.len();
        assert!(framing >= b"0\r\n\r\n".len());
    }
    let encoded = encode(bytes.chunks(cut));
    let behind = b"HTTP/1.1 200 OK";
    let decoded = decode([&encoded[..], behind]).unwrap();
    assert_eq!((&decoded.body[..], decoded.behind.as_deref()), (bytes, Some(&behind[..])));
});

#[derive(Debug, Default, PartialEq, Eq)]
struct Decoded {
    body: Vec<u8>,
    /// `None` where the body has no end yet.
    behind: Option<Vec<u8>>,
}

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Decoded, Error> {
    let (mut decoder, mut decoded, mut frame) = (Decoder::new(), Decoded::default(), 0);
    for mut piece in pieces {
        loop {
            let used = match decoder.next(piece)? {
                Part::More => {
                    assert!(piece.is_empty());
                    break;
                }
                Part::Frame(used) => {
                    frame += used;
                    assert!(frame <= LINE_BYTES_MAX + TRAILERS_BYTES_MAX + 2);
                    used
                }
                Part::Data(used) => {
                    frame = 0;
                    decoded.body.extend_from_slice(&piece[..used]);
                    used
                }
                Part::End => {
                    decoded.behind.get_or_insert_default().extend_from_slice(piece);
                    break;
                }
            };
            assert!(used > 0);
            piece = &piece[used..];
        }
    }
    Ok(decoded)
}

fn encode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let (mut encoder, mut all) = (Encoder::new(Framing::Chunked), vec![]);
    for piece in pieces {
        let mut framed = encoder.frame(piece).unwrap();
        while framed.has_remaining() {
            let taken = framed.chunk().len();
            all.extend_from_slice(framed.chunk());
            framed.advance(taken);
        }
    }
    all.extend_from_slice(encoder.end());
    assert!(encoder.is_over());
    all
}
