//! Content codings (RFC 9110 section 8.4), removed from a body as it arrives.
//!
//! A fill requests the identity coding, because its response is for every viewer. Some origins compress all
//! the same. The decoded bytes come in small pieces, however much a few coded bytes expand to: the limits of
//! a body hold for what is decoded.

use bytes::{Buf as _, Bytes};
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Operation as _};

use crate::error::UpstreamError;

/// A content coding that can be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// `gzip` (RFC 1952).
    Gzip,
    /// `deflate` (RFC 1950; some servers send RFC 1951 alone).
    Deflate,
    /// `br` (RFC 7932).
    Brotli,
    /// `zstd` (RFC 8878).
    Zstd,
}

/// Removes the codings of one body.
pub(crate) struct Decoder {
    /// In the order in which they are removed.
    stages: Vec<Stage>,
}

/// What a decoder has next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Decoded bytes.
    Bytes(Bytes),
    /// Nothing before there is more input.
    NeedsInput,
    /// The body has ended.
    End,
}

impl Decoder {
    /// Removes `codings`, which are in the order of `Content-Encoding`: the last one is removed first.
    pub(crate) fn new(codings: &[Coding]) -> Self {
        Self { stages: codings.iter().rev().map(|coding| Stage::new(*coding)).collect() }
    }

    /// Adds bytes as received. Only when [`Decoder::next`] needs input.
    pub(crate) fn feed(&mut self, bytes: Bytes) {
        if let Some(first) = self.stages.first_mut() {
            first.feed(bytes);
        }
    }

    /// No more input will follow.
    pub(crate) fn finish(&mut self) {
        if let Some(first) = self.stages.first_mut() {
            first.is_finished = true;
        }
    }

    /// The next decoded bytes.
    ///
    /// # Errors
    /// When the bytes are not of the coding, or end early.
    pub(crate) fn next(&mut self) -> Result<Step, UpstreamError> {
        next_of(&mut self.stages)
    }
}

/// The next bytes of the last of these stages; each one reads from the one before.
fn next_of(stages: &mut [Stage]) -> Result<Step, UpstreamError> {
    let Some((last, before)) = stages.split_last_mut() else { return Ok(Step::End) };
    loop {
        match last.next()? {
            Step::NeedsInput if !before.is_empty() => match next_of(before)? {
                Step::Bytes(bytes) => last.feed(bytes),
                Step::NeedsInput => return Ok(Step::NeedsInput),
                Step::End => last.is_finished = true,
            },
            step => return Ok(step),
        }
    }
}

/// One coding of a body.
struct Stage {
    coding: Coding,
    /// The first bytes, until they show what the body is.
    first: Vec<u8>,
    /// Bytes that are not decoded yet.
    input: Bytes,
    /// Whether no more input will follow.
    is_finished: bool,
    engine: Engine,
    output: Vec<u8>,
}

enum Engine {
    /// The first bytes will show it.
    Unknown,
    /// The body does not have the coding that its head says.
    Identity,
    Zlib(Box<Decompress>),
    Brotli(Box<Brotli>),
    Zstd {
        decoder: Box<zstd::stream::raw::Decoder<'static>>,
        /// Whether the frame is incomplete.
        is_within: bool,
    },
    /// Another member may follow (RFC 1952 section 2.2).
    AfterMember,
    Ended,
}

type Brotli = brotli_decompressor::BrotliState<
    brotli_decompressor::StandardAlloc,
    brotli_decompressor::StandardAlloc,
    brotli_decompressor::StandardAlloc,
>;

/// How far one step came.
struct Advance {
    read: usize,
    written: usize,
    /// Whether the coded bytes have ended.
    is_end: bool,
}

impl Stage {
    fn new(coding: Coding) -> Self {
        let (first, input, output) = (Vec::new(), Bytes::new(), Vec::new());
        Self { coding, first, input, is_finished: false, engine: Engine::Unknown, output }
    }

    fn feed(&mut self, bytes: Bytes) {
        self.input = if self.input.is_empty() { bytes } else { [&*self.input, &*bytes].concat().into() };
    }

