//! Copies of large bodies that are asked for often, in files that the system sends by itself.
//!
//! A body that lies in memory is copied into each socket; what lies in a file goes out as it is (`sendfile.rs`). For a
//! large body that is most of what a hit costs. TLS, HTTP/2 and everybody who reads a body want it in memory, so that a file
//! is a second copy: it is made of a body that has been sent some times of late over plain HTTP/1.1, and is kept while
//! that goes on.

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

/// The copies of a tier. Bodies are known by their addresses.
#[derive(Debug)]
pub(crate) struct Copies {
    /// How often bodies without a copy have been sent. An address that has gone over to another body counts for that.
    sent: Cache<usize, Arc<AtomicU32>, RandomState>,
    made: Cache<usize, Arc<FileCopy>, RandomState>,
    /// Fewer bytes are sent from memory.
    bytes_min: u64,
    open: Arc<Open>,
    /// One is made at a time.
    is_making: Arc<AtomicBool>,
}

/// All files that are open, those that are only being sent any more among them.
#[derive(Debug, Default)]
struct Open {
    bytes_max: u64,
    files: AtomicU64,
    bytes: AtomicU64,
}

/// A file with all bytes of a body.
#[derive(Debug)]
pub(super) struct FileCopy {
    file: File,
    len: u64,
    open: Arc<Open>,
    /// Keeps the body's address, though not the body: as long as the copy is known by it, nothing else can lie there.
    _address: Weak<Body>,
}

impl Copies {
    /// With so many bytes of memory for all, for answers of no fewer than `bytes_min`.
    pub(crate) fn new(bytes_max: u64, bytes_min: u64) -> Self {
        // The rest is for those that have made room and are still being sent.
        let held_max = bytes_max / 4 * 3;
        let least = held_max / (FILES_MAX / 4 * 3);
        let weigh =
            move |_: &usize, copy: &Arc<FileCopy>| u32::try_from(copy.len.max(least)).unwrap_or(u32::MAX);
        let made = Cache::builder().max_capacity(held_max).weigher(weigh).time_to_idle(IDLE);
        let sent = Cache::builder().max_capacity(COUNTED_MAX).time_to_idle(IDLE);
        Self {
            sent: sent.eviction_policy(EvictionPolicy::lru()).build_with_hasher(RandomState::new()),
            made: made.eviction_policy(EvictionPolicy::lru()).build_with_hasher(RandomState::new()),
            bytes_min,
            open: Arc::new(Open { bytes_max, ..Open::default() }),
            is_making: Arc::default(),
        }
    }

    /// The copy of a complete body of which so many bytes are to be sent, if there is one. That it is asked for counts:
    /// once it is worth it, `tasks` has a task that makes one.
    pub(super) fn of(&self, tasks: &TaskTracker, body: &Arc<Body>, bytes: u64) -> Option<Arc<FileCopy>> {
        if bytes < self.bytes_min || self.open.bytes_max == 0 {
            return None;
        }
        let address = Arc::as_ptr(body).addr();
        let copy = self.made.get(&address);
        if copy.is_none() {
            let sent = self.sent.get_with(address, Arc::default).fetch_add(1, Ordering::Relaxed) + 1;
            // If there was no room for it, there may be later.
            if sent.is_multiple_of(SENT_MIN) {
                self.make(tasks, address, body);
            }
        }
        copy
    }

    /// Whoever asks meanwhile is sent what is in memory.
    fn make(&self, tasks: &TaskTracker, address: usize, body: &Arc<Body>) {
        if body.len() > self.open.bytes_max / SHARE || self.is_making.swap(true, Ordering::AcqRel) {
            return;
        }
        let (made, open, body) = (self.made.clone(), Arc::clone(&self.open), Arc::clone(body));
        let is_making = Arc::clone(&self.is_making);
        tasks.spawn_blocking(move || {
            if let Some(copy) = FileCopy::of(&body, open) {
                made.insert(address, Arc::new(copy));
            }
            is_making.store(false, Ordering::Release);
        });
    }

    /// Lets go what nobody has been sent for a while. moka does so only when it is used.
    pub(crate) fn tidy(&self) {
        self.sent.run_pending_tasks();
        self.made.run_pending_tasks();
    }

    /// Bytes in files, those among them that are only being sent any more.
    pub(crate) fn bytes(&self) -> u64 {
        self.tidy();
        self.open.bytes.load(Ordering::Relaxed)
    }
}

impl FileCopy {
    /// `None` where there is no room, or no file to be had.
    fn of(body: &Arc<Body>, open: Arc<Open>) -> Option<Self> {
        let (pieces, len) = (body.whole()?, body.len());
        let has_room = open.files.load(Ordering::Relaxed) < FILES_MAX
            && open.bytes.load(Ordering::Relaxed) + len <= open.bytes_max;
        let file = has_room.then(|| sendfile::file_of(pieces))?;
        let file = file.inspect_err(|error| tracing::debug!(%error, "cannot make a sendfile copy")).ok()?;
        open.files.fetch_add(1, Ordering::Relaxed);
        open.bytes.fetch_add(len, Ordering::Relaxed);
        Some(Self { file, len, open, _address: Arc::downgrade(body) })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for FileCopy {
    fn drop(&mut self) {
        self.open.files.fetch_sub(1, Ordering::Relaxed);
        self.open.bytes.fetch_sub(self.len, Ordering::Relaxed);
    }
}

/// A body is copied once it has been sent so often. Most segments are asked for by many players within seconds, or by few.
const SENT_MIN: u32 = 4;
/// A copy that nobody is sent for so long goes.
const IDLE: Duration = Duration::from_secs(30);
/// One copy may take this share of the memory for all.
const SHARE: u64 = 4;
/// Files that may be open.
const FILES_MAX: u64 = 256;
/// Bodies whose sendings are counted.
const COUNTED_MAX: u64 = 4096;

#[cfg(test)]
impl FileCopy {
    /// One of these pieces.
    pub(super) fn made(pieces: &[bytes::Bytes]) -> Self {
        let open = Arc::new(Open { files: AtomicU64::new(1), ..Open::default() });
        Self { file: sendfile::file_of(pieces).unwrap(), len: 0, open, _address: Weak::new() }
    }
}
