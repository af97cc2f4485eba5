//! A fill is abandoned only when no request wants it.

use futures_util::FutureExt;
use tidegate_cache::{Answer, Broken};
use tokio::task::JoinSet;

use crate::harness::*;

#[tokio::test(start_paused = true)]
async fn a_fill_is_abandoned_only_without_readers() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let (first, fill_writer) = look_up(&cache, &key).miss();
    let second = look_up(&cache, &key).join();
    let fill_writer = fill_writer.abandon().expect_err("two readers want it");
    drop(first);
    let fill_writer = fill_writer.abandon().expect_err("one reader wants it");
    assert!(fill_writer.until_unwanted().now_or_never().is_none());
    drop(second);
    in_time(fill_writer.until_unwanted()).await;
    let late = look_up(&cache, &key).join();
    let fill_writer = fill_writer.abandon().expect_err("a reader has joined in the meantime");
    drop(late);
    fill_writer.abandon().unwrap();
    drop(look_up(&cache, &key).miss());
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn abandoning_breaks_the_body_and_stores_nothing() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let (fill_reader, mut fill_writer) = look_up(&cache, &key).miss();
    publish(&mut fill_writer, lifetimes(60, 0, 0));
    append(&mut fill_writer, b"half");
    let Answer::Object(object) = answer_of(&fill_reader).await else { panic!("the head is published") };
    drop(fill_reader);
    fill_writer.abandon().unwrap();
    assert_eq!(read(&object.body).await, Err(Broken("abandoned")));
    assert!(cache.objects(10).is_empty());
    drop(look_up(&cache, &key).miss());
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn the_writer_wakes_when_the_last_reader_goes() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let (first, fill_writer) = look_up(&cache, &key).miss();
    let second = look_up(&cache, &key).join();
    let mut writer = JoinSet::new();
    writer.spawn(async move {
        fill_writer.until_unwanted().await;
        fill_writer.abandon().is_ok()
    });
    tokio::task::yield_now().await;
    drop(first);
    tokio::task::yield_now().await;
    assert!(writer.try_join_next().is_none());
    drop(second);
    assert!(in_time(writer.join_next()).await.unwrap().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_wake_up_is_not_lost_with_a_cancelled_wait() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let (fill_reader, fill_writer) = look_up(&cache, &key).miss();
    let mut cancelled = Box::pin(fill_writer.until_unwanted());
    assert!(cancelled.as_mut().now_or_never().is_none());
    drop(fill_reader);
    drop(cancelled);
    assert!(fill_writer.until_unwanted().now_or_never().is_some());
    let again = look_up(&cache, &key).join();
    assert!(fill_writer.until_unwanted().now_or_never().is_none(), "an old wake-up is not believed");
    drop(again);
    assert!(fill_writer.until_unwanted().now_or_never().is_some());
    drop(fill_writer);
}
