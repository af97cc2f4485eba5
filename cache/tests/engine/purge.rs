//! A purge takes effect immediately, and harms no reader.

use std::sync::Arc;

use tidegate_cache::{Answer, Cache, FillWriter, Head, Key, Limits, PurgeMode, Purged, Refused, Selection};
use tokio::time::Instant;

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

/// Selects keys that contain a text, or heads that contain a tag.
#[derive(Debug)]
enum Rule {
    Keys(&'static str),
    Tag(&'static str),
}

impl Selection for Rule {
    fn selects_key(&self, key: &Key) -> bool {
        match self {
            Self::Keys(text) => key.as_str().contains(text),
            Self::Tag(_) => true,
        }
    }

    fn selects_head(&self, head: &Head) -> Option<bool> {
        let Self::Tag(tag) = self else { return None };
        Some(head.headers.get_all("surrogate-key").iter().any(|value| value == tag))
    }

    fn reads_heads(&self) -> bool {
        matches!(self, Self::Tag(_))
    }
}

fn purge(cache: &Cache, rule: Rule, mode: PurgeMode) -> Purged {
    let rule: Arc<dyn Selection> = Arc::new(rule);
    cache.purge_selected(&rule, mode)
}

fn tagged(tag: &'static str) -> Head {
    let mut head = head();
    head.headers.insert("surrogate-key", http::HeaderValue::from_static(tag));
    head
}

fn publish_tagged(fill_writer: &mut FillWriter, tag: &'static str) -> Result<(), Refused> {
    fill_writer.publish(tagged(tag), lifetimes(60, 0, 60), None, None, Arc::from("origin"))
}

fn store_tagged(cache: &Cache, key: &Key, tag: &'static str) {
    let (_fill_reader, mut fill_writer) = look_up(cache, key).miss();
    publish_tagged(&mut fill_writer, tag).unwrap();
    append(&mut fill_writer, b"old");
    fill_writer.complete();
}

#[tokio::test(start_paused = true)]
async fn a_purge_by_keys_removes_all_that_it_selects_and_nothing_else() {
    let cache = roomy();
    for path in ["/a/1", "/a/2", "/b/1"] {
        store(&cache, &key(path), lifetimes(60, 0, 0), b"old");
    }
    look_up(&cache, &key("/a/failure")).miss().1.fail(failure("timeout", 60));
    look_up(&cache, &key("/a/pass")).miss().1.pass(seconds(60));
    let (_fill_reader, mut varying) = look_up_as(&cache, &key("/a/vary"), "fr").miss();
    publish_as(&mut varying, variant(&["accept-language"], "fr"));
    varying.complete();
    drop(look_up_as(&cache, &key("/a/vary"), "fr").hit());

    let purged = purge(&cache, Rule::Keys("\n/a/"), PurgeMode::Remove);
    assert_eq!((purged.objects.len(), purged.fills), (3, 0));
    for path in ["/a/1", "/a/2", "/a/failure", "/a/pass"] {
        drop(look_up(&cache, &key(path)).miss());
    }
    drop(look_up_as(&cache, &key("/a/vary"), "fr").miss());
    assert_eq!(bytes(&look_up(&cache, &key("/b/1")).hit()), b"old");
    assert_eq!(purge(&cache, Rule::Keys(""), PurgeMode::Remove).objects.len(), 1);
    assert_quiet(&cache);
    assert_eq!((cache.totals().slots, cache.totals().charged_bytes), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_soft_purge_expires_objects_which_serve_only_when_no_upstream_can() {
    let (cache, key) = (roomy(), key("/1.ts"));
    store(&cache, &key, lifetimes(60, 60, 600), b"old");
    let purged = purge(&cache, Rule::Keys("1.ts"), PurgeMode::Expire);
    assert_eq!(purged.objects, std::slice::from_ref(&key));
    let (fill_reader, fill_writer) = look_up(&cache, &key).miss();
    assert_eq!(bytes(fill_writer.stale().unwrap()), b"old", "it may be confirmed");
    fill_writer.fail(failure("timeout", 1));
    let (_failure, stale) = answer_of(&fill_reader).await.failure();
    assert_eq!(bytes(&stale.unwrap()), b"old");
}

#[tokio::test(start_paused = true)]
async fn readers_without_a_head_look_up_again_after_a_purge() {
    for mode in [PurgeMode::Remove, PurgeMode::Expire] {
        let (cache, key) = (roomy(), key("/1.ts"));
        let (elected, old) = look_up(&cache, &key).miss();
        let joined = look_up(&cache, &key).join();
        let watch = old.purge_watch();
        assert!(!watch.is_purged());
        assert_eq!(purge(&cache, Rule::Keys("1.ts"), mode).fills, 1);
        assert!(watch.is_purged());
        for reader in [elected, joined] {
            assert!(matches!(answer_of(&reader).await, Answer::Purged));
        }
        let (_next, new) = look_up(&cache, &key).miss();
        fill(old, lifetimes(60, 0, 0), b"old");
        drop(look_up(&cache, &key).join());
        fill(new, lifetimes(60, 0, 0), b"new");
        assert_eq!(bytes(&look_up(&cache, &key).hit()), b"new");
        assert_quiet(&cache);
    }
}

#[tokio::test(start_paused = true)]
async fn a_purge_reaches_a_body_on_its_way_and_its_readers_read_to_the_end() {
    for rule in [Rule::Keys("1.ts"), Rule::Tag("a")] {
        for mode in [PurgeMode::Remove, PurgeMode::Expire] {
            let (cache, key) = (roomy(), key("/1.ts"));
            let (fill_reader, mut old) = look_up(&cache, &key).miss();
            publish_tagged(&mut old, "a").unwrap();
            append(&mut old, b"before ");
            let rule: Arc<dyn Selection> = match rule {
                Rule::Keys(text) => Arc::new(Rule::Keys(text)),
                Rule::Tag(tag) => Arc::new(Rule::Tag(tag)),
            };
            assert_eq!(cache.purge_selected(&rule, mode).fills, 1);
            append(&mut old, b"after");
            old.complete();
            assert_eq!(read(&answer_of(&fill_reader).await.object().body).await.unwrap(), b"before after");
            drop(look_up(&cache, &key).miss());
            assert_quiet(&cache);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_purge_by_tag_waits_for_the_heads_of_fills_under_way() {
    let cache = roomy();
    for (tag, is_purged) in [("b", false), ("a", true)] {
        let key = key(tag);
        let (elected, mut fill_writer) = look_up(&cache, &key).miss();
        let purged = purge(&cache, Rule::Tag("a"), PurgeMode::Remove);
        assert_eq!(purged, Purged::default(), "no head is known");
        let joined = look_up(&cache, &key).join();
        let watch = fill_writer.purge_watch();
        assert_eq!(watch.selects(&tagged(tag)), is_purged);
        assert_eq!(publish_tagged(&mut fill_writer, tag).is_err(), is_purged);
        assert_eq!(watch.is_purged(), is_purged);
        if is_purged {
            fill_writer.yield_to_other();
            for reader in [elected, joined] {
                assert!(matches!(answer_of(&reader).await, Answer::Purged));
            }
            store_tagged(&cache, &key, tag);
        } else {
            append(&mut fill_writer, b"old");
            fill_writer.complete();
        }
        assert_eq!(bytes(&look_up(&cache, &key).hit()), b"old");
    }
    assert_eq!(purge(&cache, Rule::Tag("a"), PurgeMode::Remove).objects, [key("a")]);
    assert_quiet(&cache);
}

/// The upstream may confirm the object that the fill has from before the purge.
#[tokio::test(start_paused = true)]
async fn a_revalidation_under_way_does_not_bring_a_purged_object_back() {
    for rule in [Rule::Keys("1.ts"), Rule::Tag("a")] {
        let (cache, key) = (roomy(), key("/1.ts"));
        store_tagged(&cache, &key, "a");
        let early = cache.fill_early(&key).unwrap();
        assert_eq!(purge(&cache, rule, PurgeMode::Remove).fills, 1);
        early.renew(tagged("a"), lifetimes(60, 0, 0), Arc::from("origin"));
        drop(look_up(&cache, &key).miss());
    }
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_that_adds_a_purged_tag_is_not_stored() {
    let (cache, key) = (roomy(), key("/1.ts"));
    store_tagged(&cache, &key, "b");
    let early = cache.fill_early(&key).unwrap();
    assert_eq!(purge(&cache, Rule::Tag("a"), PurgeMode::Remove), Purged::default());
    early.renew(tagged("a"), lifetimes(600, 0, 0), Arc::from("origin"));
    tokio::time::advance(seconds(61)).await;
    drop(look_up(&cache, &key).miss());
    assert_quiet(&cache);
}

/// Prints how long a purge by tag takes among many objects; `cargo test -- --nocapture` shows it.
#[tokio::test]
#[expect(clippy::print_stdout, reason = "the time is what a reader asks for")]
async fn a_purge_by_tag_of_many_objects() {
    let cache = Cache::new(Limits { bytes: 1024 * MIB, object_max: MIB, variants_max: 64 });
    let (selected, others) = (100_000, 100_000);
    for number in 0..selected + others {
        store_tagged(&cache, &key(&number.to_string()), if number < selected { "a" } else { "b" });
    }
    let began = Instant::now();
    let purged = purge(&cache, Rule::Tag("a"), PurgeMode::Remove);
    println!("{selected} of {} objects were purged by tag in {:?}", selected + others, began.elapsed());
    assert_eq!(purged.objects.len(), selected);
    assert_eq!(cache.totals().slots, others as u64);
}
