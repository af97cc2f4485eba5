//! Failures have a lifetime, so that all requests for a failing object cause one fill, not one each.

use tokio::time::advance;

use crate::harness::*;

#[tokio::test(start_paused = true)]
async fn five_hundred_requests_for_a_failing_object_make_one_fill_per_lifetime() {
    let (cache, key) = (roomy(), key("/missing.ts"));
    for reason in ["not_found", "bad_gateway"] {
        let (first, fill_writer) = look_up(&cache, &key).miss();
        let joined: Vec<_> = (0..250).map(|_| look_up(&cache, &key).join()).collect();
        fill_writer.fail(failure(reason, 2));
        for fill_reader in joined.iter().chain([&first]) {
            assert_eq!(answer_of(fill_reader).await.failure().0.reason, reason);
        }
        for _ in 0..250 {
            assert_eq!(look_up(&cache, &key).failed().0.reason, reason);
        }
        advance(seconds(2)).await;
    }
    assert!(look_up(&cache, &key).miss().0.is_elected());
}

#[tokio::test(start_paused = true)]
async fn a_success_ends_the_memory_of_a_failure() {
    let (cache, key) = (roomy(), key("/1.ts"));
    look_up(&cache, &key).miss().1.fail(failure("timeout", 1));
    advance(seconds(1)).await;
    store(&cache, &key, lifetimes(60, 0, 0), b"segment");
    assert_eq!(bytes(&look_up(&cache, &key).hit()), b"segment");
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_is_dropped_without_an_end_answers_every_reader() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let (first, fill_writer) = look_up(&cache, &key).miss();
    let second = look_up(&cache, &key).join();
    drop(fill_writer);
    for fill_reader in [first, second] {
        assert_eq!(answer_of(&fill_reader).await.failure().0.reason, "fill_dropped");
    }
    drop(look_up(&cache, &key).miss());
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_is_dropped_in_the_middle_breaks_the_body_for_every_reader() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let (fill_reader, mut fill_writer) = look_up(&cache, &key).miss();
    publish(&mut fill_writer, lifetimes(60, 0, 0));
    append(&mut fill_writer, b"half");
    let object = answer_of(&fill_reader).await.object();
    drop(fill_writer);
    assert_eq!(read(&object.body).await.unwrap_err().0, "fill_dropped");
    drop(look_up(&cache, &key).miss());
}

#[tokio::test(start_paused = true)]
async fn completing_a_fill_without_a_head_is_a_failure() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let (fill_reader, fill_writer) = look_up(&cache, &key).miss();
    fill_writer.complete();
    assert_eq!(answer_of(&fill_reader).await.failure().0.reason, "fill_dropped");
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_the_head_breaks_the_readers_and_is_remembered() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let (fill_reader, mut fill_writer) = look_up(&cache, &key).miss();
    publish(&mut fill_writer, lifetimes(60, 0, 0));
    append(&mut fill_writer, b"half");
    let object = answer_of(&fill_reader).await.object();
    fill_writer.fail(failure("reset", 2));
    assert_eq!(read(&object.body).await.unwrap_err().0, "reset");
    assert_eq!(look_up(&cache, &key).failed().0.reason, "reset");
    advance(seconds(2)).await;
    drop(look_up(&cache, &key).miss());
}
