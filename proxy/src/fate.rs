//! How a request from a viewer was handled: one word for the access log, the metrics, `Cache-Status` and
//! `X-Cache`.

use tidegate_headers::cache_status::{Outcome, Reason};

use crate::observe::label::label;

label! {
    /// How one request was handled, decided once: by `request.rs`, by `request/try_hit.rs` for a simple hit,
    /// by `refusal.rs` for a refusal. Logs, metrics and header fields all report it.
    Fate {
        /// Served from a fresh cached object.
        Hit = "hit",
        /// Served from a stale object while a fill revalidates it (RFC 5861 stale-while-revalidate).
        Stale = "stale",
        /// Joined a fill that another request had started.
        Join = "join",
        /// Started a fill and was served from it.
        Miss = "miss",
        /// A 304 revalidated the cached object, which was served.
        Revalidated = "revalidated",
        /// Forwarded upstream for this viewer alone, without storing the response.
        Pass = "pass",
        /// Forwarded because a response for the key could not be shared or stored a moment ago, or because
        /// the key has too many variants.
        HitForPass = "hit-for-pass",
        /// Served from a stale object because the fill failed (RFC 5861 stale-if-error).
        StaleIfError = "stale-if-error",
        /// No upstream had a usable response, or none in time.
        Failed = "failed",
        /// Refused by this node: bad request, unknown host, method, limit, loop.
        Refused = "refused",
        /// An OPTIONS request, handled by this node.
        Options = "options",
        /// A PURGE request, handled by this node.
        Purge = "purge",
        /// A challenge of an ACME authority, answered by this node.
        Challenge = "challenge",
        /// Reports of a player, received by this node.
        Report = "report",
        /// The viewer closed the connection, or the drain timeout did, before a response was chosen.
        ClientClosed = "client-closed",
    }
}

impl Fate {
    /// The outcome for `Cache-Status`. `reason` is why the request was forwarded, if it was; `status` is the
    /// status of the next hop, where it is known.
    pub fn outcome(self, reason: Option<Reason>, status: Option<u16>, stored: bool) -> Outcome {
        match (self, reason) {
            // A stale object, also one served in place of a remembered failure, is a hit with a negative ttl
            // (RFC 9211 sections 2.1 and 2.4).
            (Self::Hit | Self::Stale, _) | (Self::StaleIfError, None) => Outcome::Hit,
            (Self::Refused | Self::Options | Self::Purge | Self::Challenge | Self::Report, _) | (_, None) => {
                Outcome::Own
            }
            (_, Some(reason)) => Outcome::Forward {
                reason,
                status,
                // The stale object was stored before; the response that failed was not.
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
            Self::Join | Self::Miss | Self::ClientClosed => "MISS",
            Self::Revalidated => "REVALIDATED",
            Self::Pass | Self::HitForPass => "PASS",
            Self::Failed => "ERROR",
            Self::Refused | Self::Options | Self::Purge | Self::Challenge | Self::Report => "NONE",
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
    fn only_responses_from_the_cache_are_hits() {
        let hits = |reason| -> Vec<_> {
            Fate::ALL.iter().filter(|fate| fate.outcome(reason, None, false) == Outcome::Hit).collect()
        };
        assert_eq!(hits(Some(Reason::Miss)), [&Fate::Hit, &Fate::Stale]);
        assert_eq!(hits(None), [&Fate::Hit, &Fate::Stale, &Fate::StaleIfError]);
    }
}
