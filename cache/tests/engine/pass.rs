//! Hit-for-miss: requests for a key whose responses cannot be shared pass without waiting, for a while.

use tokio::time::advance;

use tidegate_cache::Answer;

use crate::harness::*;

#[tokio::test(start_paused = true)]
async fn hit_for_pass_passes_in_parallel_for_its_lifetime_and_ends() {
    let (cache, key) = (roomy(), key("/private"));
    let (first, fill_writer) = look_up(&cache, &key).miss();
    let joined = look_up(&cache, &key).join();
    fill_writer.pass(seconds(10));
    assert!(matches!(answer_of(&first).await, Answer::Pass));
    assert!(matches!(answer_of(&joined).await, Answer::Pass));
    for _ in 0..50 {
        assert!(look_up(&cache, &key).passes());
    }
    assert_eq!(cache.totals().fills, 0);
    advance(seconds(10)).await;
    store(&cache, &key, lifetimes(60, 0, 0), b"shared after all");
    assert_eq!(bytes(&look_up(&cache, &key).hit()), b"shared after all");
}

#[tokio::test(start_paused = true)]
async fn a_response_that_cannot_be_shared_replaces_one_that_could() {
    let (cache, key) = (roomy(), key("/private"));
    store(&cache, &key, lifetimes(2, 10, 60), b"public");
    advance(seconds(3)).await;
    look_up(&cache, &key).stale().1.unwrap().pass(seconds(10));
    assert!(look_up(&cache, &key).passes());
    assert!(cache.objects(10).is_empty());
}

#[tokio::test(start_paused = true)]
async fn after_a_pass_without_lifetime_the_next_request_is_elected() {
    let (cache, key) = (roomy(), key("/private"));
    let (fill_reader, fill_writer) = look_up(&cache, &key).miss();
    fill_writer.pass(seconds(0));
    assert!(matches!(answer_of(&fill_reader).await, Answer::Pass));
    drop(look_up(&cache, &key).miss());
}
