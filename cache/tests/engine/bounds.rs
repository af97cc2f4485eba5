//! Objects that are too large are refused, before their head is published where that is possible.

use bytes::Bytes;
use http::HeaderValue;
use tidegate_cache::{Answer, Cache, Limits, Refused};
use tokio::time::advance;

use crate::harness::*;

fn small() -> Cache {
    Cache::new(Limits { bytes: MIB, object_max: 300_000, variants_max: 64 })
}

fn publish_len(fill_writer: &mut tidegate_cache::FillWriter, bytes: u64) -> Result<(), Refused> {
    fill_writer.publish(head(), lifetimes(60, 0, 0), None, Some(bytes), "origin".into())
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_declared_too_large_is_refused_before_its_head_is_published() {
    let (cache, key) = (small(), key("/huge.ts"));
    let (fill_reader, mut fill_writer) = look_up(&cache, &key).miss();
    assert_eq!(publish_len(&mut fill_writer, 300_001), Err(Refused::TooLarge { max: 300_000 }));
    assert!(now(&fill_reader).is_none());
    fill_writer.pass(seconds(10));
    assert!(matches!(answer_of(&fill_reader).await, Answer::Pass));
    drop(fill_reader);
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn an_object_may_be_exactly_as_large_as_the_limit() {
    let (cache, key) = (small(), key("/large.ts"));
    let (_fill_reader, mut fill_writer) = look_up(&cache, &key).miss();
    publish(&mut fill_writer, lifetimes(60, 0, 0));
    append(&mut fill_writer, &vec![1; 299_999]);
    append(&mut fill_writer, &[1; 1]);
    assert_eq!(fill_writer.append(Bytes::from_static(b"x")), Err(Refused::TooLarge { max: 300_000 }));
    drop(fill_writer);
    let (_fill_reader, mut fill_writer) = look_up(&cache, &key).miss();
    publish_len(&mut fill_writer, 300_000).unwrap();
    append(&mut fill_writer, &vec![1; 300_000]);
    fill_writer.complete();
    assert_eq!(bytes(&look_up(&cache, &key).hit()).len(), 300_000);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_exceeds_the_limit_breaks_and_passes_for_a_while() {
    let (cache, key) = (small(), key("/huge.ts"));
    let (fill_reader, mut fill_writer) = look_up(&cache, &key).miss();
    publish(&mut fill_writer, lifetimes(60, 0, 0));
    append(&mut fill_writer, &vec![0; 200_000]);
    let object = answer_of(&fill_reader).await.object();
    fill_writer.append(Bytes::from(vec![0; 200_000])).unwrap_err();
    fill_writer.end_too_large(seconds(10));
    assert_eq!(read(&object.body).await.unwrap_err().0, "too_large");
    assert!(look_up(&cache, &key).passes());
    advance(seconds(10)).await;
    drop(look_up(&cache, &key).miss());
    drop(fill_reader);
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_was_refused_a_byte_is_never_stored() {
    let (cache, key) = (small(), key("/huge.ts"));
    let (fill_reader, mut fill_writer) = look_up(&cache, &key).miss();
    publish(&mut fill_writer, lifetimes(60, 0, 0));
    append(&mut fill_writer, &vec![0; 200_000]);
    let object = answer_of(&fill_reader).await.object();
    fill_writer.append(Bytes::from(vec![0; 200_000])).unwrap_err();
    fill_writer.complete();
    assert!(read(&object.body).await.is_err());
    assert!(cache.objects(10).is_empty());
    drop(look_up(&cache, &key).miss());
}

#[tokio::test(start_paused = true)]
async fn fills_under_way_reserve_at_most_three_quarters_of_the_budget() {
    let cache = small();
    let mut under_way = Vec::new();
    for path in ["/1.ts", "/2.ts"] {
        let (fill_reader, mut fill_writer) = look_up(&cache, &key(path)).miss();
        publish_len(&mut fill_writer, 300_000).unwrap();
        under_way.push((fill_reader, fill_writer));
    }
    let (fill_reader, mut fill_writer) = look_up(&cache, &key("/3.ts")).miss();
    assert_eq!(publish_len(&mut fill_writer, 300_000), Err(Refused::NoRoom));
    assert_eq!(cache.totals().filling_bytes, 600_000);
    under_way.pop();
    publish_len(&mut fill_writer, 300_000).unwrap();
    drop((fill_reader, fill_writer, under_way));
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn a_body_of_unknown_length_takes_the_room_that_is_left() {
    let cache = small();
    let (_fill_reader, mut other) = look_up(&cache, &key("/other.ts")).miss();
    publish_len(&mut other, 300_000).unwrap();
    let (_second, mut fill_writer) = look_up(&cache, &key("/unknown.ts")).miss();
    publish(&mut fill_writer, lifetimes(60, 0, 0));
    for _ in 0..30 {
        append(&mut fill_writer, &[0; 10_000]);
    }
    fill_writer.complete();
    assert_eq!(bytes(&look_up(&cache, &key("/unknown.ts")).hit()).len(), 300_000);
}

#[tokio::test(start_paused = true)]
async fn tiny_limits_hold_like_any_other() {
    for limits in [
        Limits { bytes: MIB, object_max: 1000, variants_max: 64 },
        Limits { bytes: 8000, object_max: 8000, variants_max: 64 },
    ] {
        let (cache, key) = (Cache::new(limits), key("/1.ts"));
        let (fill_reader, mut fill_writer) = look_up(&cache, &key).miss();
        publish(&mut fill_writer, lifetimes(60, 0, 0));
        append(&mut fill_writer, &[0; 500]);
        append(&mut fill_writer, &[0; 500]);
        assert!(fill_writer.append(Bytes::from(vec![0; 8000])).is_err());
        drop((fill_writer, fill_reader));
        store(&cache, &key, lifetimes(60, 0, 0), &[0; 1000]);
        assert_eq!(bytes(&look_up(&cache, &key).hit()).len(), 1000);
        assert_quiet(&cache);
    }
}

#[tokio::test(start_paused = true)]
async fn an_objects_weight_is_its_key_head_body_and_derived_forms() {
    let cache = roomy();
    let charged = || cache.totals().charged_bytes;
    store(&cache, &key("/plain"), lifetimes(60, 0, 0), &[0; 5000]);
    let plain = charged();
    assert!((5000..6000).contains(&plain), "{plain}");

    let long = format!("/{}", "k".repeat(3000));
    store(&cache, &key(&long), lifetimes(60, 0, 0), &[0; 5000]);
    assert_eq!(charged() - plain, plain + 3000 + 1 - 6);

    let before = charged();
    let (_fill_reader, mut fill_writer) = look_up(&cache, &key("/heads")).miss();
    let mut large = head();
    large.headers.insert("x-large", HeaderValue::from_str(&"v".repeat(2000)).unwrap());
    fill_writer.publish(large, lifetimes(60, 0, 0), None, None, "origin".into()).unwrap();
    fill_writer.complete();
    assert!(charged() - before > 2000);

    let before = charged();
    look_up(&cache, &key("/plain")).hit().gzip.set(Some(Bytes::from(vec![0; 700]))).unwrap();
    cache.weigh_again(&key("/plain"));
    assert_eq!(charged() - before, 700);
    cache.weigh_again(&key("/not cached"));
    assert_eq!(cache.totals().slots, 3);
}
