//! Successive chunks of a body that are sent in one write.

use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// Chunks that are read as one buffer.
#[derive(Debug)]
pub(super) struct Pieces {
    pieces: std::vec::IntoIter<Bytes>,
    bytes: usize,
}

impl Pieces {
    pub(super) fn of(mut pieces: Vec<Bytes>) -> Self {
        pieces.retain(|piece| !piece.is_empty());
        let bytes = pieces.iter().map(Bytes::len).sum();
        Self { pieces: pieces.into_iter(), bytes }
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.bytes
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.as_slice().first().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let filled = slices.iter_mut().zip(self.pieces.as_slice());
        filled.map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
    }

    fn advance(&mut self, mut count: usize) {
        self.bytes = self.bytes.saturating_sub(count);
        while count > 0 {
            let Some(first) = self.pieces.as_mut_slice().first_mut() else { return };
            if count < first.len() {
                return first.advance(count);
            }
            count -= first.len();
            self.pieces.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_one_buffer_however_they_are_taken() {
        for taken in 1..=6 {
            let mut pieces = Pieces::of(["ab", "", "c", "def"].map(Bytes::from).into());
            let mut read = Vec::new();
            while pieces.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 8];
                let filled = pieces.chunks_vectored(&mut slices);
                let there = slices.map(|slice| slice.to_vec()).concat();
                assert_eq!((there.len(), filled > 0), (pieces.remaining(), true));
                assert!(!pieces.chunk().is_empty());
                let now = taken.min(there.len());
                read.extend_from_slice(&there[..now]);
                pieces.advance(now);
            }
            assert_eq!(read, b"abcdef");
            assert_eq!(pieces.chunk(), b"");
        }
    }
}
