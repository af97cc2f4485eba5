//! When the next lookup is due, and which members are valid meanwhile. Pure: time, results and chance are
//! arguments.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::members::{Found, Member, in_order};
use crate::error::UpstreamError;

/// The longest pause after failed lookups, while there is a last good result.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The longest pause before the first good result: requests wait for it.
const PAUSE_MAX_WITHOUT: Duration = Duration::from_secs(2);

/// The members that are valid, and when the next lookup is due.
///
/// Only a result with members replaces them. A name that suddenly does not exist, or has no records, is more
/// often a mistake in a zone than the end of a service. Requests and probes find out that servers are really
/// gone.
#[derive(Debug)]
pub(crate) struct Resolution {
    members: Option<Arc<[Member]>>,
    due: Instant,
    failures: u32,
    error: Option<UpstreamError>,
}

impl Resolution {
    /// No members, and the first lookup is due immediately.
    pub(crate) fn new(now: Instant) -> Self {
        Self { members: None, due: now, failures: 0, error: None }
    }

    /// When the next lookup is due.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// The last good result.
    pub(crate) fn members(&self) -> Option<&Arc<[Member]>> {
        self.members.as_ref()
    }

    /// The error of the last lookup, if it failed.
    pub(crate) fn error(&self) -> Option<UpstreamError> {
        self.error
    }

    /// Records a result. Returns the members if they have changed.
    pub(crate) fn record(
        &mut self,
        now: Instant,
        answer: Result<Found, UpstreamError>,
        dice: f64,
    ) -> Option<Arc<[Member]>> {
        match answer {
            Ok(found) => {
                (self.failures, self.error) = (0, None);
                let soon = if found.unanswered.is_empty() {
                    found.valid_for
                } else {
                    found.valid_for.min(PAUSE_MAX)
                };
                self.due = now + soon;
                self.update_members(found)
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.error = Some(error);
                self.due = now + self.pause(dice);
                None
            }
        }
    }

    fn update_members(&mut self, found: Found) -> Option<Arc<[Member]>> {
        let before = self.members.as_deref().unwrap_or_default();
        // Members without a response for their address family stay.
        let kept: Vec<_> = before.iter().filter(|member| found.is_unanswered(member)).cloned().collect();
        let members = if kept.is_empty() { found.members } else { in_order([found.members, kept].concat()) };
        if members == before {
            return None;
        }
        let members: Arc<[Member]> = members.into();
        self.members = Some(Arc::clone(&members));
        Some(members)
    }

