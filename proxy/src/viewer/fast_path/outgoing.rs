//! Bytes on their way to a viewer: a head of our own, then pieces of a body that many share.

use std::io::{ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tidegate_cache::Body;
use tokio::time::Instant;

use super::copies::FileCopy;
use crate::viewer::transport::TakesFiles;

/// A head and a part of a body.
#[derive(Debug)]
pub(super) struct Outgoing {
    head: Vec<u8>,
    pieces: Arc<[Bytes]>,
    /// What the pieces are of: they count as held as long as it is.
    _body: Option<Arc<Body>>,
    /// The body in a file in place of the pieces, and where in it the part begins.
    copy: Option<Arc<FileCopy>>,
    start: u64,
    /// The next piece, and where in it the next byte is.
    piece: usize,
    offset: usize,
    /// Bytes of the body that are still to be sent.
    body_left: u64,
    body_len: u64,
    head_sent: usize,
    first_sent: Option<Instant>,
}

impl Outgoing {
    /// A head and `len` bytes from `start` on of what lies in a file.
    pub(super) fn from_file(head: Vec<u8>, copy: Arc<FileCopy>, start: u64, len: u64) -> Self {
        let nothing: [Bytes; 0] = [];
        Self { copy: Some(copy), start, ..Self::new(head, Arc::new(nothing), None, 0, len) }
    }

    /// A head and `len` bytes from `start` on of what lies in memory.
    pub(super) fn new(
        head: Vec<u8>,
        pieces: Arc<[Bytes]>,
        body: Option<Arc<Body>>,
        start: u64,
        len: u64,
    ) -> Self {
        let (mut piece, mut offset) = (0, usize::try_from(start).unwrap_or(usize::MAX));
        while let Some(skipped) = pieces.get(piece).map(Bytes::len).filter(|len| offset >= *len) {
            piece += 1;
            offset -= skipped;
        }
        Self {
            head,
            pieces,
            _body: body,
            copy: None,
            start,
            piece,
            offset,
            body_left: len,
            body_len: len,
            head_sent: 0,
            first_sent: None,
        }
    }

    /// Bytes that have been taken.
    pub(super) fn sent(&self) -> u64 {
        self.head_sent as u64 + self.body_sent()
    }

    /// When the first were.
    pub(super) fn first_sent(&self) -> Option<Instant> {
        self.first_sent
    }

    /// Bytes of the body that have been taken.
    pub(super) fn body_sent(&self) -> u64 {
        self.body_len - self.body_left
    }

    /// Writes until all is written, or no more is taken now.
    pub(super) fn write(
        &mut self,
        transport: &mut impl TakesFiles,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        while self.head_sent < self.head.len() || self.body_left > 0 {
            let file = self.copy.as_deref().map(FileCopy::file).filter(|_| self.body_left > 0);
            let taken = match (file, self.head.get(self.head_sent..)) {
                (Some(_), Some(head)) if !head.is_empty() => ready!(transport.poll_send_ahead(cx, head))?,
                (Some(file), _) => {
                    let part = self.start + self.body_sent()..self.start + self.body_len;
                    ready!(transport.poll_send_file(cx, file, part))?
                }
                (None, _) => {
                    let mut slices = [IoSlice::new(&[]); SLICES];
                    let count = self.fill(&mut slices);
                    let slices = slices.get(..count).unwrap_or_default();
                    ready!(Pin::new(&mut *transport).poll_write_vectored(cx, slices))?
                }
            };
            if taken == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.first_sent.get_or_insert_with(Instant::now);
            self.advance(taken);
        }
        Pin::new(transport).poll_flush(cx)
    }

    /// Lays out what is to be written next; tells how many slices that are.
    fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES]) -> usize {
        let head = self.head.get(self.head_sent..).unwrap_or_default();
        let mut count = 0;
        let mut put = |bytes: &'a [u8]| {
            let place = slices.get_mut(count).filter(|_| !bytes.is_empty());
            if let Some(place) = place {
                *place = IoSlice::new(bytes);
                count += 1;
            }
        };
        put(head);
        let (mut offset, mut left) = (self.offset, usize::try_from(self.body_left).unwrap_or(usize::MAX));
        for piece in self.pieces.iter().skip(self.piece).take(SLICES - 1) {
            let bytes = piece.get(offset..).unwrap_or_default();
            let bytes = bytes.get(..left).unwrap_or(bytes);
            put(bytes);
            left -= bytes.len();
            offset = 0;
            if left == 0 {
                break;
            }
        }
        count
    }

    fn advance(&mut self, taken: usize) {
        let of_head = taken.min(self.head.len() - self.head_sent);
        self.head_sent += of_head;
        let mut of_body = taken - of_head;
        self.body_left = self.body_left.saturating_sub(of_body as u64);
        while let Some(left) = self.pieces.get(self.piece).map(|piece| piece.len() - self.offset) {
            if of_body < left {
                self.offset += of_body;
                return;
            }
            of_body -= left;
            self.piece += 1;
            self.offset = 0;
        }
    }
}

