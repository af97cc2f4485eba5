//! A body that is sent, framed as its head says.

use bytes::Buf;
use bytes::buf::Chain;

use crate::error::Error;
use crate::framing::Framing;

/// Frames a body, part by part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoder(Left);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// This many bytes are left.
    Bytes(u64),
    /// Any number in chunks, and the last chunk.
    Chunks,
    /// Any number, until the connection ends.
    Close,
}

/// A part of a body between the bytes that frame it, for one write.
pub type Framed<B> = Chain<Chain<SizeLine, B>, &'static [u8]>;

impl Encoder {
    /// Begins a body that is framed so.
    pub const fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::Empty => Left::Bytes(0),
            Framing::Length(length) => Left::Bytes(length),
            Framing::Chunked => Left::Chunks,
            Framing::Close => Left::Close,
        })
    }

    /// Bytes that may still be sent, if the head has said how many.
    pub const fn left(self) -> Option<u64> {
        match self.0 {
            Left::Bytes(left) => Some(left),
            Left::Chunks | Left::Close => None,
        }
    }

    /// The next part of the body, to be written as it is. A part without bytes is none: in chunks it would be
    /// the last one (RFC 9112 section 7.1).
    ///
    /// # Errors
    ///
    /// The head has promised less. The other side would take the rest for the next message.
    pub fn frame<B: Buf>(&mut self, part: B) -> Result<Framed<B>, Error> {
        let len = part.remaining() as u64;
        let is_chunk = self.0 == Left::Chunks && len > 0;
        if let Left::Bytes(left) = &mut self.0 {
            *left = left.checked_sub(len).ok_or(Error::BodyTooLong)?;
        }
        let (before, behind) =
            if is_chunk { (SizeLine::new(len), &b"\r\n"[..]) } else { (SizeLine::NONE, &b""[..]) };
        Ok(before.chain(part).chain(behind))
    }

    /// The bytes to write after the last part.
    pub fn end(&mut self) -> &'static [u8] {
        match self.0 {
            Left::Chunks => {
                self.0 = Left::Bytes(0);
                b"0\r\n\r\n"
            }
            Left::Bytes(_) | Left::Close => b"",
        }
    }

    /// Whether the whole body has been framed, its end included. One that ends with the connection is never
    /// over before.
    pub fn is_over(self) -> bool {
        self.0 == Left::Bytes(0)
    }
}

/// The line with the size of a chunk.
#[derive(Debug, Clone, Copy)]
pub struct SizeLine {
    /// 16 digits and CR LF at most, at the end.
    bytes: [u8; 18],
    start: usize,
}

impl SizeLine {
    const NONE: Self = Self { bytes: [0; 18], start: 18 };

    fn new(size: u64) -> Self {
        let mut bytes = *b"0000000000000000\r\n";
        let (mut rest, mut start) = (size, 16);
        for (place, digit) in bytes.iter_mut().enumerate().take(16).rev() {
            let value = u8::try_from(rest % 16).unwrap_or_default();
            *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
            start = place;
            rest /= 16;
            if rest == 0 {
                break;
            }
        }
        Self { bytes, start }
    }
}

impl Buf for SizeLine {
    fn remaining(&self) -> usize {
        self.bytes.len() - self.start
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    fn advance(&mut self, count: usize) {
        self.start = self.bytes.len().min(self.start + count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(framing: Framing, parts: &[&'static str]) -> Result<(String, bool), Error> {
        let (mut encoder, mut all) = (Encoder::new(framing), Vec::new());
        for part in parts {
            let mut framed = encoder.frame(part.as_bytes())?;
            all.extend_from_slice(&framed.copy_to_bytes(framed.remaining()));
        }
        all.extend_from_slice(encoder.end());
        Ok((String::from_utf8(all).unwrap(), encoder.is_over()))
    }

    #[test]
    fn a_body_leaves_as_its_head_says() {
        let long = "0123456789abcdef";
        for (framing, parts, expected, is_over) in [
            (Framing::Empty, &[][..], "", true),
            (Framing::Length(5), &["abc", "", "de"], "abcde", true),
            (Framing::Length(5), &["abc"], "abc", false),
            (Framing::Chunked, &[], "0\r\n\r\n", true),
            (Framing::Chunked, &["abc", "", "de"], "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", true),
            (Framing::Chunked, &[long], "10\r\n0123456789abcdef\r\n0\r\n\r\n", true),
            (Framing::Close, &["abc", "de"], "abcde", false),
        ] {
            let written = written(framing, parts);
            assert_eq!(written, Ok((expected.to_owned(), is_over)), "{framing:?} {parts:?}");
        }
        assert_eq!(written(Framing::Length(4), &["abc", "de"]), Err(Error::BodyTooLong));
        assert_eq!(written(Framing::Empty, &["a"]), Err(Error::BodyTooLong));
    }

    #[test]
    fn sizes_are_written_in_hexadecimal() {
        for size in [0, 1, 9, 10, 15, 16, 255, 65_536, u64::MAX] {
            let mut line = SizeLine::new(size);
            let text = line.copy_to_bytes(line.remaining());
            assert_eq!(text, format!("{size:x}\r\n"));
        }
    }
}
