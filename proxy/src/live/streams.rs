//! The live streams of a tier, found by the keys of their playlists.

use std::sync::Arc;
use std::time::Duration;

use tidegate_cache::Key;
use tidegate_hls::Kind;
use tokio::time::Instant;

use super::announced::Announced;
use super::budget::Budget;
use super::followers::{Followers, SiteLimits};
use super::leaving::Leaving;
use super::renditions::Renditions;
use super::stream::Stream;
use crate::config;
use crate::request::parsed::Request;

/// The live streams of a tier.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(super) known: moka::sync::Cache<Key, Arc<Stream>, ahash::RandomState>,
    pub(super) announced: Announced,
    pub(super) renditions: Renditions,
    pub(super) budget: Budget,
    pub(super) followers: Followers,
    pub(crate) leaving: Leaving,
    /// The zero of the times of all timelines.
    clock_start: Instant,
}

/// The memory of all streams together, in bytes: more than a hundred playlists of 14,400 segments, or some
/// ten thousand short ones. The least recently used streams are forgotten first.
const BYTES_MAX: u64 = 512 << 20;
/// How long an unused playlist is known: as long as another cache might have a version of it, and objects
/// under names that denote others since a restart.
const KNOWN_FOR: Duration = Duration::from_hours(24);

impl Streams {
    pub(crate) fn new(settings: &config::Cache) -> Self {
        let known = moka::sync::Cache::builder()
            .max_capacity(BYTES_MAX)
            .weigher(|_, stream: &Arc<Stream>| stream.weight())
            .time_to_idle(KNOWN_FOR);
        Self {
            known: known.build_with_hasher(ahash::RandomState::new()),
            announced: Announced::new(),
            renditions: Renditions::new(),
            leaving: Leaving::new(),
            budget: Budget::new(settings),
            followers: Followers::new(settings.followers_max),
            clock_start: Instant::now(),
        }
    }

    /// The stream of a playlist, if it is known.
    pub(crate) fn of(&self, playlist: &Key) -> Option<Arc<Stream>> {
        // A followed one may have been evicted.
        self.known.get(playlist).or_else(|| self.followers.stream_of(playlist))
    }

    /// The stream of the requested resource, if that may be a playlist.
    pub(crate) fn of_request(&self, request: &Request) -> Option<Arc<Stream>> {
        may_be_playlist(request.resource.kind).then(|| self.of(&request.key)).flatten()
    }

    /// The stream of a resource of this kind, if that may be a playlist and has not been evicted.
    pub(crate) fn of_kind(&self, kind: Kind, key: &Key) -> Option<Arc<Stream>> {
        may_be_playlist(kind).then(|| self.known.get(key)).flatten()
    }

    /// The playlists of all renditions of the stream to which a playlist belongs, if they are known.
    pub(crate) fn renditions_of(&self, playlist: &Key) -> Option<Arc<[Key]>> {
        self.renditions.of(playlist)
    }

    /// The stream to which an object belongs: as its playlist, or as an object that it has announced.
    pub(crate) fn of_object(&self, object: &Key) -> Option<Arc<Stream>> {
        self.of(object).or_else(|| self.announced.stream_of(object))
    }

    /// The stream of a playlist, which is known from now on.
    pub(crate) fn find_or_create(&self, playlist: &Key, is_backup: bool) -> Arc<Stream> {
        self.known.get_with_by_ref(playlist, || {
            // A followed one that was evicted is known again.
            let followed = self.followers.stream_of(playlist);
            followed.unwrap_or_else(|| Arc::new(Stream::new(self.clock_start, is_backup)))
        })
    }

    /// Reserves the stream for a follower, if it has none and the limits allow another one.
    pub(super) fn start_following(&self, playlist: &Request, stream: &Arc<Stream>) -> bool {
        let (site, key) = (&playlist.site, &playlist.key);
        if !self.followers.add(&site.name, key, stream, SiteLimits::of(site)) {
            return false;
        }
        let is_first = stream.start_following();
        if !is_first {
            self.followers.remove(&site.name, key, stream);
        }
        is_first
    }

    pub(super) fn stop_following(&self, playlist: &Request, stream: &Stream) {
        self.followers.remove(&playlist.site.name, &playlist.key, stream);
        stream.stop_following();
    }

    /// Makes a followed playlist known again, if it was evicted.
    pub(super) fn keep_known(&self, playlist: &Key, stream: &Arc<Stream>) {
        if !self.known.contains_key(playlist) {
            self.remember(playlist, stream);
        }
    }

    /// Weighs a stream again that has grown.
    pub(crate) fn weigh_again(&self, playlist: &Key, stream: &Arc<Stream>) {
        self.remember(playlist, stream);
    }

    /// Remembers a stream, unless it is forgotten.
    fn remember(&self, playlist: &Key, stream: &Arc<Stream>) {
        if stream.purges.is_forgotten() {
            return;
        }
        self.known.insert(playlist.clone(), Arc::clone(stream));
        if stream.purges.is_forgotten() {
            self.remove_known(playlist, stream);
        }
    }

    /// Forgets a stream; the playlist may have another one since.
    pub(super) fn remove_known(&self, playlist: &Key, stream: &Arc<Stream>) {
        if self.known.get(playlist).is_some_and(|known| Arc::ptr_eq(&known, stream)) {
            self.known.invalidate(playlist);
        }
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

    /// Whether players of a playlist need this object: it was announced lately, or a version lists it as a
    /// key.
    pub(crate) fn needs(&self, object: &Key) -> bool {
        self.announced.has(object) || self.announced.is_key(object)
    }

    /// Whether a playlist has announced this object lately: a server that lacks it does not have it yet.
    pub(crate) fn has_announced(&self, object: &Key) -> bool {
        self.announced.has(object)
    }
}

fn may_be_playlist(kind: Kind) -> bool {
    matches!(kind, Kind::Playlist | Kind::Other)
}

/// A stream without a follower sleeps after this time without a request. When a follower ends, its stream
/// sleeps immediately, if it can.
const SLEEP_AFTER: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_followed_playlist_that_was_evicted_is_known_and_has_one_follower() {
        let streams = Streams::new(&config::Cache::default());
        let playlist = Key::new("site", "/index.m3u8");
        let stream = streams.find_or_create(&playlist, false);
        let limits = SiteLimits { site_max: 8, path_max: 8 };
        assert!(streams.followers.add("site", &playlist, &stream, limits));
        streams.known.invalidate(&playlist);
        let is_same = |found: Option<Arc<Stream>>| found.is_some_and(|found| Arc::ptr_eq(&found, &stream));
        assert!(is_same(streams.of(&playlist)));
        assert!(is_same(Some(streams.find_or_create(&playlist, false))));
        assert!(!streams.followers.add("site", &playlist, &stream, limits));
        streams.known.invalidate(&playlist);
        streams.keep_known(&playlist, &stream);
        assert!(is_same(streams.known.get(&playlist)));
    }
}
