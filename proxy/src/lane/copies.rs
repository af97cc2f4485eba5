//! Copies of large bodies that are asked for often, in files that the system sends by itself.
//!
//! A body that lies in memory is copied into each socket; what lies in a file goes out as it is (`sendfile.rs`). For a
//! large body that is most of what a hit costs. TLS, HTTP/2 and everybody who reads a body want it in memory, so that a file
//! is a second copy: it is made of a body that has been sent some times of late over plain HTTP/1.1, and is kept while
//! that goes on.

use std::fs::File;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use ahash::RandomState;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tidegate_cache::Body;

use crate::sendfile;

/// The copies of a tier.
#[derive(Debug)]
pub(crate) struct Copies {
    /// By the address of the body; `None` where there are none. An entry keeps the address from being used for another
    /// body, though not the body.
    known: Option<Cache<usize, Arc<Copy>, RandomState>>,
    len_max: u64,
}

/// A body that has been sent, and its copy once there is one.
#[derive(Debug)]
pub(super) struct Copy {
    _place: Weak<Body>,
    len: u64,
    sent: AtomicU32,
    file: OnceLock<File>,
}

impl Copies {
    /// With so many bytes of memory for them.
    pub(crate) fn new(bytes_max: u64) -> Self {
        let least = bytes_max / COPIES_MAX;
        let weigh = move |_: &usize, copy: &Arc<Copy>| u32::try_from(copy.len.max(least)).unwrap_or(u32::MAX);
        let known = (bytes_max > 0).then(|| {
            Cache::builder()
                .max_capacity(bytes_max)
                .weigher(weigh)
                .eviction_policy(EvictionPolicy::lru())
                .time_to_idle(IDLE)
                .build_with_hasher(RandomState::new())
        });
        Self { known, len_max: bytes_max / SHARE }
    }

    /// The copy of a complete body of which so many bytes are to be sent, if there is one. That it is asked for counts.
    pub(super) fn of(&self, body: &Arc<Body>, bytes: u64) -> Option<Arc<Copy>> {
        let known = self.known.as_ref().filter(|_| bytes >= LEN_MIN)?;
        let len = body.full_len().filter(|len| *len <= self.len_max)?;
        let place = Arc::as_ptr(body).addr();
        let Some(copy) = known.get(&place) else {
            known.insert(place, Arc::new(Copy::none(body, len)));
            return None;
        };
        if copy.file.get().is_some() {
            return Some(copy);
        }
        if copy.sent.fetch_add(1, Ordering::Relaxed) == SENT_MIN
            && let Some(pieces) = body.whole()
        {
            let pieces = Arc::clone(pieces);
            // Whoever asks meanwhile is sent what is in memory, and so is everybody where no file is to be had.
            tokio::task::spawn_blocking(move || {
                if let Ok(file) = sendfile::file_of(&pieces) {
                    let _first = copy.file.set(file);
                }
            });
        }
        None
    }

    /// Bytes that may be in copies now.
    pub(crate) fn bytes(&self) -> u64 {
        self.known.as_ref().map_or(0, |known| {
            // moka books what has come and gone from time to time.
            known.run_pending_tasks();
            known.weighted_size()
        })
    }
}

impl Copy {
    fn none(body: &Arc<Body>, len: u64) -> Self {
        Self { _place: Arc::downgrade(body), len, sent: AtomicU32::new(1), file: OnceLock::new() }
    }

    /// The file, which has all bytes of the body.
    pub(super) fn file(&self) -> Option<&File> {
        self.file.get()
    }
}

/// A body is copied once it has been sent so often. Most segments are asked for by many players within seconds, or by few.
const SENT_MIN: u32 = 4;
/// A copy that nobody is sent for so long goes.
const IDLE: Duration = Duration::from_secs(30);
/// Less is sent as fast from memory: a file takes one call more.
const LEN_MIN: u64 = 64 * 1024;
/// One copy may take this share of the memory for all.
const SHARE: u64 = 4;
/// There are at most so many: each is an open file.
const COPIES_MAX: u64 = 256;

#[cfg(test)]
impl Copy {
    /// One of these pieces.
    pub(super) fn made(pieces: &[bytes::Bytes]) -> Self {
        let file = OnceLock::from(sendfile::file_of(pieces).unwrap());
        Self { _place: Weak::new(), len: 0, sent: AtomicU32::new(0), file }
    }
}