    /// From half a step to a whole one; steps double from 2 s on, so that no pause is shorter than 1 s.
    fn pause(&self, dice: f64) -> Duration {
        let longest = if self.members.is_some() { PAUSE_MAX } else { PAUSE_MAX_WITHOUT };
        let step = Duration::from_secs(1 << self.failures.min(6)).min(longest);
        step.mul_f64(0.5 + dice / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::connect::dns::script::{found, member};
    use crate::connect::dns::{Family, Unanswered};

    const A: &str = "192.0.2.1:80";
    const B: &str = "192.0.2.2:80";
    const SIX: &str = "[2001:db8::6]:80";

    fn seconds(from: Instant, resolution: &Resolution) -> f64 {
        (resolution.due() - from).as_secs_f64()
    }

    #[test]
    fn the_first_lookup_is_due_immediately() {
        let now = Instant::now();
        let resolution = Resolution::new(now);
        assert_eq!((resolution.due(), resolution.members(), resolution.error()), (now, None, None));
    }

    #[test]
    fn a_set_is_returned_once_and_again_when_it_has_changed() {
        let now = Instant::now();
        let mut resolution = Resolution::new(now);
        assert_eq!(resolution.record(now, Ok(found(&[A], 60)), 0.0).unwrap().len(), 1);
        assert_eq!(resolution.record(now, Ok(found(&[A], 7)), 0.0), None);
        assert!((seconds(now, &resolution) - 7.0).abs() < 1e-9, "the newest lifetime counts");
        assert_eq!(resolution.record(now, Ok(found(&[A, B], 60)), 0.0).unwrap().len(), 2);
        assert_eq!(resolution.record(now, Ok(found(&[B], 60)), 0.0).unwrap()[..], [member(B)]);
    }

    #[test]
    fn failures_keep_the_last_good_set_and_are_repeated_ever_later() {
        let now = Instant::now();
        let mut resolution = Resolution::new(now);
        resolution.record(now, Ok(found(&[A], 1)), 0.0);
        for (at_least, at_most) in
            [(1.0, 2.0), (2.0, 4.0), (4.0, 8.0), (8.0, 16.0), (15.0, 30.0), (15.0, 30.0)]
        {
            assert_eq!(resolution.record(now, Err(UpstreamError::DnsTimeout), 0.0), None);
            assert!((seconds(now, &resolution) - at_least).abs() < 1e-9);
            resolution.failures -= 1;
            resolution.record(now, Err(UpstreamError::DnsTimeout), 1.0);
            assert!((seconds(now, &resolution) - at_most).abs() < 1e-9);
            assert_eq!(resolution.members().unwrap()[..], [member(A)]);
        }
        assert_eq!(resolution.error(), Some(UpstreamError::DnsTimeout));
        resolution.record(now, Ok(found(&[A], 60)), 0.0);
        assert_eq!(resolution.error(), None);
        resolution.record(now, Err(UpstreamError::DnsError), 0.0);
        assert!((seconds(now, &resolution) - 1.0).abs() < 1e-9, "a good result resets the failures");
    }

    #[test]
    fn a_name_that_never_resolved_is_looked_up_every_other_second() {
        let now = Instant::now();
        let mut resolution = Resolution::new(now);
        for _ in 0..20 {
            resolution.record(now, Err(UpstreamError::DnsError), 1.0);
            assert!((seconds(now, &resolution) - 2.0).abs() < 1e-9);
        }
    }

    #[test]
    fn members_without_a_response_stay() {
        let now = Instant::now();
        let mut resolution = Resolution::new(now);
        resolution.record(now, Ok(found(&[A, SIX], 60)), 0.0);
        let mut partial = found(&[B], 200);
        partial.unanswered = vec![Unanswered { host: "origin.test".to_owned(), family: Family::V6 }];

        let members = resolution.record(now, Ok(partial), 0.0).unwrap();

        assert_eq!(members[..], [member(B), member(SIX)], "the old IPv4 member is gone, the IPv6 one is not");
        assert!((seconds(now, &resolution) - 30.0).abs() < 1e-9, "missing results are looked up soon");
    }

    fn answers() -> impl Strategy<Value = Result<Found, UpstreamError>> {
        prop_oneof![
            (proptest::sample::subsequence(vec![A, B, SIX], 1..=3), 1_u64..=300)
                .prop_map(|(members, lifetime)| Ok(found(&members, lifetime))),
            Just(Err(UpstreamError::DnsError)),
            Just(Err(UpstreamError::DnsTimeout)),
        ]
    }

    proptest! {
        #[test]
        fn members_are_the_last_good_result_and_pauses_are_bounded(
            results in proptest::collection::vec((answers(), 0.0..1.0_f64), 1..40)
        ) {
            let now = Instant::now();
            let mut resolution = Resolution::new(now);
            let mut good: Option<Vec<Member>> = None;
            for (answer, dice) in results {
                let changed = resolution.record(now, answer.clone(), dice);
                let is_new = answer.as_ref().is_ok_and(|found| good.as_ref() != Some(&found.members));
                prop_assert_eq!(changed.is_some(), is_new);
                if let Ok(found) = answer {
                    good = Some(found.members);
                }
                prop_assert_eq!(resolution.members().map(|members| members.to_vec()), good.clone());
                let wait = seconds(now, &resolution);
                prop_assert!((1.0..=300.0).contains(&wait), "{}", wait);
            }
        }
    }
}
