//! A broken body is never stored, and never looks complete.

use tidegate_cache::{Answer, Broken};
use tokio::time::advance;

use crate::harness::*;

#[tokio::test(start_paused = true)]
async fn breaking_off_stores_nothing_and_the_old_object_stays() {
    let (cache, key) = (roomy(), key("/1.ts"));
    store(&cache, &key, lifetimes(2, 10, 60), b"old");
    advance(seconds(3)).await;
    let mut refresh = look_up(&cache, &key).stale().1.unwrap();
    publish(&mut refresh, lifetimes(2, 10, 60));
    append(&mut refresh, b"ne");
    let joiner = look_up(&cache, &key).join();
    refresh.break_off(Broken("reset"));
    let object = answer_of(&joiner).await.object();
    assert_eq!(read(&object.body).await, Err(Broken("reset")));
    assert!(!object.body.is_complete());
    let (object, refresh) = look_up(&cache, &key).stale();
    assert_eq!(bytes(&object), b"old");
    drop((joiner, refresh));
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn breaking_off_before_the_head_answers_every_reader() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let (fill_reader, fill_writer) = look_up(&cache, &key).miss();
    fill_writer.break_off(Broken("reset"));
    assert_eq!(now(&fill_reader).expect("an answer").failure().0.reason, "reset");
    drop(look_up(&cache, &key).miss());
}

#[tokio::test(start_paused = true)]
async fn ending_as_too_large_before_the_head_answers_every_reader() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let (fill_reader, fill_writer) = look_up(&cache, &key).miss();
    fill_writer.end_too_large(seconds(10));
    assert!(matches!(now(&fill_reader), Some(Answer::Pass)));
    assert!(look_up(&cache, &key).passes());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_as_long_as_declared_is_not_complete() {
    let cache = roomy();
    for (path, sent) in [("/short.ts", &b"12345"[..]), ("/long.ts", b"12345678901")] {
        let (fill_reader, mut fill_writer) = look_up(&cache, &key(path)).miss();
        fill_writer.publish(head(), lifetimes(60, 0, 0), None, Some(10), "origin".into()).unwrap();
        append(&mut fill_writer, sent);
        let object = answer_of(&fill_reader).await.object();
        fill_writer.complete();
        assert!(read(&object.body).await.is_err(), "{path}");
        drop(look_up(&cache, &key(path)).miss());
    }
    assert!(cache.objects(10).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_end_that_contradicts_the_published_head_leaves_no_reader_waiting() {
    let (cache, key) = (roomy(), key("/1.ts"));
    store(&cache, &key, lifetimes(2, 10, 60), b"old");
    advance(seconds(20)).await;
    let (fill_reader, mut fill_writer) = look_up(&cache, &key).miss();
    publish(&mut fill_writer, lifetimes(60, 0, 0));
    append(&mut fill_writer, b"half");
    fill_writer.renew(head(), lifetimes(60, 0, 0), "origin".into());
    assert!(read(&answer_of(&fill_reader).await.object().body).await.is_err());

    cache.purge(&key);
    let (fill_reader, mut fill_writer) = look_up(&cache, &key).miss();
    publish(&mut fill_writer, lifetimes(60, 0, 0));
    fill_writer.pass(seconds(1));
    assert!(read(&answer_of(&fill_reader).await.object().body).await.is_err());

    cache.purge(&key);
    let (fill_reader, mut fill_writer) = look_up(&cache, &key).miss();
    publish(&mut fill_writer, lifetimes(60, 0, 0));
    append(&mut fill_writer, b"one source's half ");
    let first = answer_of(&fill_reader).await.object();
    publish(&mut fill_writer, lifetimes(60, 0, 0));
    assert!(read(&first.body).await.is_err(), "a second head does not continue the first body");
    append(&mut fill_writer, b"another's whole");
    fill_writer.complete();
    assert_eq!(bytes(&look_up(&cache, &key).hit()), b"another's whole");
}
