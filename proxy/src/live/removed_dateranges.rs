//! The date ranges that were removed from a playlist lately, for delta updates (HLS section 4.4.5.2).

use std::sync::Arc;
use std::time::Duration;

use tidegate_hls::daterange_ids;
use tokio::time::Instant;

/// The removed date ranges of one playlist.
#[derive(Debug, Default)]
pub(super) struct RemovedDateranges(Vec<(Arc<str>, Instant)>);

/// Most of them that are remembered.
const REMOVED_MAX: usize = 256;

impl RemovedDateranges {
    /// Records what the version `new` no longer has of `old`. It is remembered for `known_for`: no client
    /// requests a delta update to an older version.
    pub(super) fn record(&mut self, old: &[u8], new: &[u8], known_for: Duration, now: Instant) {
        let kept: Vec<_> = daterange_ids(new).collect();
        self.0.retain(|(id, at)| now.duration_since(*at) <= known_for && !kept.contains(&&**id));
        let removed = daterange_ids(old).filter(|id| !kept.contains(id)).map(|id| (Arc::from(id), now));
        self.0.extend(removed);
        let surplus = self.0.len().saturating_sub(REMOVED_MAX);
        self.0.drain(..surplus);
    }

    pub(super) fn ids(&self) -> Vec<Arc<str>> {
        self.0.iter().map(|(id, _)| Arc::clone(id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_date_ranges_are_remembered_for_a_while() {
        let version = |ids: &[&str]| {
            ids.iter()
                .map(|id| format!("#EXT-X-DATERANGE:ID=\"{id}\",DURATION=1\n"))
                .collect::<Vec<_>>()
                .concat()
        };
        let (mut removed, now) = (RemovedDateranges::default(), Instant::now());
        let mut record = |old: &[&str], new: &[&str], seconds| {
            let now = now + Duration::from_secs(seconds);
            removed.record(version(old).as_bytes(), version(new).as_bytes(), Duration::from_secs(6), now);
            removed.ids().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(record(&[], &["a", "b"], 0).is_empty());
        assert_eq!(record(&["a", "b"], &["b"], 1), ["a"]);
        assert_eq!(record(&["b"], &[], 5), ["a", "b"]);
        assert_eq!(record(&[], &["a"], 6), ["b"], "it is listed again");
        assert!(record(&["a"], &["a"], 12).is_empty());
    }
}