    fn next(&mut self) -> Result<Step, UpstreamError> {
        if matches!(self.engine, Engine::Unknown) && !self.recognise()? {
            return Ok(Step::NeedsInput);
        }
        loop {
            if matches!(self.engine, Engine::Identity) {
                return Ok(match std::mem::take(&mut self.input) {
                    input if !input.is_empty() => Step::Bytes(input),
                    _ if self.is_finished => Step::End,
                    _ => Step::NeedsInput,
                });
            }
            if matches!(self.engine, Engine::AfterMember) {
                if self.input.len() < GZIP.len() && !self.is_finished {
                    return Ok(Step::NeedsInput);
                }
                // Other bytes after the end belong to nothing.
                self.engine = if self.input.starts_with(GZIP) { Engine::gzip() } else { Engine::Ended };
            }
            if matches!(self.engine, Engine::Ended) {
                return Ok(Step::End);
            }
            self.output.resize(OUTPUT, 0);
            let Advance { read, written, is_end } = self.engine.advance(&self.input, &mut self.output)?;
            self.input.advance(read);
            if is_end {
                self.engine = if self.coding == Coding::Gzip { Engine::AfterMember } else { Engine::Ended };
            }
            if written > 0 {
                return Ok(Step::Bytes(Bytes::copy_from_slice(
                    self.output.get(..written).unwrap_or_default(),
                )));
            }
            if read == 0 && !is_end {
                return match (&self.engine, self.is_finished) {
                    _ if !self.input.is_empty() => Err(BROKEN),
                    (_, false) => Ok(Step::NeedsInput),
                    (Engine::Zstd { is_within: false, .. }, true) => Ok(Step::End),
                    (_, true) => Err(UpstreamError::Coding("it ends early")),
                };
            }
        }
    }

    /// Finds out from the first bytes what the body is: a wrong label does not make a body unreadable.
    /// Returns whether there are enough of them.
    fn recognise(&mut self) -> Result<bool, UpstreamError> {
        self.first.extend_from_slice(&std::mem::take(&mut self.input));
        if self.first.len() < PREFIX && !self.is_finished {
            return Ok(false);
        }
        let first = std::mem::take(&mut self.first);
        self.engine = Engine::of(self.coding, &first)?;
        self.input = first.into();
        Ok(true)
    }
}

impl Engine {
    fn of(coding: Coding, first: &[u8]) -> Result<Self, UpstreamError> {
        let text = first.strip_prefix(BYTE_ORDER_MARK).unwrap_or(first);
        if first.is_empty() || text.starts_with(b"#EXT") {
            return Ok(Self::Identity);
        }
        Ok(match coding {
            Coding::Gzip | Coding::Deflate if first.starts_with(GZIP) => Self::gzip(),
            Coding::Zstd if is_zstd(first) => Self::zstd()?,
            Coding::Gzip | Coding::Zstd => Self::Identity,
            Coding::Deflate => Self::Zlib(Decompress::new(is_zlib(first)).into()),
            Coding::Brotli => {
                let alloc = brotli_decompressor::StandardAlloc::default;
                Self::Brotli(Brotli::new_strict(alloc(), alloc(), alloc()).into())
            }
        })
    }

    fn gzip() -> Self {
        Self::Zlib(Decompress::new_gzip(WINDOW_BITS).into())
    }

    fn zstd() -> Result<Self, UpstreamError> {
        let decoder = zstd::stream::raw::Decoder::new();
        let limited = decoder.and_then(|mut decoder| {
            decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
            Ok(decoder)
        });
        let decoder = limited.map_err(|_no_memory| BROKEN)?.into();
        Ok(Self::Zstd { decoder, is_within: true })
    }

    fn advance(&mut self, input: &[u8], output: &mut [u8]) -> Result<Advance, UpstreamError> {
        match self {
            Self::Unknown | Self::Identity | Self::AfterMember | Self::Ended => {
                Ok(Advance { read: 0, written: 0, is_end: false })
            }
            Self::Zlib(decompress) => zlib(decompress, input, output),
            Self::Brotli(state) => brotli(state, input, output),
            Self::Zstd { decoder, is_within } => {
                let status = decoder.run_on_buffers(input, output).map_err(|_broken| BROKEN)?;
                if status.bytes_read > 0 || status.bytes_written > 0 {
                    *is_within = status.remaining > 0;
                }
                Ok(Advance { read: status.bytes_read, written: status.bytes_written, is_end: false })
            }
        }
    }
}

