//! Hit-for-miss: a key whose answers cannot be shared lets everybody through at once, for a while.

use tokio::time::advance;

use tidegate_cache::Answer;

use crate::harness::*;

#[tokio::test(start_paused = true)]
async fn hit_for_miss_passes_in_parallel_for_its_lifetime_and_ends() {
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
async fn an_answer_that_cannot_be_shared_takes_the_place_of_one_that_could() {
    let (cache, key) = (roomy(), key("/private"));
    store(&cache, &key, lifetimes(2, 10, 60), b"public");
    advance(seconds(3)).await;
    look_up(&cache, &key).stale().1.unwrap().pass(seconds(10));
    assert!(look_up(&cache, &key).passes());
    assert!(cache.objects(10).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_is_not_remembered_lets_the_next_asker_try() {
    let (cache, key) = (roomy(), key("/private"));
    let (fill_reader, fill_writer) = look_up(&cache, &key).miss();
    fill_writer.pass(seconds(0));
    assert!(matches!(answer_of(&fill_reader).await, Answer::Pass));
    drop(look_up(&cache, &key).miss());
}
