//! A fill that nobody wants may be given up, and only then.

use futures_util::FutureExt;
use tidegate_cache::{Answer, Broken};
use tokio::task::JoinSet;

use crate::house::*;

#[tokio::test(start_paused = true)]
async fn a_fill_is_abandoned_only_when_nobody_holds_a_ticket() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let (first, filling) = ask(&cache, &key).miss();
    let second = ask(&cache, &key).join();
    let filling = filling.abandon().expect_err("two want it");
    drop(first);
    let filling = filling.abandon().expect_err("one wants it");
    assert!(filling.deserted().now_or_never().is_none());
    drop(second);
    soon(filling.deserted()).await;
    let late = ask(&cache, &key).join();
    let filling = filling.abandon().expect_err("somebody has come in the meantime");
    drop(late);
    filling.abandon().unwrap();
    drop(ask(&cache, &key).miss());
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn abandoning_breaks_what_has_grown_and_stores_nothing() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let (ticket, mut filling) = ask(&cache, &key).miss();
    publish(&mut filling, lives(60, 0, 0));
    append(&mut filling, b"half");
    let Answer::Object(object) = told(&ticket).await else { panic!("the head is out") };
    drop(ticket);
    filling.abandon().unwrap();
    assert_eq!(read(&object.body).await, Err(Broken("abandoned")));
    assert!(cache.objects(10).is_empty());
    drop(ask(&cache, &key).miss());
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn the_writer_wakes_when_the_last_ticket_goes() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let (first, filling) = ask(&cache, &key).miss();
    let second = ask(&cache, &key).join();
    let mut writer = JoinSet::new();
    writer.spawn(async move {
        filling.deserted().await;
        filling.abandon().is_ok()
    });
    tokio::task::yield_now().await;
    drop(first);
    tokio::task::yield_now().await;
    assert!(writer.try_join_next().is_none());
    drop(second);
    assert!(soon(writer.join_next()).await.unwrap().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_wake_up_is_not_lost_with_a_wait_that_was_given_up() {
    let (cache, key) = (roomy(), key("/1.ts"));
    let (ticket, filling) = ask(&cache, &key).miss();
    let mut given_up = Box::pin(filling.deserted());
    assert!(given_up.as_mut().now_or_never().is_none());
    drop(ticket);
    drop(given_up);
    assert!(filling.deserted().now_or_never().is_some());
    let again = ask(&cache, &key).join();
    assert!(filling.deserted().now_or_never().is_none(), "an old wake-up is not believed");
    drop(again);
    assert!(filling.deserted().now_or_never().is_some());
    drop(filling);
}
