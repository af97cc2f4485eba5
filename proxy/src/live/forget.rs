//! Live playlists that a purge selects are forgotten.
//!
//! After a purge the next request fetches the playlist like one that was never requested. Without that, a
//! corrected playlist could count as one that goes back, and a follower could bring a version that it
//! requested before the purge.

use std::sync::Arc;

use tidegate_cache::Key;

use super::stream::Stream;
use super::streams::Streams;

impl Streams {
    /// The playlists that `selects` selects.
    pub(crate) fn selected(&self, selects: impl Fn(&Key) -> bool) -> Vec<(Key, Arc<Stream>)> {
        let mut selected = self.followers.selected(&selects);
        selected.extend(
            self.known.iter().filter(|(key, _)| selects(key)).map(|(key, stream)| ((*key).clone(), stream)),
        );
        selected
    }

    /// Forgets these streams. Their followers go on until the purge is announced to them: before that, the
    /// cache must have purged their fills, which viewers may have joined.
    pub(crate) fn forget(&self, streams: &[(Key, Arc<Stream>)]) {
        for (playlist, stream) in streams {
            stream.purges.mark_forgotten();
            self.followers.remove(playlist.site(), playlist, stream);
            self.remove_known(playlist, stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn a_forgotten_stream_is_unknown_and_is_not_made_known_again() {
        let streams = Streams::new(&config::Cache::default());
        let (playlist, other) = (Key::new("a", "/1.m3u8"), Key::new("b", "/1.m3u8"));
        let (stream, kept) =
            (streams.find_or_create(&playlist, false), streams.find_or_create(&other, false));
        let mut purges = stream.purges.subscribe();
        let selected = streams.selected(|key| key.site() == "a");
        assert_eq!(selected.len(), 1);
        streams.forget(&selected);
        streams.weigh_again(&playlist, &stream);
        streams.keep_known(&playlist, &stream);
        assert!(streams.of(&playlist).is_none());
        assert!(Arc::ptr_eq(&streams.of(&other).unwrap(), &kept));
        assert!(!purges.has_changed().unwrap());
        stream.purges.announce();
        assert!(purges.has_changed().unwrap());
        purges.mark_unchanged();
        let next = streams.find_or_create(&playlist, false);
        assert!(!Arc::ptr_eq(&next, &stream));
        streams.forget(&selected);
        assert!(Arc::ptr_eq(&streams.of(&playlist).unwrap(), &next), "it is another stream");
    }
}
