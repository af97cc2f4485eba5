use proptest::prelude::*;

use super::*;

/// The body and the bytes after it; `None` while its end is missing.
type Decoded = Option<(Vec<u8>, Vec<u8>)>;

fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<Decoded, Error> {
    let (mut decoder, mut body, mut behind, mut has_ended) = (Decoder::new(), vec![], vec![], false);
    for mut piece in pieces {
        loop {
            let used = match decoder.next(piece)? {
                Part::More => break,
                Part::Frame(used) => used,
                Part::Data(used) => {
                    body.extend_from_slice(&piece[..used]);
                    used
                }
                Part::End => {
                    has_ended = true;
                    behind.extend_from_slice(piece);
                    break;
                }
            };
            piece = &piece[used..];
        }
    }
    Ok(has_ended.then_some((body, behind)))
}

fn whole(text: &[u8]) -> Result<Decoded, Error> {
    decode(std::iter::once(text))
}

#[test]
fn a_body_is_what_stands_in_the_chunks() {
    for (text, body) in [
        (&b"0\r\n\r\n"[..], ""),
        (b"000\r\n\r\n", ""),
        (b"3\r\nabc\r\n0\r\n\r\n", "abc"),
        (b"00A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789"),
        (b"0000000000000000000000001\r\na\r\n0\r\n\r\n", "a"),
        (b"1;name\r\na\r\n1;name=value;other=\"b; \\\"c\"\r\nb\r\n0;last\r\n\r\n", "ab"),
        (b"1 \r\na\r\n1 \t ; name\r\nb\r\n0  \r\n\r\n", "ab"),
        (b"1;\r\na\r\n0\r\n\r\n", "a"),
        (b"2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
        (b"1\r\na\r\n0\r\nTrailer: 1\r\nother:\r\nX:caf\xe9\t \r\n\r\n", "a"),
    ] {
        let behind = b"HTTP/1.1";
        let text = [text, behind].concat();
        let expected = Ok(Some((body.as_bytes().to_vec(), behind.to_vec())));
        assert_eq!(whole(&text), expected, "{}", text.escape_ascii());
        assert_eq!(decode(text.chunks(1)), expected, "{} byte by byte", text.escape_ascii());
    }
}

#[test]
fn a_body_without_its_last_chunk_has_no_end() {
    for text in [&b""[..], b"3", b"3\r\nab", b"3\r\nabc\r\n", b"0\r\n", b"0\r\nA: b\r\n", b"0\r\n\r"] {
        assert_eq!(whole(text), Ok(None), "{}", text.escape_ascii());
    }
}

#[test]
fn what_is_not_a_chunk_is_refused() {
    for text in [
        // The size.
        &b"\r\n"[..],
        b"\n",
        b";a\r\n",
        b"g\r\n",
        b"x\r\n",
        b"+1\r\n",
        b"-1\r\n",
        b"0x1\r\n",
        b"1x\r\n",
        b"1_0\r\n",
        b"1.0\r\n",
        b" 1\r\n",
        b"\t1\r\n",
        b"1\0\r\n",
        b"1\x0b\r\n",
        b"5 5\r\n",
        b"1 a\r\n",
        b"1,1\r\n",
        b"1\"\r\n",
        b"10000000000000000\r\n",
        b"fffffffffffffffff\r\n",
        b"00000000000000000000010000000000000001\r\n",
        // The end of its line.
        b"1\na\r\n",
        b"1\ra\r\n",
        b"1\r\ra\r\n",
        b"1 \na\r\n",
        b"1;\na\r\n",
        b"1;a\na\r\n",
        b"1;a=\"\n\"\r\n",
        b"1;a\rb\r\n",
        b"1;a\0\r\n",
        b"1;a\x7f\r\n",
        b"0\n\n",
        b"0;a\n\n",
        // After the data.
        b"1\r\naa",
        b"1\r\na1\r\n",
        b"1\r\na\n",
        b"1\r\na\r1",
        b"1\r\na0\r\n",
        b"3\r\nabcd\r\n",
        // Trailers.
        b"0\r\n\n",
        b"0\r\n\rG",
        b"0\r\nA: 1\n",
        b"0\r\nA: 1\rB",
        b"0\r\n: 1\r\n",
        b"0\r\nA\r\n",
        b"0\r\nA : 1\r\n",
        b"0\r\nA: 1\r\n folded\r\n",
        b"0\r\nA: \0\r\n",
        b"0\r\nGET / HTTP/1.1\r\n",
        b"0\r\n3\r\nabc\r\n",
    ] {
        assert_eq!(whole(text), Err(Error::Chunk), "{}", text.escape_ascii());
        assert_eq!(decode(text.chunks(1)), Err(Error::Chunk), "{}", text.escape_ascii());
    }
}

#[test]
fn lines_and_trailers_are_bounded() {
    let line_too_long = Err(Error::ChunkLineTooLong { max: LINE_BYTES_MAX });
    for (line, result) in [
        (format!("1;{}\r\n", "a".repeat(LINE_BYTES_MAX - 4)), Ok(None)),
        (format!("1;{}\r\n", "a".repeat(LINE_BYTES_MAX - 3)), line_too_long.clone()),
        (format!("{}1\r\n", "0".repeat(LINE_BYTES_MAX)), line_too_long.clone()),
        (format!("1{}\r\n", " ".repeat(LINE_BYTES_MAX)), line_too_long.clone()),
        (format!("1\r\na\r\n1;{}\r\n", "a".repeat(LINE_BYTES_MAX)), line_too_long.clone()),
        (format!("0;{}\r\n", "a".repeat(LINE_BYTES_MAX)), line_too_long),
    ] {
        assert_eq!(whole(line.as_bytes()), result, "{} bytes", line.len());
    }
    let too_large = Err(Error::TrailersTooLarge { max: TRAILERS_BYTES_MAX });
    let trailers = |count| format!("0\r\n{}\r\n", "a: 1\r\n".repeat(count));
    assert_eq!(whole(trailers(TRAILERS_BYTES_MAX / 6).as_bytes()), Ok(Some((vec![], vec![]))));
    assert_eq!(whole(trailers(TRAILERS_BYTES_MAX / 6 + 1).as_bytes()), too_large);
    let endless = format!("0\r\na: {}", "b".repeat(TRAILERS_BYTES_MAX));
    assert_eq!(whole(endless.as_bytes()), too_large);
}

#[test]
fn the_decoder_says_how_much_of_a_chunk_is_to_come() {
    let mut decoder = Decoder::new();
    assert_eq!(decoder.left(), 0);
    assert_eq!(decoder.next(b"ffffffffffffffff\r\nabc"), Ok(Part::Frame(18)));
    assert_eq!(decoder.left(), u64::MAX);
    assert_eq!(decoder.next(b"abc"), Ok(Part::Data(3)));
    assert_eq!(decoder.left(), u64::MAX - 3);
}

proptest! {
    #[test]
    fn any_split_gives_the_same(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..6),
        cuts in prop::collection::vec(1_usize..20, 1..40),
        broken in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut text = vec![];
        for chunk in &chunks {
            text.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            text.extend_from_slice(chunk);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"0\r\n\r\n");
        if let Some((at, byte)) = broken {
            let at = at.index(text.len());
            text[at] = byte;
        } else {
            prop_assert_eq!(whole(&text), Ok(Some((chunks.concat(), vec![]))));
        }
        let mut cuts = cuts.into_iter().cycle();
        let mut rest = &text[..];
        let mut pieces = vec![];
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        prop_assert_eq!(decode(pieces.into_iter()), whole(&text));
    }
}
