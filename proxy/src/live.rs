//! What a tier knows of the live streams that it serves, and how it comes by the next version in time.
//!
//! Every media playlist that comes in is held against what is known of it (`stream.rs`): one that goes back is not
//! given out, one that stands still is asked for elsewhere. As long as somebody watches, a follower brings one version
//! after the other (`follow.rs`): between tiers by a request that is held until there is something new (blocking
//! reload, section 6.2.5.2), and from an origin that cannot hold requests by polling it when the next version is
//! due. What a version announces is fetched before anybody asks for it (`prefetch.rs`).
//!
//! So a viewer who asks for a playlist gets the newest version there is, one who asks for what comes next waits for
//! it here, and the origin sees one request for each version.

mod announced;
mod follow;
mod prefetch;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use tidegate_cache::Key;
use tidegate_hls::{Directives, Reload, ReloadError};
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub(crate) use follow::follow;
pub(crate) use prefetch::{announced, fence_off, listed, outgrown};
pub(crate) use stream::{Arrival, Stream};

use announced::Announced;

/// The live streams of a tier.
#[derive(Debug)]
pub(crate) struct Streams {
    known: moka::sync::Cache<Key, Arc<Stream>, ahash::RandomState>,
    announced: Announced,
    prefetching: Arc<Semaphore>,
    /// The moment from which the times of all timelines count.
    began: Instant,
}

/// So many segments are remembered, all streams together; the streams that nobody asked for longest are forgotten
/// first.
const SEGMENTS_MAX: u64 = 500_000;
/// For how long a playlist is known that nobody asks for: as long as anybody might still hold a version of it.
const KNOWN_FOR: Duration = Duration::from_mins(10);
/// So many objects are fetched ahead at once, all streams together.
const PREFETCHES_MAX: usize = 32;

impl Streams {
    pub(crate) fn new() -> Self {
        let known = moka::sync::Cache::builder()
            .max_capacity(SEGMENTS_MAX)
            .weigher(|_, stream: &Arc<Stream>| stream.weight())
            .time_to_idle(KNOWN_FOR);
        Self {
            known: known.build_with_hasher(ahash::RandomState::new()),
            announced: Announced::new(),
            prefetching: Arc::new(Semaphore::new(PREFETCHES_MAX)),
            began: Instant::now(),
        }
    }

    /// What is known of a playlist.
    pub(crate) fn of(&self, playlist: &Key) -> Option<Arc<Stream>> {
        self.known.get(playlist)
    }

    /// The same; from now on something is known of it.
    pub(crate) fn begin(&self, playlist: &Key) -> Arc<Stream> {
        self.known.get_with_by_ref(playlist, || Arc::new(Stream::new(self.began)))
    }

    /// Weighs a stream again that was weighed before anything was known of it.
    pub(crate) fn weigh_again(&self, playlist: &Key, stream: &Arc<Stream>) {
        self.known.insert(playlist.clone(), Arc::clone(stream));
    }

    /// Whether a playlist has announced this object lately: a server that does not have it does not have it yet.
    pub(crate) fn has_announced(&self, object: &Key) -> bool {
        self.announced.has(object)
    }
}

/// What becomes of a request with delivery directives.
pub(crate) enum Held {
    /// It may be answered from what is held.
    Over,
    /// It is a bad request.
    Refused(ReloadError),
    /// It has waited for three target durations (section 6.2.5.2).
    TooLong,
}

/// Holds a request until its directives are satisfied. Cancelling the wait forgets it.
///
/// `is_edge`: only a tier that faces players judges what is too far ahead. Behind it, whoever asks may know a newer
/// version from elsewhere, or one from before the stream began anew: it is told at once how far this tier is.
pub(crate) async fn hold(stream: &Stream, directives: &Directives, is_edge: bool) -> Held {
    let mut newest = stream.newest();
    let began = Instant::now();
    let mut has_waited = false;
    loop {
        let max = match &*newest.borrow_and_update() {
            None => FIRST_WITHIN,
            Some(media) => match media.reload(directives) {
                Reload::Hold { max } => max,
                // Who waits when a stream begins anew did nothing wrong.
                Reload::Refused(error) if is_edge && !has_waited => return Held::Refused(error),
                Reload::Ready | Reload::Ignored | Reload::Refused(_) => return Held::Over,
            },
        };
        match tokio::time::timeout_at(began + max, newest.changed()).await {
            Ok(Ok(())) => has_waited = true,
            Ok(Err(_forgotten)) => return Held::Over,
            Err(_) if newest.borrow().is_none() => return Held::Over,
            Err(_) => return Held::TooLong,
        }
    }
}

/// How long a first version may take from being complete to being known.
const FIRST_WITHIN: Duration = Duration::from_secs(1);
