//! A fill of a part becomes the fill of the whole when the upstream sends the whole.

use tidegate_cache::{Answer, Broken, Key};
use tokio::time::advance;

use crate::harness::*;

fn part() -> Key {
    key("/all.ts#0-9")
}

fn whole() -> Key {
    key("/all.ts")
}

#[tokio::test(start_paused = true)]
async fn the_readers_of_the_part_stay_and_the_object_is_the_wholes() {
    let cache = roomy();
    let (elected, mut fill_writer) = look_up(&cache, &part()).miss();
    let joined = look_up(&cache, &part()).join();
    assert!(fill_writer.move_to(&whole()));
    assert_eq!(fill_writer.key(), whole());
    let of_the_whole = look_up(&cache, &whole()).join();
    assert_eq!(cache.totals().fills, 1);
    fill(fill_writer, lifetimes(60, 0, 0), b"all of it");
    for fill_reader in [&elected, &joined, &of_the_whole] {
        assert_eq!(bytes(&answer_of(fill_reader).await.object()), b"all of it");
    }
    assert_eq!(bytes(&look_up(&cache, &whole()).hit()), b"all of it");
    // The part has no object of its own, and a request for it may start a fill.
    drop(look_up(&cache, &part()).miss());
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn a_fill_of_the_whole_under_way_stays_the_only_one() {
    let cache = roomy();
    let (_of_the_whole, other) = look_up(&cache, &whole()).miss();
    let (of_the_part, mut fill_writer) = look_up(&cache, &part()).miss();
    assert!(!fill_writer.move_to(&whole()));
    assert_eq!(fill_writer.key(), part());
    fill(fill_writer, lifetimes(60, 0, 0), b"a part");
    assert_eq!(bytes(&answer_of(&of_the_part).await.object()), b"a part");
    fill(other, lifetimes(60, 0, 0), b"all of it");
    assert_eq!(bytes(&look_up(&cache, &part()).hit()), b"a part");
    assert_eq!(bytes(&look_up(&cache, &whole()).hit()), b"all of it");
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn a_whole_that_varies_takes_no_fill_of_a_part() {
    let cache = roomy();
    let (_german, mut german) = look_up_as(&cache, &whole(), "de").miss();
    publish_as(&mut german, variant(&["accept-language"], "de"));
    german.complete();
    let (_of_the_part, mut fill_writer) = look_up(&cache, &part()).miss();
    assert!(!fill_writer.move_to(&whole()));
    drop(fill_writer);
    look_up_as(&cache, &whole(), "de").hit();
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn it_replaces_the_object_of_the_whole_and_forgets_that_of_the_part() {
    let cache = roomy();
    store(&cache, &whole(), lifetimes(60, 0, 0), b"short");
    store(&cache, &part(), lifetimes(1, 0, 60), b"a part");
    advance(seconds(2)).await;
    let (fill_reader, mut fill_writer) = look_up(&cache, &part()).miss();
    assert!(fill_writer.stale().is_some());
    assert!(fill_writer.move_to(&whole()));
    assert!(fill_writer.stale().is_none(), "an upstream cannot confirm the part for the whole");
    let joined = look_up(&cache, &whole()).join();
    publish(&mut fill_writer, lifetimes(60, 0, 0));
    append(&mut fill_writer, b"longer");
    fill_writer.break_off(Broken("reset"));
    for fill_reader in [fill_reader, joined] {
        assert_eq!(read(&answer_of(&fill_reader).await.object().body).await, Err(Broken("reset")));
    }
    // A broken whole is not stored, and the short one does not return.
    drop(look_up(&cache, &whole()).miss());
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_has_moved_is_abandoned_like_any_other() {
    let cache = roomy();
    let (fill_reader, mut fill_writer) = look_up(&cache, &part()).miss();
    assert!(fill_writer.move_to(&whole()));
    publish(&mut fill_writer, lifetimes(60, 0, 0));
    append(&mut fill_writer, &[0; 1000]);
    let joined = look_up(&cache, &whole()).join();
    drop(fill_reader);
    let fill_writer = fill_writer.abandon().expect_err("a reader of the whole wants it");
    drop(joined);
    in_time(fill_writer.until_unwanted()).await;
    fill_writer.abandon().unwrap();
    for key in [part(), whole()] {
        drop(look_up(&cache, &key).miss());
    }
    assert_quiet(&cache);
    assert_eq!(cache.totals().body_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn the_bytes_of_the_whole_are_known_as_they_arrive() {
    let cache = roomy();
    let settled = seconds(1);
    assert!(!cache.covers(&whole(), 9, settled));
    let (_fill_reader, mut fill_writer) = look_up(&cache, &part()).miss();
    assert!(fill_writer.move_to(&whole()));
    assert!(!cache.covers(&whole(), 9, settled), "no head has arrived");
    fill_writer.publish(head(), lifetimes(60, 0, 0), None, Some(10), "origin".into()).unwrap();
    assert!(cache.covers(&whole(), 9, settled) && !cache.covers(&whole(), 10, settled));
    append(&mut fill_writer, &[0; 10]);
    fill_writer.complete();
    assert!(cache.covers(&whole(), 9, settled));
    assert!(cache.covers(&whole(), 10, settled), "a new one can say that there is no such byte");
    advance(seconds(2)).await;
    assert!(cache.covers(&whole(), 9, settled) && !cache.covers(&whole(), 10, settled));
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_moves_is_never_out_of_sight() {
    let cache = roomy();
    let (_elected, mut fill_writer) = look_up(&cache, &part()).miss();
    assert!(fill_writer.move_to(&whole()));
    // Its head has not arrived: the whole cannot say yet whether it serves the part.
    assert!(!cache.covers(&whole(), 9, seconds(1)));
    let joined = look_up(&cache, &part()).join();
    assert_eq!(cache.totals().fills, 1);
    publish(&mut fill_writer, lifetimes(60, 0, 0));
    assert!(cache.covers(&whole(), 9, seconds(1)));
    append(&mut fill_writer, b"all of it");
    fill_writer.complete();
    assert_eq!(bytes(&answer_of(&joined).await.object()), b"all of it");
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn readers_of_a_fill_that_yields_look_up_again() {
    let cache = roomy();
    let (_elected, fill_writer) = look_up(&cache, &part()).miss();
    let joined = look_up(&cache, &part()).join();
    fill_writer.yield_to_other();
    assert!(matches!(answer_of(&joined).await, Answer::Pass));
    // Nothing is remembered of it: a later request may start a fill.
    drop(look_up(&cache, &part()).miss());
    assert_quiet(&cache);
}
