use super::*;
use crate::balance::peers::Peers;
use crate::connect::address::Address;
use crate::fixture::{NoRecorder, SECOND, request, spec};
use crate::spec::Spec;

/// Upstreams of one pool, of which nothing is known.
fn upstreams(count: u16) -> Vec<Arc<Upstream>> {
    let peers = Arc::new(Peers::new(None));
    let spec = spec(1);
    (1..=count)
        .map(|port| {
            Upstream::new(Spec { address: Address::literal("127.0.0.1", port), ..spec.clone() }, &peers)
        })
        .collect()
}

fn job(candidates: &[Arc<Upstream>], folder: &str) -> FetchJob {
    FetchJob {
        whole: None,
        request: request(folder),
        candidates: candidates.to_vec(),
        recorder: Arc::new(NoRecorder),
        budget: Arc::new(Budget::new(1.0, 100.0)),
        attempts_max: 9,
        finish_within: 0,
        finishing: Arc::new(tokio::sync::Semaphore::new(1)),
        remember_large: SECOND,
    }
}

/// The ports of the upstreams that receive the request.
fn asked(job: &FetchJob, is_reported: bool) -> Vec<u16> {
    let mut attempts = Attempts::of(job);
    let mut asked = Vec::new();
    while let Some(upstream) = attempts.next_candidate() {
        asked.push(upstream.spec().address.port());
        attempts.note_failure(is_reported);
    }
    asked
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_reports_the_same_of_a_stream_is_skipped_for_that_stream_only() {
    let upstreams = upstreams(3);
    let (dead, well) = (job(&upstreams, "site/dead"), job(&upstreams, "site/well"));
    for upstream in &upstreams[..2] {
        upstream.record_reported_failure(UpstreamError::Closed, &dead.request.folder);
    }

    assert_eq!(asked(&dead, true), [1, 3], "the second would report the same as the first");
    assert_eq!(asked(&dead, false), [1, 2, 3], "the first has failed in another way");
    assert_eq!(asked(&well, true), [1, 2, 3]);
    tokio::time::advance(SECOND * 6).await;
    assert_eq!(asked(&dead, true), [1, 2, 3], "the report is old");
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
        assert_eq!(asked(&job, false), [0_u16; 0], "no other before the next trial is due");
        tokio::time::advance(SECOND * 9).await;
    }
    assert_eq!(turns.len(), 6, "{turns:?}");
    for round in turns.chunks(3) {
        let mut round = round.to_vec();
        round.sort_unstable();
        assert_eq!(round, [1, 2, 3], "{turns:?}");
    }
}
