//! One object, one fill, for any number of requests; and the fill is independent of each of them.

use std::sync::Arc;

use tidegate_cache::Lookup;
use tokio::task::JoinSet;

use crate::harness::*;

#[tokio::test(start_paused = true)]
async fn a_hundred_requests_make_one_fill() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let (first, fill_writer) = look_up(&cache, &key).miss();
    let others: Vec<_> = (1..100).map(|_| look_up(&cache, &key).join()).collect();
    assert!(first.is_elected());
    assert!(others.iter().all(|fill_reader| !fill_reader.is_elected()));
    assert_eq!(cache.totals().fills, 1);
    assert_eq!(cache.totals().waiting, 100);
    assert_eq!(fill_writer.readers_total(), 100);

    fill(fill_writer, lifetimes(60, 0, 0), b"segment");
    for fill_reader in others.iter().chain([&first]) {
        assert_eq!(read(&answer_of(fill_reader).await.object().body).await.unwrap(), b"segment");
    }
    assert_eq!(bytes(&look_up(&cache, &key).hit()), b"segment");
    drop((first, others));
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn the_fill_outlives_the_request_that_caused_it() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let (first, mut fill_writer) = look_up(&cache, &key).miss();
    let second = look_up(&cache, &key).join();
    publish(&mut fill_writer, lifetimes(60, 0, 0));
    append(&mut fill_writer, b"seg");
    drop(first);
    let mut fill_writer = fill_writer.abandon().expect_err("the second request still wants it");
    append(&mut fill_writer, b"ment");
    fill_writer.complete();
    assert_eq!(read(&answer_of(&second).await.object().body).await.unwrap(), b"segment");
    assert_eq!(bytes(&look_up(&cache, &key).hit()), b"segment");
}

#[tokio::test(start_paused = true)]
async fn requests_for_different_keys_do_not_wait_for_each_other() {
    let cache = roomy();
    let (_one, one) = look_up(&cache, &key("/1.ts")).miss();
    let (two, mut fill_writer) = look_up(&cache, &key("/2.ts")).miss();
    publish(&mut fill_writer, lifetimes(60, 0, 0));
    assert!(now(&two).is_some());
    assert_eq!(cache.totals().fills, 2);
    drop((one, fill_writer));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_never_fresh_is_still_shared_while_it_arrives() {
    let (cache, key) = (roomy(), key("/no-cache"));
    let (_first, mut fill_writer) = look_up(&cache, &key).miss();
    let _waits = look_up(&cache, &key).join();
    publish(&mut fill_writer, lifetimes(0, 0, 0));
    let joined = look_up(&cache, &key).join();
    fill_writer.complete();
    assert!(now(&joined).is_some());
    let (_next, revalidation) = look_up(&cache, &key).miss();
    assert!(revalidation.stale().is_some(), "the old object has validators");
}

#[tokio::test(start_paused = true)]
async fn cancelling_a_wait_loses_nothing() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let (fill_reader, fill_writer) = look_up(&cache, &key).miss();
    assert!(now(&fill_reader).is_none(), "polled and dropped");
    let waiting = Arc::new(fill_reader);
    let mut waiter = JoinSet::new();
    waiter.spawn({
        let waiting = Arc::clone(&waiting);
        async move { waiting.answer().await }
    });
    tokio::task::yield_now().await;
    assert!(now(&waiting).is_none());
    fill(fill_writer, lifetimes(60, 0, 0), b"x");
    assert!(in_time(waiter.join_next()).await.unwrap().unwrap().object().body.is_complete());
}

#[tokio::test(start_paused = true)]
async fn eviction_of_a_slot_whose_fill_is_under_way_allows_no_second_fill() {
    let cache =
        tidegate_cache::Cache::new(tidegate_cache::Limits { bytes: MIB, object_max: MIB, variants_max: 64 });
    let wanted = key("/growing.ts");
    let (fill_reader, mut fill_writer) = look_up(&cache, &wanted).miss();
    publish(&mut fill_writer, lifetimes(60, 0, 0));
    append(&mut fill_writer, b"first ");
    for other in 0..64 {
        store(&cache, &key(&format!("/{other}.ts")), lifetimes(60, 0, 0), &vec![0; 60 * 1024]);
    }
    assert!(cache.totals().evictions > 40);
    let Lookup::Join(late) = look_up(&cache, &wanted) else { panic!("a second fill of the same key") };
    append(&mut fill_writer, b"second");
    fill_writer.complete();
    assert_eq!(read(&answer_of(&late).await.object().body).await.unwrap(), b"first second");
    assert_eq!(bytes(&look_up(&cache, &wanted).hit()), b"first second");
    drop((fill_reader, late));
    assert_quiet(&cache);
}
