//! What became of a viewer's request: one word for the access log, the metrics, `Cache-Status` and `X-Cache`.

use crate::cache_status::{Outcome, Reason};
use crate::label::label;

label! {
    /// What became of one request. Decided once, in `request.rs`; everything that reports reads it from here.
    Fate {
        /// Answered from a fresh object.
        Hit = "hit",
        /// Answered from an object in grace (RFC 5861 stale-while-revalidate) while a fill renews it.
        Stale = "stale",
        /// Attached to a fill that another request had started.
        Join = "join",
        /// Started a fill and was answered from it.
        Miss = "miss",
        /// The held object was revalidated by a 304 and is answered again.
        Renewed = "renewed",
        /// Passed upstream for this viewer alone.
        Pass = "pass",
        /// Passed upstream because the key is known to answer privately.
        HitForMiss = "hit-for-miss",
        /// Answered from a stale object because the fill failed (RFC 5861 stale-if-error).
        StaleIfError = "stale-if-error",
        /// No source could answer.
        Failed = "failed",
        /// Turned away by this node: bad request, unknown host, method, limit, loop.
        Refused = "refused",
        /// An OPTIONS request, answered by this node.
        Options = "options",
        /// A purge, carried out by this node.
        Purged = "purged",
        /// The viewer left before there was anything to answer.
        Gone = "gone",
    }
}

impl Fate {
    /// How the request went as `Cache-Status` tells it. `reason` is why a fill or pass was needed, for the
    /// fates that leave that open; `status` is what the next hop answered, where it is known.
    pub fn outcome(self, reason: Reason, status: Option<u16>, stored: bool) -> Outcome {
        let forward = |reason, collapsed| Outcome::Forward { reason, status, stored, collapsed };
        match self {
            // An object in grace is a hit whose ttl is negative (RFC 9211 2.1 and 2.4).
            Self::Hit | Self::Stale => Outcome::Hit,
            Self::Join => forward(reason, true),
            Self::Miss | Self::Failed | Self::Gone => forward(reason, false),
            Self::Renewed | Self::StaleIfError => forward(Reason::Stale, false),
            Self::Pass if reason == Reason::Method => forward(Reason::Method, false),
            Self::Pass | Self::HitForMiss => forward(Reason::Bypass, false),
            Self::Refused | Self::Options | Self::Purged => Outcome::Own,
        }
    }

    /// The word this tier adds to `X-Cache`.
    pub const fn x_cache(self) -> &'static str {
        match self {
            Self::Hit => "HIT",
            Self::Stale | Self::StaleIfError => "STALE",
            Self::Join | Self::Miss | Self::Gone => "MISS",
            Self::Renewed => "REVALIDATED",
            Self::Pass | Self::HitForMiss => "PASS",
            Self::Failed => "ERROR",
            Self::Refused | Self::Options | Self::Purged => "NONE",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::Label;

    #[test]
    fn every_fate_has_its_own_word_and_its_own_index() {
        let mut words: Vec<_> = Fate::ALL.iter().map(|fate| fate.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Fate::ALL.len());
        for (index, fate) in Fate::ALL.iter().enumerate() {
            assert_eq!(fate.index(), index);
        }
    }

    #[test]
    fn a_join_is_a_collapsed_forward() {
        let outcome = Fate::Join.outcome(Reason::UriMiss, Some(200), true);
        let expected =
            Outcome::Forward { reason: Reason::UriMiss, status: Some(200), stored: true, collapsed: true };
        assert_eq!(outcome, expected);
    }

    #[test]
    fn only_answers_from_what_is_held_are_hits() {
        let hits: Vec<_> =
            Fate::ALL.iter().filter(|fate| fate.outcome(Reason::Miss, None, false) == Outcome::Hit).collect();
        assert_eq!(hits, [&Fate::Hit, &Fate::Stale]);
    }
}
