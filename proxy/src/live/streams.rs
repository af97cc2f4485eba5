//! The live streams of a tier, found by the keys of their playlists.

use std::sync::Arc;
use std::time::Duration;

use tidegate_cache::Key;
use tidegate_hls::Kind;
use tokio::time::Instant;

use super::announced::Announced;
use super::budget::Budget;
use super::leaving::Leaving;
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
    pub(crate) leaving: Leaving,
    /// The zero of the times of all timelines.
    clock_start: Instant,
}

/// Segments that are remembered, of all streams together; the least recently used streams are forgotten
/// first.
const SEGMENTS_MAX: u64 = 500_000;
/// How long an unused playlist is known: as long as another cache might have a version of it, and objects
/// under names that denote others since a restart.
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
            leaving: Leaving::new(),
            budget: Budget::new(settings.prefetch_max, settings.prefetch_bytes_max.bytes()),
            clock_start: Instant::now(),
        }
    }

    /// The stream of a playlist, if it is known.
    pub(crate) fn of(&self, playlist: &Key) -> Option<Arc<Stream>> {
        self.known.get(playlist)
    }

    /// The stream of the requested resource, if that may be a playlist.
    pub(crate) fn of_request(&self, request: &Request) -> Option<Arc<Stream>> {
        self.of_kind(request.resource.kind, &request.key)
    }

    /// The stream of a resource of this kind, if that may be a playlist.
    pub(crate) fn of_kind(&self, kind: Kind, key: &Key) -> Option<Arc<Stream>> {
        matches!(kind, Kind::Playlist | Kind::Other).then(|| self.of(key)).flatten()
    }

    /// The stream to which an object belongs: as its playlist, or as an object that it has announced.
    pub(crate) fn of_object(&self, object: &Key) -> Option<Arc<Stream>> {
        self.of(object).or_else(|| self.announced.stream_of(object))
    }

    /// The stream of a playlist, which is known from now on.
    pub(crate) fn find_or_create(&self, playlist: &Key, is_backup: bool) -> Arc<Stream> {
        self.known.get_with_by_ref(playlist, || Arc::new(Stream::new(self.clock_start, is_backup)))
    }

    /// Weighs a stream again that has grown.
    pub(crate) fn weigh_again(&self, playlist: &Key, stream: &Arc<Stream>) {
        self.known.insert(playlist.clone(), Arc::clone(stream));
    }

    /// The numbers of known and of sleeping playlists.
    pub(crate) fn count(&self) -> (usize, usize) {
        let streams = self.known.iter().map(|(_, stream)| stream.is_asleep());
        streams.fold((0, 0), |(known, asleep), is_asleep| (known + 1, asleep + usize::from(is_asleep)))
    }

    /// Puts idle streams to sleep, and forgets old announcements.
    pub(crate) fn tidy(&self) {
        for (_, stream) in &self.known {
            stream.sleep_if_idle_for(SLEEP_AFTER);
        }
        self.announced.tidy();
    }

    /// Whether a playlist lists slices of this resource.
    pub(crate) fn lists_slices_of(&self, resource: &Key) -> bool {
        self.announced.is_sliced(resource)
    }

    /// Whether a playlist has announced this object lately: a server that lacks it does not have it yet.
    pub(crate) fn has_announced(&self, object: &Key) -> bool {
        self.announced.has(object)
    }
}

/// A stream without a follower sleeps after this time without a request. When a follower ends, its stream
/// sleeps immediately, if it can.
const SLEEP_AFTER: Duration = Duration::from_mins(1);
