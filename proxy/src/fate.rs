//! What became of a viewer's request: one word for the access log, the metrics, `Cache-Status` and `X-Cache`.

use tidegate_headers::cache_status::{Outcome, Reason};

use crate::observe::label::label;

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
        /// No source could answer, or none in time.
        Failed = "failed",
        /// Turned away by this node: bad request, unknown host, method, limit, loop.
        Refused = "refused",
        /// An OPTIONS request, answered by this node.
        Options = "options",
        /// The viewer left, or was cut off at the end of a drain, before there was anything to answer.
        Gone = "gone",
    }
}

impl Fate {
    /// How the request went as `Cache-Status` tells it. `reason` is why it went forward, if it did; `status` is what
    /// the next hop answered, where that is known.
    pub fn outcome(self, reason: Option<Reason>, status: Option<u16>, stored: bool) -> Outcome {
        match (self, reason) {
            // An object in grace, or one that stands in for a failure that is remembered, is a hit whose ttl is
            // negative (RFC 9211 2.1 and 2.4).
            (Self::Hit | Self::Stale, _) | (Self::StaleIfError, None) => Outcome::Hit,
            (Self::Refused | Self::Options, _) | (_, None) => Outcome::Own,
            (_, Some(reason)) => Outcome::Forward {
                reason,
                status,
                // What stands in was stored before; what came now is not.
                stored: stored && self != Self::StaleIfError,
                collapsed: self == Self::Join,
            },
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
            Self::Refused | Self::Options => "NONE",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::label::Label;

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
        let outcome = Fate::Join.outcome(Some(Reason::UriMiss), Some(200), true);
        let expected =
            Outcome::Forward { reason: Reason::UriMiss, status: Some(200), stored: true, collapsed: true };
        assert_eq!(outcome, expected);
    }

    #[test]
    fn only_answers_from_what_is_held_are_hits() {
        let hits = |reason| -> Vec<_> {
            Fate::ALL.iter().filter(|fate| fate.outcome(reason, None, false) == Outcome::Hit).collect()
        };
        assert_eq!(hits(Some(Reason::Miss)), [&Fate::Hit, &Fate::Stale]);
        assert_eq!(hits(None), [&Fate::Hit, &Fate::Stale, &Fate::StaleIfError]);
    }
}
