//! A response in transit to a viewer: its own head, then chunks of a body that many responses share.

use std::io::{ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tidegate_cache::Body;
use tokio::time::Instant;

use super::copies::FileCopy;
use crate::viewer::transport::SendFile;

/// A head and a range of a body.
#[derive(Debug)]
pub(super) struct Outgoing {
    head: Vec<u8>,
    chunks: Arc<[Bytes]>,
    /// The body of the chunks: the cache counts their memory until it is dropped.
    _body: Option<Arc<Body>>,
    /// The body in a file, in place of the chunks.
    copy: Option<Arc<FileCopy>>,
    /// Where the range begins in the body.
    start: u64,
    /// Index of the next chunk.
    chunk: usize,
    /// Bytes of that chunk that have been sent or skipped.
    offset: usize,
    /// Bytes of the range that are still to be sent.
    body_left: u64,
    body_len: u64,
    head_sent: usize,
    first_sent: Option<Instant>,
}

impl Outgoing {
    /// A head and `len` bytes of a file, from `start` on.
    pub(super) fn from_file(head: Vec<u8>, copy: Arc<FileCopy>, start: u64, len: u64) -> Self {
        let nothing: [Bytes; 0] = [];
        Self { copy: Some(copy), start, ..Self::new(head, Arc::new(nothing), None, 0, len) }
    }

    /// A head and `len` bytes of a body in memory, from `start` on.
    pub(super) fn new(
        head: Vec<u8>,
        chunks: Arc<[Bytes]>,
        body: Option<Arc<Body>>,
        start: u64,
        len: u64,
    ) -> Self {
        let (mut chunk, mut offset) = (0, usize::try_from(start).unwrap_or(usize::MAX));
        while let Some(skipped) = chunks.get(chunk).map(Bytes::len).filter(|len| offset >= *len) {
            chunk += 1;
            offset -= skipped;
        }
        Self {
            head,
            chunks,
            _body: body,
            copy: None,
            start,
            chunk,
            offset,
            body_left: len,
            body_len: len,
            head_sent: 0,
            first_sent: None,
        }
    }

    /// Bytes of the range.
    pub(super) fn body_len(&self) -> u64 {
        self.body_len
    }

    /// Bytes sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.head_sent as u64 + self.body_sent()
    }

    /// The time of the first write that sent bytes.
    pub(super) fn first_sent(&self) -> Option<Instant> {
        self.first_sent
    }

    /// Bytes of the body sent so far.
    pub(super) fn body_sent(&self) -> u64 {
        self.body_len - self.body_left
    }

    /// Writes until all bytes are written, or the transport takes no more for now.
    pub(super) fn write(&mut self, transport: &mut impl SendFile, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while self.head_sent < self.head.len() || self.body_left > 0 {
            let file = self.copy.as_deref().map(FileCopy::file).filter(|_| self.body_left > 0);
            let taken = match (file, self.head.get(self.head_sent..)) {
                (Some(_), Some(head)) if !head.is_empty() => ready!(transport.poll_send_more(cx, head))?,
                (Some(file), _) => {
                    let range = self.start + self.body_sent()..self.start + self.body_len;
                    ready!(transport.poll_send_file(cx, file, range))?
                }
                (None, _) => {
                    let mut slices = [IoSlice::new(&[]); SLICES];
                    let count = self.next_slices(&mut slices);
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

    /// Sets `slices` to the next bytes to be written. Returns how many slices it set.
    fn next_slices<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES]) -> usize {
        let head = self.head.get(self.head_sent..).unwrap_or_default();
        let mut count = 0;
        let mut put = |bytes: &'a [u8]| {
            let free = slices.get_mut(count).filter(|_| !bytes.is_empty());
            if let Some(slice) = free {
                *slice = IoSlice::new(bytes);
                count += 1;
            }
        };
        put(head);
        let (mut offset, mut left) = (self.offset, usize::try_from(self.body_left).unwrap_or(usize::MAX));
        for chunk in self.chunks.iter().skip(self.chunk).take(SLICES - 1) {
            let bytes = chunk.get(offset..).unwrap_or_default();
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
        while let Some(left) = self.chunks.get(self.chunk).map(|chunk| chunk.len() - self.offset) {
            if of_body < left {
                self.offset += of_body;
                return;
            }
            of_body -= left;
            self.chunk += 1;
            self.offset = 0;
        }
    }
}

/// Slices per system call: 4 MiB in the chunks of cached bodies.
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

    /// Takes at most `per_write` bytes per write, and none at every second write.
    struct Slow {
        per_write: usize,
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
            let taken = all.len().min(self.per_write);
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

    impl SendFile for Slow {
        fn poll_send_more(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
            Pin::new(self).poll_write(cx, bytes)
        }

        fn poll_send_file(
            &mut self,
            cx: &mut Context<'_>,
            file: &File,
            range: Range<u64>,
        ) -> Poll<Result<usize>> {
            let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap()];
            let count = file.read_at(&mut bytes, range.start)?;
            Pin::new(self).poll_write(cx, &bytes[..count])
        }
    }

    proptest! {
        #[test]
        fn every_byte_is_sent_once_for_any_size_of_writes(
            lens in prop::collection::vec(1_usize..9, 0..150),
            from in any::<prop::sample::Index>(),
            to in any::<prop::sample::Index>(),
            per_write in 1_usize..200,
            is_copied in any::<bool>(),
        ) {
            let mut bytes = 0..=u8::MAX;
            let chunks: Vec<Bytes> =
                lens.iter().map(|len| (0..*len).map(|_| bytes.next().unwrap_or(7)).collect()).collect();
            let body = chunks.concat();
            let (from, to) = (from.index(body.len() + 1), to.index(body.len() + 1));
            let (start, end) = (from.min(to), from.max(to));
            let (head, from, len) = (b"head".to_vec(), start as u64, (end - start) as u64);
            let mut outgoing = if is_copied {
                Outgoing::from_file(head, Arc::new(FileCopy::of_chunks(&chunks)), from, len)
            } else {
                Outgoing::new(head, chunks.into(), None, from, len)
            };
            let mut transport = Slow { per_write, is_full: false, taken: Vec::new() };
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
