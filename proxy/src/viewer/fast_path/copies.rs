//! Copies in memory files (memfd) of large, popular bodies, which the kernel sends by sendfile.
//!
//! A write copies a body from memory into the socket; sendfile does not (`sendfile.rs`). For a large body,
//! that copy is most of the cost of a hit. TLS, HTTP/2 and all other readers need the body in memory, so that
//! the file is a second copy. It is made after a body has been sent several times over HTTP/1.1 without TLS,
//! and is kept while that continues.

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use ahash::RandomState;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tidegate_cache::Body;
use tokio_util::task::TaskTracker;

use crate::viewer::sendfile;

/// The file copies of a tier. The key is the address of a body.
#[derive(Debug)]
pub(crate) struct Copies {
    /// How often each body without a copy has been sent. When a new body reuses an address, it inherits the
    /// count.
    send_counts: Cache<usize, Arc<AtomicU32>, RandomState>,
    cached: Cache<usize, Arc<FileCopy>, RandomState>,
    /// Responses with fewer bytes are sent from memory.
    bytes_min: u64,
    usage: Arc<Usage>,
    /// At most one copy is made at a time.
    is_making: Arc<AtomicBool>,
}

/// All open files, including evicted copies that are still being sent.
#[derive(Debug, Default)]
struct Usage {
    bytes_max: u64,
    files: AtomicU64,
    bytes: AtomicU64,
}

/// A file with all bytes of a body.
#[derive(Debug)]
pub(super) struct FileCopy {
    file: File,
    len: u64,
    usage: Arc<Usage>,
    /// Keeps the address of the body from reuse, without keeping the body: the address is the key of this
    /// copy.
    _address: Weak<Body>,
}

impl Copies {
    /// At most `bytes_max` bytes of memory for all copies, which serve responses of at least `bytes_min`
    /// bytes.
    pub(crate) fn new(bytes_max: u64, bytes_min: u64) -> Self {
        // The rest is for evicted copies that are still being sent.
        let kept_max = bytes_max / 4 * 3;
        let weight_min = kept_max / (FILES_MAX / 4 * 3);
        let weigh = move |_: &usize, copy: &Arc<FileCopy>| {
            u32::try_from(copy.len.max(weight_min)).unwrap_or(u32::MAX)
        };
        let copies = Cache::builder().max_capacity(kept_max).weigher(weigh).time_to_idle(IDLE);
        let send_counts = Cache::builder().max_capacity(COUNTED_MAX).time_to_idle(IDLE);
        Self {
            send_counts: send_counts
                .eviction_policy(EvictionPolicy::lru())
                .build_with_hasher(RandomState::new()),
            cached: copies.eviction_policy(EvictionPolicy::lru()).build_with_hasher(RandomState::new()),
            bytes_min,
            usage: Arc::new(Usage { bytes_max, ..Usage::default() }),
            is_making: Arc::default(),
        }
    }

    /// The copy of a complete body, if there is one, for a response with `bytes` bytes of it. Each call
    /// counts; at every [`SENT_MIN`]th call without a copy, a task in `tasks` makes one.
    pub(super) fn of(&self, tasks: &TaskTracker, body: &Arc<Body>, bytes: u64) -> Option<Arc<FileCopy>> {
        if bytes < self.bytes_min || self.usage.bytes_max == 0 {
            return None;
        }
        let address = Arc::as_ptr(body).addr();
        let copy = self.cached.get(&address);
        if copy.is_none() {
            let sent = self.send_counts.get_with(address, Arc::default).fetch_add(1, Ordering::Relaxed) + 1;
            // A copy that found no room is tried again later.
            if sent.is_multiple_of(SENT_MIN) {
                self.make(tasks, address, body);
            }
        }
        copy
    }

    /// Until the copy is complete, responses are sent from memory.
    fn make(&self, tasks: &TaskTracker, address: usize, body: &Arc<Body>) {
        if body.len() > self.usage.bytes_max / SHARE || self.is_making.swap(true, Ordering::AcqRel) {
            return;
        }
        let (copies, usage, body) = (self.cached.clone(), Arc::clone(&self.usage), Arc::clone(body));
        let is_making = Arc::clone(&self.is_making);
        tasks.spawn_blocking(move || {
            if let Some(copy) = FileCopy::of(&body, usage) {
                copies.insert(address, Arc::new(copy));
            }
            is_making.store(false, Ordering::Release);
        });
    }

    /// Drops copies that have not been sent for [`IDLE`]. moka expires entries only when it is used.
    pub(crate) fn tidy(&self) {
        self.send_counts.run_pending_tasks();
        self.cached.run_pending_tasks();
    }

    /// Bytes in open files, including evicted copies that are still being sent.
    pub(crate) fn bytes(&self) -> u64 {
        self.tidy();
        self.usage.bytes.load(Ordering::Relaxed)
    }
}

impl FileCopy {
    /// `None` if there is no room or the system has no file.
    fn of(body: &Arc<Body>, usage: Arc<Usage>) -> Option<Self> {
        let (chunks, len) = (body.whole()?, body.len());
        let has_room = usage.files.load(Ordering::Relaxed) < FILES_MAX
            && usage.bytes.load(Ordering::Relaxed) + len <= usage.bytes_max;
        let file = has_room.then(|| sendfile::file_of(chunks))?;
        let file = file.inspect_err(|error| tracing::debug!(%error, "cannot make a sendfile copy")).ok()?;
        usage.files.fetch_add(1, Ordering::Relaxed);
        usage.bytes.fetch_add(len, Ordering::Relaxed);
        Some(Self { file, len, usage, _address: Arc::downgrade(body) })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for FileCopy {
    fn drop(&mut self) {
        self.usage.files.fetch_sub(1, Ordering::Relaxed);
        self.usage.bytes.fetch_sub(self.len, Ordering::Relaxed);
    }
}

/// A body is copied once it has been sent this often. Most segments are requested by many players within
/// seconds, or by few.
const SENT_MIN: u32 = 4;
/// A copy is dropped when it has not been sent for this long.
const IDLE: Duration = Duration::from_secs(30);
/// One copy may take one part in `SHARE` of the memory for all copies.
const SHARE: u64 = 4;
/// Files that may be open.
const FILES_MAX: u64 = 256;
/// Bodies for which sends are counted.
const COUNTED_MAX: u64 = 4096;

#[cfg(test)]
impl FileCopy {
    /// A copy of these chunks, for tests.
    pub(super) fn of_chunks(chunks: &[bytes::Bytes]) -> Self {
        let usage = Arc::new(Usage { files: AtomicU64::new(1), ..Usage::default() });
        Self { file: sendfile::file_of(chunks).unwrap(), len: 0, usage, _address: Weak::new() }
    }
}
