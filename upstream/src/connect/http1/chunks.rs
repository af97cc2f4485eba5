//! Chunks: RFC 9112 section 7.1, read as the bytes arrive.

use super::framing::Malformed;

/// Bytes that the line with a chunk's size may have; extensions stand there, and are ignored (section 7.1.1).
const LINE_MAX: usize = 1024;

/// Bytes of trailer fields, which are read and dropped (section 7.1.2).
const TRAILERS_MAX: usize = 16 * 1024;

/// Takes a body in chunks apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decoder {
    at: At,
    /// Bytes of the line, or of the trailers, that is being read.
    read: usize,
}

/// What the next bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// So many belong to the framing.
    Frame(usize),
    /// So many belong to the body.
    Data(usize),
    /// It needs more of them.
    More,
    /// The body has ended before them.
    End,
}

#[derive(Debug, Clone, Copy)]
enum At {
    /// The first digit of a size.
    Start,
    Size(u64),
    Extension(u64),
    /// The LF of a line that said how long the chunk is.
    SizeEnd(u64),
    /// So many bytes of a chunk are still to come.
    Data(u64),
    DataCr,
    DataLf,
    /// The first byte of a line behind the last chunk.
    TrailerStart,
    Trailer,
    TrailerLf,
    LastLf,
    End,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self { at: At::Start, read: 0 }
    }

    /// What stands at the start of `bytes`, which begin behind the part that was told last.
    pub(crate) fn next(&mut self, bytes: &[u8]) -> Result<Part, Malformed> {
        for (index, &byte) in bytes.iter().enumerate() {
            match self.at {
                At::Data(_) | At::End if index > 0 => return Ok(Part::Frame(index)),
                At::Data(left) => return Ok(Part::Data(self.take(left, bytes.len()))),
                At::End => return Ok(Part::End),
                _ => self.at = self.after(byte)?,
            }
        }
        Ok(match (bytes.len(), self.at) {
            (0, At::End) => Part::End,
            (0, _) => Part::More,
            (framing, _) => Part::Frame(framing),
        })
    }

    /// Bytes of the current chunk that are still to come.
    pub(crate) fn left(&self) -> u64 {
        if let At::Data(left) = self.at { left } else { 0 }
    }

    fn take(&mut self, left: u64, there: usize) -> usize {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(there);
        let left = left.saturating_sub(taken as u64);
        self.at = if left == 0 { At::DataCr } else { At::Data(left) };
        taken
    }

    /// Where `byte` leads to. A line ends with CR and LF: whoever takes one of them alone sees other chunks.
    fn after(&mut self, byte: u8) -> Result<At, Malformed> {
        self.read += 1;
        let max = match self.at {
            At::TrailerStart | At::Trailer | At::TrailerLf | At::LastLf => TRAILERS_MAX,
            _ => LINE_MAX,
        };
        if self.read > max {
            return Err(Malformed);
        }
        match (self.at, byte) {
            (At::Start, _) => digit(0, byte),
            (At::Size(size) | At::Extension(size), b'\r') => Ok(At::SizeEnd(size)),
            (At::Size(size), b';' | b' ' | b'\t') => Ok(At::Extension(size)),
            (At::Size(size), _) => digit(size, byte),
            (At::Extension(size), byte) if byte != b'\n' => Ok(At::Extension(size)),
            (At::SizeEnd(size), b'\n') => {
                self.read = 0;
                Ok(if size == 0 { At::TrailerStart } else { At::Data(size) })
            }
            (At::DataCr, b'\r') => Ok(At::DataLf),
            (At::DataLf, b'\n') => {
                self.read = 0;
                Ok(At::Start)
            }
            (At::TrailerStart, b'\r') => Ok(At::LastLf),
            (At::Trailer, b'\r') => Ok(At::TrailerLf),
            (At::TrailerStart | At::Trailer, byte) if byte != b'\n' => Ok(At::Trailer),
            (At::TrailerLf, b'\n') => Ok(At::TrailerStart),
            (At::LastLf, b'\n') => Ok(At::End),
            _ => Err(Malformed),
        }
    }
}

fn digit(size: u64, byte: u8) -> Result<At, Malformed> {
    let digit = char::from(byte).to_digit(16).ok_or(Malformed)?;
    let size = size.checked_mul(16).and_then(|size| size.checked_add(u64::from(digit)));
    size.map(At::Size).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The body, and what is behind it; `None` where it has no end yet.
    type Decoded = Option<(Vec<u8>, Vec<u8>)>;

    fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<Decoded, Malformed> {
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

    fn whole(text: &[u8]) -> Result<Decoded, Malformed> {
        decode(std::iter::once(text))
    }

    #[test]
    fn a_body_is_what_stands_in_the_chunks() {
        let text = b"3\r\nabc\r\n00A;name=\"v\"\r\n0123456789\r\n1 \r\nx\r\n0\r\nTrailer: 1\r\nOther: 2\r\n\r\nHTTP/1.1";
        let expected = (b"abc0123456789x".to_vec(), b"HTTP/1.1".to_vec());
        assert_eq!(whole(text), Ok(Some(expected.clone())));
        assert_eq!(decode(text.chunks(1)), Ok(Some(expected)), "byte by byte");
        assert_eq!(whole(b"0\r\n\r\n"), Ok(Some((vec![], vec![]))));
        assert_eq!(whole(b"3\r\nabc\r\n"), Ok(None), "the last chunk is missing");
    }

    #[test]
    fn what_is_not_a_chunk_is_refused() {
        for text in [
            &b"\r\n"[..],
            b"g\r\n",
            b"-1\r\n",
            b"0x1\r\nx\r\n",
            b" 1\r\nx\r\n",
            b"1\nx\r\n",
            b"1;a\nx\r\n",
            b"1\r\nxy\r\n",
            b"1\r\nx\n",
            b"0\r\n\n",
            b"0\r\nTrailer: 1\n",
            b"10000000000000000\r\n",
        ] {
            assert_eq!(whole(text), Err(Malformed), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn lines_and_trailers_are_bounded() {
        let extension = format!("1;{}\r\nx\r\n0\r\n\r\n", "a".repeat(LINE_MAX));
        assert_eq!(whole(extension.as_bytes()), Err(Malformed));
        let zeros = format!("{}1\r\n", "0".repeat(LINE_MAX));
        assert_eq!(whole(zeros.as_bytes()), Err(Malformed));
        let trailers = format!("0\r\n{}\r\n", "a: 1\r\n".repeat(TRAILERS_MAX / 6 + 1));
        assert_eq!(whole(trailers.as_bytes()), Err(Malformed));
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
}
