//! Fills that fetch the next version while the present one is still fresh.

use crate::harness::*;

#[tokio::test(start_paused = true)]
async fn the_present_version_is_served_until_the_next_one_is_complete() {
    let (cache, key) = (roomy(), key("/live.m3u8"));
    store(&cache, &key, lifetimes(10, 0, 0), b"old");
    let mut early = cache.fill_early(&key).expect("no fill is under way");
    assert_eq!(bytes(early.stale().expect("the old one, to revalidate it")), b"old");
    publish(&mut early, lifetimes(10, 0, 0));
    append(&mut early, b"new");
    assert_eq!(bytes(&look_up(&cache, &key).hit()), b"old");
    early.complete();
    assert_eq!(bytes(&look_up(&cache, &key).hit()), b"new");
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn an_early_fill_and_a_requested_one_never_coexist() {
    let (cache, key) = (roomy(), key("/live.m3u8"));
    let (fill_reader, fill_writer) = look_up(&cache, &key).miss();
    assert!(cache.fill_early(&key).is_none());
    fill(fill_writer, lifetimes(1, 0, 0), b"old");
    drop(fill_reader);

    tokio::time::advance(seconds(2)).await;
    let early = cache.fill_early(&key).expect("the old one has expired");
    assert!(cache.fill_early(&key).is_none());
    let joiner = look_up(&cache, &key).join();
    fill(early, lifetimes(1, 0, 0), b"new");
    assert_eq!(read(&answer_of(&joiner).await.object().body).await.unwrap(), b"new");
    drop(joiner);
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn an_early_fill_that_fails_or_is_dropped_leaves_the_present_version() {
    let (cache, key) = (roomy(), key("/live.m3u8"));
    store(&cache, &key, lifetimes(10, 0, 0), b"old");
    cache.fill_early(&key).unwrap().fail(failure("timeout", 1));
    drop(cache.fill_early(&key).unwrap());
    assert_eq!(bytes(&look_up(&cache, &key).hit()), b"old");
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn a_varying_response_is_not_filled_early() {
    let (cache, key) = (roomy(), key("/live.m3u8"));
    let (fill_reader, mut fill_writer) = look_up_as(&cache, &key, "gzip").miss();
    publish_as(&mut fill_writer, variant(&["accept-encoding"], "gzip"));
    fill_writer.complete();
    drop(fill_reader);
    assert!(cache.fill_early(&key).is_none());
}
