//! What a tier knows of the live streams that it serves, and how it comes by the next version in time.
//!
//! Every media playlist that comes in is held against what is known of it (`stream.rs`): one that goes back is not
//! given out, one that stands still is asked for elsewhere. As long as somebody watches, a follower brings one version
//! after the other (`follow.rs`): between tiers by a request that is held until there is something new (blocking
//! reload, section 6.2.5.2), and from an origin that cannot hold requests by polling it when the next version is
//! due. What a version announces is fetched before anybody asks for it (`prefetch.rs`). An encoder that begins anew is
//! told on in the numbers that viewers know (`runs.rs`). A stream that nobody watches any more is known for a day, in
//! little memory (`memory.rs`).
//!
//! So a viewer who asks for a playlist gets the newest version there is, one who asks for what comes next waits for
//! it here, and the origin sees one request for each version.

mod announced;
mod budget;
mod detour;
mod epochs;
mod follow;
mod memory;
mod prefetch;
mod renditions;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use tidegate_cache::Key;
use tidegate_hls::{Directives, Reload, ReloadError};
use tidegate_upstream::Upstream;
use tokio::time::Instant;

use crate::config;
use crate::request::Request;
use crate::tier::Tier;

pub(crate) use epochs::{Version, version};
pub(crate) use follow::follow;
pub(crate) use prefetch::{
    prefetch_announced, purge_listed, remember_listed, remember_slices, share_reports,
};
pub(crate) use renditions::remember_renditions;
pub(crate) use stream::{Arrival, Attending, Stream};

use announced::Announced;
use budget::Budget;
use renditions::Renditions;

/// The live streams of a tier.
#[derive(Debug)]
pub(crate) struct Streams {
    known: moka::sync::Cache<Key, Arc<Stream>, ahash::RandomState>,
    announced: Announced,
    renditions: Renditions,
    budget: Budget,
    /// The moment from which the times of all timelines count.
    began: Instant,
}

/// So many segments are remembered, all streams together; the streams that nobody asked for longest are forgotten
/// first.
const SEGMENTS_MAX: u64 = 500_000;
/// For how long a playlist is known that nobody asks for: as long as anybody might still hold a version of it, and
/// what it listed under names that stand for other objects since the stream began anew.
const KNOWN_FOR: Duration = Duration::from_hours(24);

impl Streams {
    pub(crate) fn new(settings: &config::Cache) -> Self {
        let known = moka::sync::Cache::builder()
            .max_capacity(SEGMENTS_MAX)
            .weigher(|_, stream: &Arc<Stream>| stream.weight())
            .time_to_idle(KNOWN_FOR);
        Self {
            known: known.build_with_hasher(ahash::RandomState::new()),
            announced: Announced::new(),
            renditions: Renditions::new(),
            budget: Budget::new(settings.prefetch_max, settings.prefetch_bytes_max.bytes()),
            began: Instant::now(),
        }
    }

    /// What is known of a playlist.
    pub(crate) fn of(&self, playlist: &Key) -> Option<Arc<Stream>> {
        self.known.get(playlist)
    }

    /// The same; from now on something is known of it.
    pub(crate) fn begin(&self, playlist: &Key, is_backup: bool) -> Arc<Stream> {
        self.known.get_with_by_ref(playlist, || Arc::new(Stream::new(self.began, is_backup)))
    }

    /// Weighs a stream again that was weighed before anything was known of it.
    pub(crate) fn weigh_again(&self, playlist: &Key, stream: &Arc<Stream>) {
        self.known.insert(playlist.clone(), Arc::clone(stream));
    }

    /// How many playlists are known, and how many of them sleep.
    pub(crate) fn count(&self) -> (usize, usize) {
        let streams = self.known.iter().map(|(_, stream)| stream.is_asleep());
        streams.fold((0, 0), |(known, asleep), is_asleep| (known + 1, asleep + usize::from(is_asleep)))
    }

    /// Lets those sleep that nobody follows and nobody has asked for lately, and forgets what was announced long ago.
    pub(crate) fn tidy(&self) {
        for (_, stream) in &self.known {
            stream.sleep(UNASKED_FOR);
        }
        self.announced.tidy();
    }

    /// Whether a playlist lists this resource in pieces.
    pub(crate) fn lists_pieces_of(&self, resource: &Key) -> bool {
        self.announced.has_in_pieces(resource)
    }

    /// Whether a playlist has announced this object lately: a server that does not have it does not have it yet.
    pub(crate) fn has_announced(&self, object: &Key) -> bool {
        self.announced.has(object)
    }
}

/// A stream that nobody follows sleeps when nobody has asked for it for so long. One whose follower ends sleeps at once,
/// if it can.
const UNASKED_FOR: Duration = Duration::from_mins(1);

/// The candidates for a request, with the one behind the others that its stream goes round.
pub(crate) fn detoured(
    tier: &Tier,
    request: &Request,
    mut candidates: Vec<Arc<Upstream>>,
) -> Vec<Arc<Upstream>> {
    let streams = tier.streams();
    if candidates.len() > 1
        && let Some(stream) = streams.of(&request.key).or_else(|| streams.announced.by(&request.key))
    {
        stream.leads(&mut candidates);
    }
    candidates
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
/// `may_refuse`: only a tier that faces players and is up to date judges what is too far ahead. Else, whoever asks may
/// know a newer version from elsewhere, or one from before the stream began anew: it is told at once how far this tier is.
pub(crate) async fn hold(stream: &Stream, directives: &Directives, may_refuse: bool) -> Held {
    let mut newest = stream.newest();
    let began = Instant::now();
    let mut record_wait = false;
    loop {
        let max = match &*newest.borrow_and_update() {
            None => FIRST_WITHIN,
            Some(media) => match media.reload(directives) {
                Reload::Hold { max } => max,
                // Who waits when a stream begins anew did nothing wrong.
                Reload::Refused(error) if may_refuse && !record_wait => return Held::Refused(error),
                Reload::Ready | Reload::Ignored | Reload::Refused(_) => return Held::Over,
            },
        };
        match tokio::time::timeout_at(began + max, newest.changed()).await {
            Ok(Ok(())) => record_wait = true,
            Ok(Err(_forgotten)) => return Held::Over,
            Err(_) if newest.borrow().is_none() => return Held::Over,
            Err(_) => return Held::TooLong,
        }
    }
}

/// How long a first version may take from being complete to being known.
const FIRST_WITHIN: Duration = Duration::from_secs(1);