/// What is handed to the system at once: 4 MiB in the pieces in which bodies are held.
const SLICES: usize = 64;

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::ops::Range;
    use std::os::unix::fs::FileExt as _;
    use std::task::Waker;

    use proptest::prelude::*;
    use tokio::io::AsyncWrite;

    use super::*;

    /// Takes so many bytes at once, and every second time none.
    struct Slow {
        try_hit: usize,
        is_full: bool,
        taken: Vec<u8>,
    }

    impl AsyncWrite for Slow {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<Result<usize>> {
            self.is_full = !self.is_full;
            if self.is_full {
                return Poll::Pending;
            }
            let all = slices.iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<u8>>();
            let taken = all.len().min(self.try_hit);
            self.taken.extend_from_slice(&all[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl TakesFiles for Slow {
        fn poll_send_ahead(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
            Pin::new(self).poll_write(cx, bytes)
        }

        fn poll_send_file(
            &mut self,
            cx: &mut Context<'_>,
            file: &File,
            part: Range<u64>,
        ) -> Poll<Result<usize>> {
            let mut bytes = vec![0; usize::try_from(part.end - part.start).unwrap()];
            let count = file.read_at(&mut bytes, part.start)?;
            Pin::new(self).poll_write(cx, &bytes[..count])
        }
    }

    proptest! {
        #[test]
        fn every_byte_is_sent_once_however_few_are_taken(
            lens in prop::collection::vec(1_usize..9, 0..150),
            from in any::<prop::sample::Index>(),
            to in any::<prop::sample::Index>(),
            try_hit in 1_usize..200,
            is_copied in any::<bool>(),
        ) {
            let mut bytes = 0..=u8::MAX;
            let pieces: Vec<Bytes> =
                lens.iter().map(|len| (0..*len).map(|_| bytes.next().unwrap_or(7)).collect()).collect();
            let body = pieces.concat();
            let (from, to) = (from.index(body.len() + 1), to.index(body.len() + 1));
            let (start, end) = (from.min(to), from.max(to));
            let (head, from, len) = (b"head".to_vec(), start as u64, (end - start) as u64);
            let mut outgoing = if is_copied {
                Outgoing::from_file(head, Arc::new(FileCopy::made(&pieces)), from, len)
            } else {
                Outgoing::new(head, pieces.into(), None, from, len)
            };
            let mut transport = Slow { try_hit, is_full: false, taken: Vec::new() };
            let mut cx = Context::from_waker(Waker::noop());
            for _ in 0..10_000 {
                if outgoing.write(&mut transport, &mut cx).is_ready() {
                    break;
                }
            }
            prop_assert_eq!(&transport.taken[..4], b"head");
            prop_assert_eq!(&transport.taken[4..], &body[start..end]);
            prop_assert_eq!(outgoing.body_sent(), (end - start) as u64);
        }
    }
}