fn zlib(decompress: &mut Decompress, input: &[u8], output: &mut [u8]) -> Result<Advance, UpstreamError> {
    let (read, written) = (decompress.total_in(), decompress.total_out());
    let status = decompress.decompress(input, output, FlushDecompress::None).map_err(|_broken| BROKEN)?;
    let moved = |now: u64, before: u64| usize::try_from(now - before).unwrap_or_default();
    Ok(Advance {
        read: moved(decompress.total_in(), read),
        written: moved(decompress.total_out(), written),
        is_end: status == Status::StreamEnd,
    })
}

fn brotli(state: &mut Brotli, input: &[u8], output: &mut [u8]) -> Result<Advance, UpstreamError> {
    use brotli_decompressor::BrotliResult;
    let (mut available_in, mut read) = (input.len(), 0);
    let (mut available_out, mut written, mut total) = (output.len(), 0, 0);
    let result = brotli_decompressor::BrotliDecompressStream(
        &mut available_in,
        &mut read,
        input,
        &mut available_out,
        &mut written,
        output,
        &mut total,
        state,
    );
    match result {
        BrotliResult::ResultFailure => Err(BROKEN),
        result => Ok(Advance { read, written, is_end: matches!(result, BrotliResult::ResultSuccess) }),
    }
}

/// RFC 1950 section 2.2.
fn is_zlib(first: &[u8]) -> bool {
    matches!(first, [method, flags, ..]
        if method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31))
}

/// RFC 8878 sections 3.1.1 and 3.1.2: a frame, or a frame to skip.
fn is_zstd(first: &[u8]) -> bool {
    first.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
        || matches!(first, [kind, 0x2a, 0x4d, 0x18, ..] if kind & 0xf0 == 0x50)
}

/// The most bytes that a step decodes.
const OUTPUT: usize = 64 * 1024;

/// Bytes that show what a body is.
const PREFIX: usize = 7;

const GZIP: &[u8] = &[0x1f, 0x8b];

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The largest window of RFC 1951.
const WINDOW_BITS: u8 = 15;

/// RFC 9659: a window of at most 8 MB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

