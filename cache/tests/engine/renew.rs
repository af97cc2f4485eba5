//! A 304 extends the life of the stored bytes (RFC 9111 section 4.3.4).

use std::sync::Arc;

use http::HeaderValue;
use tokio::time::advance;

use crate::harness::*;

#[tokio::test(start_paused = true)]
async fn renewing_keeps_the_bytes_and_restarts_the_lifetimes() {
    let (cache, key) = (roomy(), key("/live.m3u8"));
    store(&cache, &key, lifetimes(2, 0, 60), b"playlist");
    let old = look_up(&cache, &key).hit();
    advance(seconds(5)).await;
    let (fill_reader, fill_writer) = look_up(&cache, &key).miss();
    let waiting = look_up(&cache, &key).join();
    let mut head = head();
    head.headers.insert("etag", HeaderValue::from_static("\"2\""));
    fill_writer.renew(head, lifetimes(4, 0, 60), "backup".into());
    for fill_reader in [&fill_reader, &waiting] {
        let renewed = answer_of(fill_reader).await.object();
        assert!(Arc::ptr_eq(&renewed.body, &old.body), "no byte is copied");
    }
    let hit = look_up(&cache, &key).hit();
    assert_eq!((bytes(&hit), &*hit.upstream), (b"playlist".to_vec(), "backup"));
    assert_eq!(hit.head.headers["etag"], "\"2\"");
    advance(seconds(3)).await;
    look_up(&cache, &key).hit();
    advance(seconds(1)).await;
    drop(look_up(&cache, &key).miss());
    assert_eq!(cache.totals().body_bytes, 8, "the bytes are counted once");
}

#[tokio::test(start_paused = true)]
async fn derived_forms_are_kept_with_the_bytes() {
    let (cache, key) = (roomy(), key("/live.m3u8"));
    store(&cache, &key, lifetimes(2, 0, 60), b"playlist");
    let old = look_up(&cache, &key).hit();
    old.gzip.set(Some("zipped".into())).unwrap();
    advance(seconds(5)).await;
    look_up(&cache, &key).miss().1.renew(head(), lifetimes(2, 0, 60), "origin".into());
    let hit = look_up(&cache, &key).hit();
    assert_eq!(hit.gzip.get().unwrap().as_ref().unwrap(), "zipped");
}

#[tokio::test(start_paused = true)]
async fn renewing_without_a_cached_object_is_a_failure() {
    let (cache, key) = (roomy(), key("/live.m3u8"));
    let (fill_reader, fill_writer) = look_up(&cache, &key).miss();
    fill_writer.renew(head(), lifetimes(2, 0, 60), "origin".into());
    assert_eq!(answer_of(&fill_reader).await.failure().0.reason, "fill_dropped");
}

#[tokio::test(start_paused = true)]
async fn a_renewed_object_is_shared_again_after_one_that_was_too_large() {
    let (cache, key) = (roomy(), key("/1.ts"));
    store(&cache, &key, lifetimes(2, 10, 0), b"old");
    advance(seconds(3)).await;
    look_up(&cache, &key).stale().1.unwrap().end_too_large(seconds(600));
    look_up(&cache, &key).stale().1.unwrap().renew(head(), lifetimes(2, 0, 0), "origin".into());
    look_up(&cache, &key).hit();
    advance(seconds(3)).await;
    assert!(!look_up(&cache, &key).passes(), "the pass is over with the answer that caused it");
}
