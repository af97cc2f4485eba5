//! A body that grows: one writer appends, any number of readers follow, each at its own speed.
//!
//! A hit, a request that joins a fill, and a byte range all read through the same [`Reader`]. A slow reader
//! slows no other reader, because the whole body stays in memory until the last reference to it is dropped;
//! the cache's object limit bounds its size. A body ends as complete or as broken, and a broken body never
//! looks complete.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Counts the bytes of all bodies in memory, cached or not.
#[derive(Debug, Default)]
pub(crate) struct Ledger(AtomicU64);

impl Ledger {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The body ended early. The reason is a token for logs and headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body broke off: {0}")]
pub struct Broken(pub &'static str);

/// An append-only sequence of bytes with one writer and many readers.
#[derive(Debug)]
pub struct Body {
    buffer: Mutex<Buffer>,
    changed: Notify,
    /// Set once, when the body is complete, so that readers of complete bodies take no lock.
    whole: OnceLock<Arc<[Bytes]>>,
    /// The length that the upstream declared, if it did.
    content_length: Option<u64>,
    ledger: Arc<Ledger>,
}

/// The bytes so far. Readers address them by offset.
#[derive(Debug, Default)]
struct Buffer {
    chunks: Vec<Chunk>,
    len: u64,
    /// How many chunks at the end are small and may still be merged.
    tail_chunks: usize,
    tail_bytes: usize,
    end: Option<Result<(), Broken>>,
}

#[derive(Debug)]
struct Chunk {
    start: u64,
    bytes: Bytes,
}

/// Small appends are merged into chunks of this size, so that a body that arrives in many small reads costs
/// no more memory than one that arrives in few.
const CHUNK_BYTES: usize = 64 * 1024;

/// Appends up to this size are small. Such bytes may be a slice of a much larger buffer that they keep alive,
/// as an HTTP/2 frame of at most 16 KiB (the default) is. Larger appends stay in the buffer in which they
/// arrived: to merge them would copy every byte once more.
const SMALL_BYTES: usize = 16 * 1024;

/// The most chunks that one read returns: one vectored write takes no more of them, and a slowly fed body has
/// many.
const CHUNKS_MAX: usize = 64;

impl Body {
    pub(crate) fn new(content_length: Option<u64>, ledger: Arc<Ledger>) -> Self {
        Self {
            buffer: Mutex::default(),
            changed: Notify::new(),
            whole: OnceLock::new(),
            content_length,
            ledger,
        }
    }

    /// A body that is complete from the start.
    pub(crate) fn from_bytes(bytes: Bytes, ledger: Arc<Ledger>) -> Self {
        let body = Self::new(Some(bytes.len() as u64), ledger);
        body.append(bytes);
        body.complete();
        body
    }

    /// Adds bytes at the end and wakes the readers. Appending to a body that has ended does nothing.
    pub(crate) fn append(&self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let added = bytes.len() as u64;
        {
            let mut buffer = self.buffer.lock();
            if buffer.end.is_some() {
                return;
            }
            buffer.push(bytes);
        }
        self.ledger.0.fetch_add(added, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// Ends the body as complete.
    pub(crate) fn complete(&self) {
        {
            let mut buffer = self.buffer.lock();
            if buffer.end.is_some() {
                return;
            }
            buffer.merge_tail();
            buffer.end = Some(Ok(()));
            let chunks: Vec<Bytes> = buffer.chunks.iter().map(|chunk| chunk.bytes.clone()).collect();
            // Set under the lock and only here, so it cannot have been set before.
            let _first = self.whole.set(chunks.into());
        }
        self.changed.notify_waiters();
    }

    /// Ends the body as broken: every reader gets the bytes so far and then the error.
    pub(crate) fn break_off(&self, why: Broken) {
        {
            let mut buffer = self.buffer.lock();
            if buffer.end.is_some() {
                return;
            }
            buffer.end = Some(Err(why));
        }
        self.changed.notify_waiters();
    }

    /// Bytes that have arrived so far.
    pub fn len(&self) -> u64 {
        self.buffer.lock().len
    }

    /// Whether no byte has arrived yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The full length: declared by the upstream, or known because the body is complete.
    pub fn full_len(&self) -> Option<u64> {
        self.content_length.or_else(|| self.is_complete().then(|| self.len()))
    }

    /// Whether the body has ended, complete or broken.
    pub(crate) fn has_ended(&self) -> bool {
        self.buffer.lock().end.is_some()
    }

    /// Whether the body is complete.
    pub fn is_complete(&self) -> bool {
        self.whole.get().is_some()
    }

    /// All chunks of a complete body, without a lock or a copy.
    pub fn whole(&self) -> Option<&Arc<[Bytes]>> {
        self.whole.get()
    }

    /// Reads from `start` up to `end` (exclusive), or to the end of the body.
    pub fn reader(self: &Arc<Self>, start: u64, end: Option<u64>) -> Reader {
        Reader { body: Arc::clone(self), position: start, end: end.unwrap_or(u64::MAX) }
    }

    /// Waits until at least `len` bytes have arrived.
    ///
    /// # Errors
    ///
    /// When the body breaks before that. A body that completes with fewer bytes is no error.
    pub async fn wait_for_len(&self, len: u64) -> Result<(), Broken> {
        self.wait_until(|buffer| match buffer.end {
            _ if buffer.len >= len => Some(Ok(())),
            Some(end) => Some(end),
            None => None,
        })
        .await
    }

    /// Waits for the end of the body.
    ///
    /// # Errors
    ///
    /// When the body is broken.
    pub async fn wait_for_end(&self) -> Result<(), Broken> {
        self.wait_until(|buffer| buffer.end).await
    }

    /// Waits until `ready` returns a value. It is called again after every change. No change between the
    /// check and the wait is lost, because the wait is registered before the check.
    async fn wait_until<T>(&self, ready: impl Fn(&Buffer) -> Option<T>) -> T {
        if let Some(found) = ready(&self.buffer.lock()) {
            return found;
        }
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(found) = ready(&self.buffer.lock()) {
                return found;
            }
            changed.await;
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.ledger.0.fetch_sub(self.buffer.get_mut().len, Ordering::Relaxed);
    }
}

impl Buffer {
    fn push(&mut self, bytes: Bytes) {
        let start = self.len;
        self.len += bytes.len() as u64;
        if bytes.len() > SMALL_BYTES {
            self.merge_tail();
            self.chunks.push(Chunk { start, bytes });
            return;
        }
        self.tail_chunks += 1;
        self.tail_bytes += bytes.len();
        self.chunks.push(Chunk { start, bytes });
        if self.tail_bytes >= CHUNK_BYTES {
            self.merge_tail();
        }
    }

    /// Merges the small chunks at the end into one. Offsets do not change, so readers notice nothing.
    fn merge_tail(&mut self) {
        let (tail_chunks, bytes) =
            (std::mem::take(&mut self.tail_chunks), std::mem::take(&mut self.tail_bytes));
        if tail_chunks < 2 {
            return;
        }
        let first = self.chunks.len() - tail_chunks;
        let mut joined = BytesMut::with_capacity(bytes);
        let start = self.chunks.get(first).map_or(0, |chunk| chunk.start);
        for chunk in self.chunks.drain(first..) {
            joined.extend_from_slice(&chunk.bytes);
        }
        self.chunks.push(Chunk { start, bytes: joined.freeze() });
    }

    /// What a reader at `position` can have now, short of `end`: chunks, an empty list at the end of the body
    /// or of the range, or the error. `None` means that the reader must wait.
    fn read(&self, position: u64, end: u64) -> Option<Result<Vec<Bytes>, Broken>> {
        if position >= end {
            return Some(Ok(Vec::new()));
        }
        if position >= self.len {
            return self.end.map(|ended| ended.map(|()| Vec::new()));
        }
        let first = self.chunks.partition_point(|chunk| chunk.start <= position).checked_sub(1)?;
        let listed = self.chunks.get(first..)?.iter().take_while(|chunk| chunk.start < end);
        Some(Ok(listed.take(CHUNKS_MAX).map(|chunk| cut(chunk, position, end)).collect()))
    }
}

/// The part of `chunk` from `position` on, short of `end`.
fn cut(chunk: &Chunk, position: u64, end: u64) -> Bytes {
    let from = usize::try_from(position.saturating_sub(chunk.start)).unwrap_or(usize::MAX);
    let to = usize::try_from(end - chunk.start).unwrap_or(usize::MAX).min(chunk.bytes.len());
    chunk.bytes.slice(from.min(to)..to)
}

/// One reader's position in a body.
#[derive(Debug)]
pub struct Reader {
    body: Arc<Body>,
    position: u64,
    end: u64,
}

impl Reader {
    /// Waits for the next bytes. Returns the chunks that have arrived, at most `max` bytes but at least one
    /// byte; an empty list at the end. Cancelling the wait loses nothing.
    ///
    /// # Errors
    ///
    /// When the body is broken and the bytes before the break have been read.
    pub async fn next(&mut self, max: u64) -> Result<Vec<Bytes>, Broken> {
        let (position, end) = (self.position, self.end.min(self.position.saturating_add(max.max(1))));
        let read = self.body.wait_until(|buffer| buffer.read(position, end)).await?;
        self.position += read.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        Ok(read)
    }

    /// The offset of the next byte from the start of the body.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The body that this reader reads.
    pub fn body(&self) -> &Arc<Body> {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::JoinSet;

    use super::*;

    /// More than any of these bodies has.
    const ALL: u64 = u64::MAX;

    fn body() -> Arc<Body> {
        Arc::new(Body::new(None, Arc::default()))
    }

    async fn rest(mut reader: Reader) -> Result<Vec<u8>, Broken> {
        let mut all = Vec::new();
        loop {
            match reader.next(ALL).await?.concat() {
                bytes if bytes.is_empty() => return Ok(all),
                bytes => all.extend(bytes),
            }
        }
    }

    #[tokio::test]
    async fn readers_see_the_same_bytes_however_they_arrive() {
        let body = body();
        let bytes: Vec<u8> = (0..300_000_u32).map(|i| i.to_le_bytes()[0]).collect();
        let mut early = JoinSet::new();
        early.spawn(rest(body.reader(0, None)));
        for chunk in bytes.chunks(777) {
            body.append(Bytes::copy_from_slice(chunk));
            tokio::task::yield_now().await;
        }
        body.complete();
        assert_eq!(early.join_next().await.unwrap().unwrap().unwrap(), bytes);
        assert_eq!(rest(body.reader(0, None)).await.unwrap(), bytes);
        assert_eq!(rest(body.reader(65_000, Some(66_000))).await.unwrap(), bytes[65_000..66_000]);
        assert!(body.whole().unwrap().len() <= 5, "small appends are merged");
    }

    #[test]
    fn small_chunks_do_not_keep_the_buffer_they_arrived_in_alive() {
        let body = body();
        let buffers: Vec<Bytes> = (0..100).map(|n| Bytes::from(vec![n; 2 * CHUNK_BYTES])).collect();
        for buffer in &buffers {
            body.append(buffer.slice(..SMALL_BYTES));
        }
        body.complete();
        let alive = buffers.iter().filter(|buffer| !buffer.is_unique()).count();
        assert_eq!((alive, body.whole().unwrap().len()), (0, 100 * SMALL_BYTES / CHUNK_BYTES));
    }

    #[test]
    fn large_chunks_are_not_copied() {
        let body = body();
        let chunks: Vec<Bytes> = [SMALL_BYTES + 1, 10, 20, CHUNK_BYTES, SMALL_BYTES + 1]
            .map(|len| Bytes::from(vec![1; len]))
            .into();
        for chunk in &chunks {
            body.append(chunk.clone());
        }
        body.complete();
        let whole = body.whole().unwrap();
        assert_eq!(
            whole.iter().map(Bytes::len).collect::<Vec<_>>(),
            [SMALL_BYTES + 1, 30, CHUNK_BYTES, SMALL_BYTES + 1]
        );
        for (kept, appended) in [(0, 0), (2, 3), (3, 4)] {
            assert_eq!(whole[kept].as_ptr(), chunks[appended].as_ptr());
        }
    }

    #[tokio::test]
    async fn a_read_returns_all_chunks_so_far_up_to_its_limit() {
        let body = body();
        for chunk in ["abc", "def", "ghi"] {
            body.append(Bytes::from_static(chunk.as_bytes()));
        }
        for (start, end, max, chunks) in [
            (0, None, ALL, &["abc", "def", "ghi"][..]),
            (1, None, 5, &["bc", "def"]),
            (1, None, 6, &["bc", "def", "g"]),
            (3, Some(8), ALL, &["def", "gh"]),
            (8, Some(8), ALL, &[]),
        ] {
            assert_eq!(body.reader(start, end).next(max).await.unwrap(), chunks, "{start} {end:?} {max}");
        }
    }

    #[tokio::test]
    async fn a_broken_body_yields_its_bytes_and_then_the_error() {
        let body = body();
        body.append(Bytes::from_static(b"abc"));
        body.break_off(Broken("reset"));
        let mut reader = body.reader(1, None);
        assert_eq!(reader.next(ALL).await.unwrap(), ["bc"]);
        assert_eq!(reader.next(ALL).await, Err(Broken("reset")));
        assert_eq!(
            rest(body.reader(0, Some(2))).await.unwrap(),
            b"ab",
            "a range that has arrived is complete"
        );
        assert!(body.full_len().is_none());
    }

    #[tokio::test]
    async fn the_ledger_counts_bytes_until_the_last_reader_is_gone() {
        let ledger: Arc<Ledger> = Arc::default();
        let body = Arc::new(Body::new(None, Arc::clone(&ledger)));
        body.append(Bytes::from_static(b"abc"));
        let reader = body.reader(0, None);
        drop(body);
        assert_eq!(ledger.bytes(), 3);
        drop(reader);
        assert_eq!(ledger.bytes(), 0);
    }

    /// A byte that encodes its position, with a period that divides no chunk size.
    fn byte_at(position: u64) -> u8 {
        (position % 251).to_le_bytes()[0]
    }

    async fn follow(mut reader: Reader) -> Result<u64, Broken> {
        loop {
            let position = reader.position();
            let chunks = reader.next(100_000).await?;
            if chunks.is_empty() {
                return Ok(position);
            }
            assert!(chunks.iter().all(|chunk| !chunk.is_empty()));
            let bytes = chunks.concat();
            assert!(bytes.len() <= 100_000);
            let wrong = bytes.iter().zip(position..).find(|(byte, at)| **byte != byte_at(*at));
            assert_eq!(wrong, None, "a byte is in the wrong place");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn readers_on_other_threads_follow_a_writer_byte_by_byte() {
        const LEN: u64 = 2_000_003;
        for broken in [false, true] {
            let body = body();
            let mut readers = JoinSet::new();
            let mut ranges = JoinSet::new();
            for n in 0..32 {
                readers.spawn(follow(body.reader(n * 50_000, None)));
                ranges.spawn(follow(body.reader(n, Some(LEN / 2 + n))));
            }
            let writer = {
                let body = Arc::clone(&body);
                tokio::task::spawn_blocking(move || {
                    let lens = [1_u64, 7, 900, 16_384, 70_000, 3].into_iter().cycle();
                    let mut at = 0;
                    for len in lens {
                        let end = (at + len).min(LEN);
                        body.append((at..end).map(byte_at).collect());
                        at = end;
                        if at == LEN {
                            break;
                        }
                    }
                    if broken { body.break_off(Broken("reset")) } else { body.complete() }
                })
            };
            let expected = if broken { Err(Broken("reset")) } else { Ok(LEN) };
            let read = tokio::time::timeout(Duration::from_mins(1), readers.join_all()).await;
            for read in read.expect("no reader waits forever") {
                assert_eq!(read, expected);
            }
            let mut ends: Vec<_> = ranges.join_all().await.into_iter().map(Result::unwrap).collect();
            ends.sort_unstable();
            assert!(ends.into_iter().eq((0..32).map(|n| LEN / 2 + n)));
            writer.await.unwrap();
        }
    }
}
