//! A purge takes effect immediately, and harms no reader.

use tidegate_cache::Answer;

use crate::harness::*;

#[tokio::test(start_paused = true)]
async fn a_purge_during_a_fill_lets_readers_continue_and_stores_nothing() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let (fill_reader, mut old) = look_up(&cache, &key).miss();
    publish(&mut old, lifetimes(60, 0, 0));
    append(&mut old, b"before ");
    cache.purge(&key);

    let (next, mut new) = look_up(&cache, &key).miss();
    publish(&mut new, lifetimes(60, 0, 0));
    append(&mut old, b"after");
    old.complete();
    assert_eq!(read(&answer_of(&fill_reader).await.object().body).await.unwrap(), b"before after");
    let joined = look_up(&cache, &key).join();
    append(&mut new, b"new");
    new.complete();
    for fill_reader in [&next, &joined] {
        assert_eq!(read(&answer_of(fill_reader).await.object().body).await.unwrap(), b"new");
    }
    assert_eq!(bytes(&look_up(&cache, &key).hit()), b"new");
    drop((fill_reader, next, joined));
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn a_purge_before_the_head_lets_readers_continue() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let (fill_reader, fill_writer) = look_up(&cache, &key).miss();
    cache.purge(&key);
    assert_eq!(cache.totals().fills, 0);
    fill(fill_writer, lifetimes(60, 0, 0), b"old");
    assert_eq!(bytes(&answer_of(&fill_reader).await.object()), b"old");
    drop(look_up(&cache, &key).miss());
}

#[tokio::test(start_paused = true)]
async fn a_purge_removes_objects_failures_and_passes() {
    let cache = roomy();
    store(&cache, &key("/object"), lifetimes(60, 0, 0), b"x");
    look_up(&cache, &key("/failure")).miss().1.fail(failure("timeout", 60));
    look_up(&cache, &key("/pass")).miss().1.pass(seconds(60));
    for path in ["/object", "/failure", "/pass", "/never requested"] {
        cache.purge(&key(path));
        drop(look_up(&cache, &key(path)).miss());
    }
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn readers_of_a_purged_object_read_it_to_its_end() {
    let (cache, key) = (roomy(), key("/1.ts"));
    store(&cache, &key, lifetimes(60, 0, 0), b"segment");
    let object = look_up(&cache, &key).hit();
    cache.purge(&key);
    assert_eq!(read(&object.body).await.unwrap(), b"segment");
    assert_eq!(cache.totals().charged_bytes, 0);
    assert_eq!(cache.totals().body_bytes, 7);
    drop(object);
    assert_eq!(cache.totals().body_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn no_end_of_a_purged_fill_leaves_anything_behind() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let purged = || {
        let (fill_reader, mut fill_writer) = look_up(&cache, &key).miss();
        publish(&mut fill_writer, lifetimes(60, 0, 0));
        append(&mut fill_writer, &vec![0; 100_000]);
        cache.purge(&key);
        append(&mut fill_writer, &vec![0; 500_000]);
        assert_eq!(cache.totals().charged_bytes, 0, "a purged fill is not charged again");
        (fill_reader, fill_writer)
    };
    purged().1.fail(failure("timeout", 60));
    purged().1.pass(seconds(60));
    purged().1.end_too_large(seconds(60));
    purged().1.break_off(tidegate_cache::Broken("reset"));
    drop(purged().1);
    let (fill_reader, fill_writer) = purged();
    drop(fill_reader);
    fill_writer.abandon().unwrap();
    let (fill_reader, fill_writer) = look_up(&cache, &key).miss();
    cache.purge(&key);
    fill_writer.pass(seconds(60));
    assert!(matches!(answer_of(&fill_reader).await, Answer::Pass));
    drop(look_up(&cache, &key).miss());
    drop(fill_reader);
    assert_quiet(&cache);
}
