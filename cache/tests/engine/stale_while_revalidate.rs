//! Stale objects: served while one refresh is under way, and kept for when no upstream can answer.

use std::time::Duration;

use tokio::time::advance;

use crate::harness::*;

#[tokio::test(start_paused = true)]
async fn grace_serves_stale_and_elects_exactly_one_refresher() {
    let (cache, key) = (roomy(), key("/live.m3u8"));
    store(&cache, &key, lifetimes(2, 10, 0), b"old");
    advance(seconds(3)).await;
    let (object, refresh) = look_up(&cache, &key).stale();
    assert_eq!(bytes(&object), b"old");
    let refresh = refresh.expect("the first request refreshes");
    for _ in 0..99 {
        let (object, second) = look_up(&cache, &key).stale();
        assert_eq!(bytes(&object), b"old");
        assert!(second.is_none());
    }
    assert_eq!(cache.totals().fills, 1);
    fill(refresh, lifetimes(2, 10, 0), b"new");
    assert_eq!(bytes(&look_up(&cache, &key).hit()), b"new");
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_has_its_head_is_joined() {
    let (cache, key) = (roomy(), key("/live.m3u8"));
    store(&cache, &key, lifetimes(2, 10, 0), b"old");
    advance(seconds(3)).await;
    let mut refresh = look_up(&cache, &key).stale().1.unwrap();
    publish(&mut refresh, lifetimes(2, 10, 0));
    let joiner = look_up(&cache, &key).join();
    append(&mut refresh, b"new");
    refresh.complete();
    assert_eq!(read(&answer_of(&joiner).await.object().body).await.unwrap(), b"new");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_is_wanted_without_readers() {
    let (cache, key) = (roomy(), key("/live.m3u8"));
    store(&cache, &key, lifetimes(2, 10, 0), b"old");
    advance(seconds(3)).await;
    let refresh = look_up(&cache, &key).stale().1.unwrap();
    assert!(tokio::time::timeout(seconds(3600), refresh.until_unwanted()).await.is_err());
    drop(refresh);
}

#[tokio::test(start_paused = true)]
async fn a_failed_refresh_is_retried_after_the_failures_lifetime() {
    let (cache, key) = (roomy(), key("/live.m3u8"));
    store(&cache, &key, lifetimes(2, 10, 0), b"old");
    advance(seconds(3)).await;
    look_up(&cache, &key).stale().1.unwrap().fail(failure("timeout", 1));
    assert!(look_up(&cache, &key).stale().1.is_none(), "not before the failure is forgotten");
    advance(seconds(1)).await;
    assert!(look_up(&cache, &key).stale().1.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_is_dropped_is_elected_again() {
    let (cache, key) = (roomy(), key("/live.m3u8"));
    store(&cache, &key, lifetimes(2, 10, 0), b"old");
    advance(seconds(3)).await;
    drop(look_up(&cache, &key).stale().1.unwrap());
    assert!(look_up(&cache, &key).stale().1.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_kept_object_is_served_after_a_failure() {
    let (cache, key) = (roomy(), key("/live.m3u8"));
    store(&cache, &key, lifetimes(2, 1, 60), b"old");
    advance(seconds(10)).await;
    let (fill_reader, fill_writer) = look_up(&cache, &key).miss();
    assert_eq!(bytes(fill_writer.stale().unwrap()), b"old");
    fill_writer.fail(failure("timeout", 1));
    let (failure, stale) = answer_of(&fill_reader).await.failure();
    assert_eq!(failure.reason, "timeout");
    assert_eq!(bytes(&stale.unwrap()), b"old");
    let (_, stale) = look_up(&cache, &key).failed();
    assert_eq!(bytes(&stale.unwrap()), b"old");
}

#[tokio::test(start_paused = true)]
async fn no_object_is_served_after_a_failure_once_keep_is_over() {
    let (cache, key) = (roomy(), key("/live.m3u8"));
    store(&cache, &key, lifetimes(2, 1, 60), b"old");
    advance(seconds(62)).await;
    let (fill_reader, fill_writer) = look_up(&cache, &key).miss();
    assert!(fill_writer.stale().is_some(), "its validators are still good");
    fill_writer.fail(failure("timeout", 1));
    assert!(answer_of(&fill_reader).await.failure().1.is_none());
    assert!(look_up(&cache, &key).failed().1.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_three_ages_end_when_they_say() {
    let (cache, key) = (roomy(), key("/live.m3u8"));
    store(&cache, &key, lifetimes(2, 3, 60), b"old");
    advance(Duration::from_millis(1999)).await;
    look_up(&cache, &key).hit();
    advance(Duration::from_millis(1)).await;
    drop(look_up(&cache, &key).stale());
    advance(seconds(3)).await;
    drop(look_up(&cache, &key).miss());
}
