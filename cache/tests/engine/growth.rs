//! Cut-through: every joining request reads from the first byte while the rest arrives, at its own speed.

use futures_util::FutureExt;

use crate::harness::*;

#[tokio::test(start_paused = true)]
async fn a_joiner_reads_from_the_first_byte_while_it_grows() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let (_first, mut fill_writer) = look_up(&cache, &key).miss();
    publish(&mut fill_writer, lifetimes(60, 0, 0));
    append(&mut fill_writer, b"abc");
    let joiner = look_up(&cache, &key).join();
    let mut reader = answer_of(&joiner).await.object().body.reader(0, None);
    assert_eq!(reader.next(ALL).await.unwrap(), ["abc"]);
    assert!(reader.next(ALL).now_or_never().is_none(), "the rest has not arrived");
    append(&mut fill_writer, b"def");
    assert_eq!(reader.next(ALL).await.unwrap(), ["def"]);
    fill_writer.complete();
    assert_eq!(reader.next(ALL).await, Ok(vec![]));
}

#[tokio::test(start_paused = true)]
async fn the_head_is_there_before_the_first_byte() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let (fill_reader, mut fill_writer) = look_up(&cache, &key).miss();
    assert!(now(&fill_reader).is_none());
    fill_writer.publish(head(), lifetimes(60, 0, 0), None, Some(7), "origin".into()).unwrap();
    let object = now(&fill_reader).unwrap().object();
    assert_eq!((object.body.len(), object.body.full_len()), (0, Some(7)));
    assert!(!object.body.is_complete());
    append(&mut fill_writer, b"segment");
    fill_writer.complete();
    assert!(object.body.is_complete());
}

#[tokio::test(start_paused = true)]
async fn a_range_that_has_arrived_does_not_wait_for_the_rest() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let (fill_reader, mut fill_writer) = look_up(&cache, &key).miss();
    publish(&mut fill_writer, lifetimes(60, 0, 0));
    append(&mut fill_writer, b"0123456789");
    let body = body_of(&fill_reader).await;
    let mut range = body.reader(3, Some(6));
    assert_eq!(range.next(ALL).now_or_never().unwrap().unwrap(), ["345"]);
    assert_eq!(range.next(ALL).now_or_never().unwrap(), Ok(vec![]));
    let mut ahead = body.reader(12, Some(14));
    assert!(ahead.next(ALL).now_or_never().is_none());
    append(&mut fill_writer, b"abcdef");
    assert_eq!(ahead.next(ALL).await.unwrap(), ["cd"]);
    drop(fill_writer);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_slows_neither_the_fill_nor_the_others() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let (fill_reader, mut fill_writer) = look_up(&cache, &key).miss();
    publish(&mut fill_writer, lifetimes(60, 0, 0));
    let body = body_of(&fill_reader).await;
    let mut slow = body.reader(0, None);
    let mut quick = body.reader(0, None);
    let chunk = [7; 10_000];
    for _ in 0..100 {
        append(&mut fill_writer, &chunk);
        assert_eq!(quick.next(ALL).now_or_never().unwrap().unwrap().concat(), chunk);
    }
    fill_writer.complete();
    assert_eq!(slow.next(ALL).await.unwrap().concat().len(), 1_000_000);
    assert_eq!(slow.next(ALL).await, Ok(vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_length_ends_when_it_is_reached_or_can_never_be() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let (fill_reader, mut fill_writer) = look_up(&cache, &key).miss();
    publish(&mut fill_writer, lifetimes(60, 0, 0));
    let body = body_of(&fill_reader).await;
    append(&mut fill_writer, b"abc");
    assert_eq!(body.wait_for_len(3).now_or_never(), Some(Ok(())));
    assert_eq!(body.wait_for_len(4).now_or_never(), None);
    fill_writer.break_off(tidegate_cache::Broken("reset"));
    assert_eq!(body.wait_for_len(3).await, Ok(()));
    assert_eq!(body.wait_for_len(4).await, Err(tidegate_cache::Broken("reset")));
}
