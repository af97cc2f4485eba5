//! A body in chunks, decoded as it arrives: RFC 9112 section 7.1.

#[cfg(test)]
mod tests;

use crate::error::Error;
use crate::syntax::{is_token, is_value};

/// Bytes that the line with a chunk's size may have; extensions stand there, and are ignored (RFC 9112
/// section 7.1.1).
pub const LINE_BYTES_MAX: usize = 1024;

/// Bytes of trailer fields, which are checked and dropped (RFC 9112 section 7.1.2).
pub const TRAILERS_BYTES_MAX: usize = 16 * 1024;

/// Decodes a body in chunks. All lines end with CR LF: a parser that takes CR or LF alone sees other chunks.
#[derive(Debug, Clone, Copy)]
pub struct Decoder {
    at: At,
    /// Bytes of the line, or of the trailers, that is being read.
    read: usize,
}

/// What the next bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// This many belong to the framing.
    Frame(usize),
    /// This many belong to the body.
    Data(usize),
    /// More are needed.
    More,
    /// The body has ended before them.
    End,
}

#[derive(Debug, Clone, Copy)]
enum At {
    /// The first digit of a size.
    Start,
    Size(u64),
    /// Whitespace after a size: some servers pad the line.
    Blank(u64),
    Extension(u64),
    /// The LF of a line with a size.
    SizeEnd(u64),
    /// This many bytes of a chunk are still to come.
    Data(u64),
    DataCr,
    DataLf,
    /// The first byte of a line after the last chunk.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    LastLf,
    End,
}

impl Decoder {
    /// Begins in front of the first chunk.
    pub const fn new() -> Self {
        Self { at: At::Start, read: 0 }
    }

    /// What is at the start of `bytes`, which begin after the part that was returned last.
    ///
    /// # Errors
    ///
    /// The bytes are not a chunk, or its line or the trailers are too long.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Part, Error> {
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
    pub fn left(&self) -> u64 {
        if let At::Data(left) = self.at { left } else { 0 }
    }

    fn take(&mut self, left: u64, there: usize) -> usize {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(there);
        let left = left.saturating_sub(taken as u64);
        self.at = if left == 0 { At::DataCr } else { At::Data(left) };
        taken
    }

    /// Where `byte` leads to.
    fn after(&mut self, byte: u8) -> Result<At, Error> {
        self.count()?;
        match (self.at, byte) {
            (At::Start, _) => digit(0, byte),
            (At::Size(size) | At::Blank(size) | At::Extension(size), b'\r') => Ok(At::SizeEnd(size)),
            (At::Size(size) | At::Blank(size), b';') => Ok(At::Extension(size)),
            (At::Size(size) | At::Blank(size), b' ' | b'\t') => Ok(At::Blank(size)),
            (At::Size(size), _) => digit(size, byte),
            (At::Extension(size), byte) if is_value(byte) => Ok(At::Extension(size)),
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
            (At::TrailerStart | At::TrailerName, byte) if is_token(byte) => Ok(At::TrailerName),
            (At::TrailerName, b':') => Ok(At::TrailerValue),
            (At::TrailerValue, b'\r') => Ok(At::TrailerLf),
            (At::TrailerValue, byte) if is_value(byte) => Ok(At::TrailerValue),
            (At::TrailerLf, b'\n') => Ok(At::TrailerStart),
            (At::LastLf, b'\n') => Ok(At::End),
            _ => Err(Error::Chunk),
        }
    }

    fn count(&mut self) -> Result<(), Error> {
        self.read += 1;
        let is_trailer = matches!(
            self.at,
            At::TrailerStart | At::TrailerName | At::TrailerValue | At::TrailerLf | At::LastLf
        );
        match self.read {
            read if is_trailer && read > TRAILERS_BYTES_MAX => {
                Err(Error::TrailersTooLarge { max: TRAILERS_BYTES_MAX })
            }
            read if !is_trailer && read > LINE_BYTES_MAX => {
                Err(Error::ChunkLineTooLong { max: LINE_BYTES_MAX })
            }
            _ => Ok(()),
        }
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

fn digit(size: u64, byte: u8) -> Result<At, Error> {
    let digit = char::from(byte).to_digit(16).ok_or(Error::Chunk)?;
    let size = size.checked_mul(16).and_then(|size| size.checked_add(u64::from(digit)));
    size.map(At::Size).ok_or(Error::Chunk)
}
