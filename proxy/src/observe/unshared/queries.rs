//! Finds playlists that each viewer requests with another query.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

/// The queries of recent playlists, by path.
#[derive(Debug, Default)]
pub(super) struct Queries(HashMap<String, Seen>);

/// The different queries of one path since a time.
#[derive(Debug)]
struct Seen {
    since: Instant,
    /// At most [`QUERIES`] of them.
    queries: Vec<String>,
}

impl Queries {
    /// Records a playlist. If its path had many queries of late and this is another one, returns the names of
    /// the parameters that differ, each in quotes, with commas between.
    pub(super) fn record(&mut self, path: &str, query: &str, now: Instant) -> Option<String> {
        if !self.0.contains_key(path) && self.0.len() >= PATHS_MAX {
            self.0.retain(|_, seen| now.duration_since(seen.since) < WINDOW);
            if self.0.len() >= PATHS_MAX {
                return None;
            }
        }
        let seen = self.0.entry(path.to_owned()).or_insert_with(|| Seen { since: now, queries: Vec::new() });
        if now.duration_since(seen.since) >= WINDOW {
            *seen = Seen { since: now, queries: Vec::new() };
        }
        if seen.queries.iter().any(|other| other == query) {
            return None;
        }
        if seen.queries.len() < QUERIES {
            seen.queries.push(query.to_owned());
            return None;
        }
        let first = seen.queries.first()?;
        let names: BTreeSet<&str> = differing(first, query).chain(differing(query, first)).collect();
        Some(names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", "))
    }
}

/// The names of the parameters of `query` that `other` does not have with the same value.
fn differing<'a>(query: &'a str, other: &'a str) -> impl Iterator<Item = &'a str> {
    let is_shared = |parameter: &&str| other.split('&').any(|theirs| theirs == *parameter);
    let own = query.split('&').filter(move |parameter| !is_shared(parameter));
    own.filter_map(|parameter| parameter.split('=').next())
}

/// The different queries of one path within [`WINDOW`] that may select content. More are no coincidence.
const QUERIES: usize = 8;
const WINDOW: Duration = Duration::from_mins(1);
/// The most paths of which queries are remembered.
const PATHS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_queries_of_one_path_are_found_with_the_names_that_differ() {
        let (mut queries, now) = (Queries::default(), Instant::now());
        for viewer in 0..QUERIES {
            assert_eq!(queries.record("/a.m3u8", &format!("q=1&token={viewer}"), now), None);
        }
        assert_eq!(queries.record("/a.m3u8", "q=1&token=3", now), None, "one of the first again");
        let found = queries.record("/a.m3u8", "q=1&session=x&token=new", now);
        assert_eq!(found.as_deref(), Some("\"session\", \"token\""));
        assert_eq!(queries.record("/b.m3u8", "q=1&token=new", now), None, "another path");
        let later = now + WINDOW;
        assert_eq!(queries.record("/a.m3u8", "q=1&token=late", later), None, "another minute");
    }

    #[tokio::test(start_paused = true)]
    async fn the_paths_are_bounded() {
        let (mut queries, now) = (Queries::default(), Instant::now());
        for path in 0..PATHS_MAX * 2 {
            queries.record(&format!("/{path}.m3u8"), "a=1", now);
        }
        assert_eq!(queries.0.len(), PATHS_MAX);
        queries.record("/late.m3u8", "a=1", now + WINDOW);
        assert_eq!(queries.0.len(), 1);
    }
}