const BROKEN: UpstreamError = UpstreamError::Coding("it is broken");

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let codings: Vec<_> = self.stages.iter().map(|stage| stage.coding).collect();
        f.debug_struct("Decoder").field("codings", &codings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(plain: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(plain: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(plain: &[u8]) -> Vec<u8> {
        zstd::encode_all(plain, 3).unwrap()
    }

    /// A body and its coded form, written by hand: this build only decodes.
    fn brotli_sample() -> (Vec<u8>, Vec<u8>) {
        // One uncompressed metablock (RFC 7932 section 9.2) and an empty last one.
        let plain = b"segment-0001.ts\n".to_vec();
        let len = u32::try_from(plain.len()).unwrap() - 1;
        // WBITS 16: 0; ISLAST 0; MNIBBLES 4: 00; MLEN-1 in 16 bits; ISUNCOMPRESSED 1.
        let head = (len << 4) | (1 << 20);
        let mut coded = head.to_le_bytes()[..3].to_vec();
        coded.extend_from_slice(&plain);
        coded.push(0b11);
        (plain, coded)
    }

    /// Decodes bytes that arrive in pieces of `size`.
    fn decoded(codings: &[Coding], coded: &[u8], size: usize) -> Result<Vec<u8>, UpstreamError> {
        let mut decoder = Decoder::new(codings);
        let (mut pieces, mut plain) = (coded.chunks(size), Vec::new());
        loop {
            match decoder.next()? {
                Step::Bytes(bytes) => {
                    assert!(bytes.len() <= OUTPUT);
                    plain.extend_from_slice(&bytes);
                }
                Step::NeedsInput => match pieces.next() {
                    Some(piece) => decoder.feed(Bytes::copy_from_slice(piece)),
                    None => decoder.finish(),
                },
                Step::End => return Ok(plain),
            }
        }
    }

    #[test]
    fn every_coding_is_removed_however_the_bytes_arrive() {
        use Coding::{Brotli, Deflate, Gzip, Zstd};
        let plain = b"#EXTINF:2.000,\nsegment-1.ts\n".repeat(9000);
        let (small, brotli) = brotli_sample();
        let members = [gzip(b"first "), gzip(b"second")].concat();
        for (codings, coded, plain) in [
            (&[Gzip][..], gzip(&plain), &plain[..]),
            (&[Deflate], zlib(&plain), &plain),
            (&[Deflate], deflate(&plain), &plain),
            (&[Zstd], zstd(&plain), &plain),
            (&[Zstd], [zstd(&plain), zstd(b"")].concat(), &plain),
            (&[Brotli], brotli, &small),
            (&[Gzip, Gzip], gzip(&gzip(&plain)), &plain),
            (&[Gzip, Zstd, Deflate], zlib(&zstd(&gzip(&plain))), &plain),
            (&[Gzip], [gzip(&plain), b"padding".to_vec()].concat(), &plain),
        ] {
            for size in [1, 7, 1000, usize::MAX] {
                assert!(decoded(codings, &coded, size).unwrap() == plain, "{codings:?} by {size}");
            }
        }
        for size in [1, 2, 3, usize::MAX] {
            assert_eq!(decoded(&[Gzip], &members, size).unwrap(), b"first second", "by {size}");
        }
    }

    #[test]
    fn a_wrong_label_does_not_make_a_body_unreadable() {
        use Coding::{Brotli, Deflate, Gzip, Zstd};
        let plain = b"#EXTM3U\n#EXTINF:2,\n1.ts\n";
        for coding in [Gzip, Deflate, Brotli, Zstd] {
            assert_eq!(decoded(&[coding], plain, 3).unwrap(), plain);
            assert_eq!(decoded(&[coding], b"", 1).unwrap(), b"");
        }
        assert_eq!(decoded(&[Deflate], &gzip(plain), 5).unwrap(), plain);
        assert_eq!(decoded(&[Gzip], b"G@\x11 a segment", 2).unwrap(), b"G@\x11 a segment");
    }

    #[test]
    fn broken_and_truncated_bytes_are_errors() {
        use Coding::{Brotli, Deflate, Gzip, Zstd};
        let plain: Vec<u8> = (0..40_000_u32).flat_map(|number| (number * 77_777).to_le_bytes()).collect();
        let (_, brotli) = brotli_sample();
        for (coding, coded) in
            [(Gzip, gzip(&plain)), (Deflate, zlib(&plain)), (Zstd, zstd(&plain)), (Brotli, brotli)]
        {
            let cut = &coded[..coded.len() - 3];
            let early = UpstreamError::Coding("it ends early");
            assert_eq!(decoded(&[coding], cut, 1000), Err(early), "{coding:?}");
        }
        let mut wrong = gzip(&plain);
        let middle = wrong.len() / 2;
        wrong[middle] ^= 0xff;
        wrong[middle + 1] ^= 0xff;
        assert_eq!(decoded(&[Gzip], &wrong, 1000), Err(BROKEN));
        assert_eq!(decoded(&[Brotli], &[0xff; 100], 10), Err(BROKEN));
    }

    #[test]
    fn a_small_body_that_expands_much_comes_in_small_pieces() {
        let bomb = gzip(&vec![0; 100 << 20]);
        assert!(bomb.len() < 200 << 10);
        let mut decoder = Decoder::new(&[Coding::Gzip]);
        assert_eq!(decoder.next().unwrap(), Step::NeedsInput);
        decoder.feed(bomb.into());
        for _ in 0..10 {
            let Step::Bytes(piece) = decoder.next().unwrap() else { panic!("there are bytes") };
            assert!(piece.len() <= OUTPUT);
        }
    }
}
