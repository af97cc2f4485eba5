//! The followers of a tier: one for each followed playlist, within limits.
//!
//! A follower costs upstream requests for as long as its playlist has viewers, whatever they request. So the
//! number of followers is limited in all, for each site, and for each path: names that differ in their query
//! alone are cheap to make up. A playlist beyond a limit is served like any other object, by its lifetime.

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;
use parking_lot::Mutex;
use tidegate_cache::Key;

use super::stream::Stream;
use crate::site::Site;

/// The followed playlists of a tier.
#[derive(Debug)]
pub(super) struct Followers {
    /// The most followers of the tier.
    max: usize,
    followed: Mutex<Followed>,
}

#[derive(Debug, Default)]
struct Followed {
    streams: HashMap<Key, Arc<Stream>, RandomState>,
    by_site: HashMap<String, usize, RandomState>,
    /// By site and path.
    by_path: HashMap<(String, String), usize, RandomState>,
}

/// The limits of one site.
#[derive(Debug, Clone, Copy)]
pub(super) struct SiteLimits {
    pub(super) site_max: usize,
    pub(super) path_max: usize,
}

impl SiteLimits {
    pub(super) fn of(site: &Site) -> Self {
        Self { site_max: site.followers_max, path_max: site.followers_per_path_max }
    }
}

impl Followers {
    pub(super) fn new(max: usize) -> Self {
        Self { max, followed: Mutex::default() }
    }

    /// Makes room for a follower of `stream`. Returns false if a limit is reached, or if the playlist has a
    /// follower: also one that was forgotten and made known again has at most one.
    pub(super) fn add(&self, site: &str, playlist: &Key, stream: &Arc<Stream>, limits: SiteLimits) -> bool {
        let path = path_of(site, playlist);
        let mut followed = self.followed.lock();
        let count = |counts: Option<&usize>| counts.copied().unwrap_or_default();
        let has_room = followed.streams.len() < self.max
            && count(followed.by_site.get(site)) < limits.site_max
            && count(followed.by_path.get(&path)) < limits.path_max
            && !followed.streams.contains_key(playlist);
        if has_room {
            followed.streams.insert(playlist.clone(), Arc::clone(stream));
            *followed.by_site.entry(site.to_owned()).or_default() += 1;
            *followed.by_path.entry(path).or_default() += 1;
        }
        has_room
    }

    /// The follower of this stream has ended, or the stream is forgotten. The playlist may have another
    /// stream since, with a follower of its own.
    pub(super) fn remove(&self, site: &str, playlist: &Key, stream: &Stream) {
        let path = path_of(site, playlist);
        let mut followed = self.followed.lock();
        let is_its_own =
            followed.streams.get(playlist).is_some_and(|own| std::ptr::eq(Arc::as_ptr(own), stream));
        if is_its_own && followed.streams.remove(playlist).is_some() {
            decrement(&mut followed.by_site, site);
            decrement(&mut followed.by_path, &path);
        }
    }

    /// The followed playlists that `selects` selects, with their streams.
    pub(super) fn selected(&self, selects: impl Fn(&Key) -> bool) -> Vec<(Key, Arc<Stream>)> {
        let followed = self.followed.lock();
        let selected = followed.streams.iter().filter(|(key, _)| selects(key));
        selected.map(|(key, stream)| (key.clone(), Arc::clone(stream))).collect()
    }

    /// The stream of a followed playlist.
    pub(super) fn stream_of(&self, playlist: &Key) -> Option<Arc<Stream>> {
        self.followed.lock().streams.get(playlist).map(Arc::clone)
    }
}

fn path_of(site: &str, playlist: &Key) -> (String, String) {
    let target = playlist.path_and_query();
    (site.to_owned(), target.split('?').next().unwrap_or(target).to_owned())
}

fn decrement<K, Q>(counts: &mut HashMap<K, usize, RandomState>, key: &Q)
where
    K: std::borrow::Borrow<Q> + std::hash::Hash + Eq,
    Q: std::hash::Hash + Eq + ?Sized,
{
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const LIMITS: SiteLimits = SiteLimits { site_max: 3, path_max: 2 };

    #[test]
    fn followers_are_limited_in_all_by_site_and_by_path() {
        let (followers, stream) = (Followers::new(4), Arc::new(Stream::new(Instant::now(), false)));
        let add = |site: &str, target: &str| followers.add(site, &Key::new(site, target), &stream, LIMITS);
        assert!(add("a", "/1.m3u8?x=1") && add("a", "/1.m3u8?x=2"));
        assert!(!add("a", "/1.m3u8?x=2"), "it has a follower");
        assert!(!add("a", "/1.m3u8?x=3"), "the path has two");
        assert!(add("a", "/2.m3u8"));
        assert!(!add("a", "/3.m3u8"), "the site has three");
        assert!(add("b", "/1.m3u8"));
        assert!(!add("b", "/2.m3u8"), "the tier has four");
        followers.remove("a", &Key::new("a", "/1.m3u8?x=1"), &stream);
        assert!(followers.stream_of(&Key::new("a", "/1.m3u8?x=1")).is_none());
        assert!(add("a", "/1.m3u8?x=3"));
        for target in ["/1.m3u8?x=2", "/1.m3u8?x=3", "/2.m3u8", "/never.m3u8"] {
            followers.remove("a", &Key::new("a", target), &stream);
        }
        let followed = followers.followed.lock();
        assert_eq!((followed.by_site.len(), followed.by_path.len(), followed.streams.len()), (1, 1, 1));
    }
}
