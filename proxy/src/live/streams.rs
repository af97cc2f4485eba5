//! The live streams of a tier, found by the keys of their playlists.

use std::sync::Arc;
use std::time::Duration;

use tidegate_cache::Key;
use tidegate_hls::Kind;
use tokio::time::Instant;

use super::announced::Announced;
use super::budget::Budget;
use super::renditions::Renditions;
use super::stream::Stream;
use crate::config;
use crate::request::parsed::Request;

/// The live streams of a tier.
#[derive(Debug)]
pub(crate) struct Streams {
    known: moka::sync::Cache<Key, Arc<Stream>, ahash::RandomState>,
    pub(super) announced: Announced,
    pub(super) renditions: Renditions,
    pub(super) budget: Budget,
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

    /// What is known of the playlist that a request asks for, if it may be one.
    pub(crate) fn of_request(&self, request: &Request) -> Option<Arc<Stream>> {
        self.of_kind(request.resource.kind, &request.key)
    }

    /// What is known of a resource of this kind, if that may be a playlist.
    pub(crate) fn of_kind(&self, kind: Kind, key: &Key) -> Option<Arc<Stream>> {
        matches!(kind, Kind::Playlist | Kind::Other).then(|| self.of(key)).flatten()
    }

    /// The stream that an object belongs to: as its playlist, or as something that it has announced.
    pub(crate) fn of_object(&self, object: &Key) -> Option<Arc<Stream>> {
        self.of(object).or_else(|| self.announced.by(object))
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
