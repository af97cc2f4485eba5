//! Playlists by which players leave this node: they name another host, or redirect to one.

use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use serde_json::{Value, json};
use tidegate_cache::Key;

/// The playlists by which players have left lately.
#[derive(Debug)]
pub(crate) struct Leaving(moka::sync::Cache<Key, Arc<Departure>, RandomState>);

/// How players leave, and whereto, without queries.
#[derive(Debug)]
pub(crate) struct Departure {
    pub(crate) by: &'static str,
    pub(crate) to: String,
}

/// A playlist is mentioned once in this time.
const WARNED_FOR: Duration = Duration::from_mins(10);
/// Playlists that are remembered. Each of them is a line of the log.
const WARNED_MAX: u64 = 1000;

impl Leaving {
    pub(super) fn new() -> Self {
        let warned = moka::sync::Cache::builder().max_capacity(WARNED_MAX).time_to_live(WARNED_FOR);
        Self(warned.build_with_hasher(RandomState::new()))
    }

    /// Remembers that a playlist has been mentioned. Returns whether it had not been.
    pub(crate) fn mention(&self, playlist: &Key, departure: Departure) -> bool {
        let is_new = !self.0.contains_key(playlist);
        if is_new {
            self.0.insert(playlist.clone(), Arc::new(departure));
        }
        is_new
    }

    /// At most `max` of them, for the status page.
    pub(crate) fn report(&self, max: usize) -> Vec<Value> {
        let mentioned = self.0.iter().take(max);
        let report = mentioned.map(|(playlist, departure)| {
            let path = playlist.path_and_query().split('?').next().unwrap_or_default();
            json!({ "playlist": path, "by": departure.by, "to": departure.to })
        });
        report.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_playlist_is_mentioned_once() {
        let (leaving, one, two) = (Leaving::new(), Key::new("site", "/1?t=1"), Key::new("site", "/2"));
        let departure = || Departure { by: "uri", to: "https://cdn.example/s.ts".to_owned() };
        let mentioned = [&one, &one, &two, &one].map(|key| leaving.mention(key, departure()));
        assert_eq!(mentioned, [true, false, true, false]);
        assert_eq!(leaving.report(1).len(), 1);
        let report = leaving.report(9);
        assert!(report.contains(&json!({ "playlist": "/1", "by": "uri", "to": "https://cdn.example/s.ts" })));
    }
}
