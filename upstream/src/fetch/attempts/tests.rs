use tidegate_cache::{Failure, Head, Lifetimes, Object};

use super::*;
use crate::balance::peers::Peers;
use crate::connect::address::Address;
use crate::fixture::{SECOND, ask, spec};
use crate::policy::{Inspection, Ruling};
use crate::spec::Spec;
use bytes::Bytes;
use std::time::Duration;

/// Sources of one pool, of which nothing is known.
fn upstreams(count: u16) -> Vec<Arc<Upstream>> {
    let peers = Arc::new(Peers::new(None));
    let spec = spec(1);
    (1..=count)
        .map(|port| {
            Upstream::new(Spec { address: Address::literal("127.0.0.1", port), ..spec.clone() }, &peers)
        })
        .collect()
}

fn job(candidates: &[Arc<Upstream>], stream: &str) -> FillRequest {
    FillRequest {
        ask: ask(stream),
        candidates: candidates.to_vec(),
        budget: Arc::new(Budget::new(1.0, 100.0)),
        tries_max: 9,
        finish_within: 0,
        remember_large: SECOND,
    }
}

/// Nobody whom a line asks anything but to be noted.
struct Nobody;

impl FillPolicy for Nobody {
    fn rule(&self, _head: &Head) -> Ruling {
        panic!("nothing is answered")
    }

    fn inspect(&self, _head: &Head, _body: Bytes) -> Inspection {
        panic!("nothing is answered")
    }

    fn renew(&self, _stale: &Object, _head: &Head) -> Result<(Head, Lifetimes), UpstreamError> {
        panic!("nothing is answered")
    }

    fn stored_head(&self, _head: &Head) -> Head {
        panic!("nothing is answered")
    }

    fn retry_pause(&self, _trouble: UpstreamError, _rounds: usize, _waited: Duration) -> Option<Duration> {
        None
    }

    fn record_unusable(&self, _source: &Upstream, _trouble: UpstreamError) {}

    fn failure(&self, _trouble: UpstreamError, _source: Option<&Upstream>, _head: Option<&Head>) -> Failure {
        panic!("nothing is answered")
    }

    fn note(&self, _event: Event) {}
}

/// The ports of those who are asked.
fn asked(job: &FillRequest, is_reported: bool) -> Vec<u16> {
    let mut attempts = Attempts::of(job);
    let mut asked = Vec::new();
    while let Some(upstream) = attempts.next(&Nobody) {
        asked.push(upstream.spec().address.port());
        attempts.note_failure(is_reported);
    }
    asked
}

#[tokio::test(start_paused = true)]
async fn whoever_tells_the_same_of_a_stream_is_passed_over_for_that_stream_only() {
    let upstreams = upstreams(3);
    let (dead, well) = (job(&upstreams, "site/dead"), job(&upstreams, "site/well"));
    for upstream in &upstreams[..2] {
        upstream.record_reported_failure(UpstreamError::Closed, &dead.ask.stream);
    }

    assert_eq!(asked(&dead, true), [1, 3], "the second would tell what the first does");
    assert_eq!(asked(&dead, false), [1, 2, 3], "the first has failed in another way");
    assert_eq!(asked(&well, true), [1, 2, 3]);
    tokio::time::advance(SECOND * 6).await;
    assert_eq!(asked(&dead, true), [1, 2, 3], "it was told long ago");
}

#[tokio::test(start_paused = true)]
async fn while_all_are_out_they_are_tried_in_turn_and_one_at_a_time() {
    let upstreams = upstreams(3);
    for upstream in &upstreams {
        upstream.record_failure(UpstreamError::Refused);
    }
    assert!(upstreams.iter().all(|upstream| !upstream.state().is_available()));

    let job = job(&upstreams, "site/one");
    let mut turns = Vec::new();
    for _ in 0..6 {
        turns.extend(asked(&job, false));
        assert_eq!(asked(&job, false), [0_u16; 0], "nobody else before the next trial is due");
        tokio::time::advance(SECOND * 9).await;
    }
    assert_eq!(turns.len(), 6, "{turns:?}");
    for round in turns.chunks(3) {
        let mut round = round.to_vec();
        round.sort_unstable();
        assert_eq!(round, [1, 2, 3], "{turns:?}");
    }
}
