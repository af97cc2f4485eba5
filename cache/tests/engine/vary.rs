//! Varying responses are cached per variant, and each variant is filled once (RFC 9111 section 4.1).

use tidegate_cache::{Cache, FillWriter, Key, Lookup, Object};
use tokio::time::advance;

use crate::harness::*;

const LANGUAGE: &[&str] = &["accept-language"];

fn fill_as(mut fill_writer: FillWriter, names: &[&'static str], value: &str) {
    publish_as(&mut fill_writer, variant(names, value));
    append(&mut fill_writer, value.as_bytes());
    fill_writer.complete();
}

/// Stores one variant of `key` for each of `values`.
#[track_caller]
fn store_variants(cache: &Cache, key: &Key, names: &[&'static str], values: &[&str]) {
    for value in values {
        fill_as(look_up_as(cache, key, value).miss().1, names, value);
    }
}

fn values(object: &Object) -> &str {
    &object.variant.as_ref().expect("it varies").values
}

#[tokio::test(start_paused = true)]
async fn two_variants_are_cached_separately() {
    let (cache, key) = (roomy(), key("/subtitles.vtt"));
    store_variants(&cache, &key, LANGUAGE, &["de", "fr"]);
    for value in ["de", "fr", "de"] {
        assert_eq!(bytes(&look_up_as(&cache, &key, value).hit()), value.as_bytes());
    }
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn each_variant_is_filled_once_for_any_number_of_requests() {
    let (cache, key) = (roomy(), key("/subtitles.vtt"));
    store_variants(&cache, &key, LANGUAGE, &["de"]);
    let (_elected, fill_writer) = look_up_as(&cache, &key, "fr").miss();
    let joined: Vec<_> = (0..20).map(|_| look_up_as(&cache, &key, "fr").join()).collect();
    assert_eq!(cache.totals().fills, 1);
    fill_as(fill_writer, LANGUAGE, "fr");
    for fill_reader in &joined {
        assert_eq!(bytes(&answer_of(fill_reader).await.object()), b"fr");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_joined_the_wrong_variant_finds_its_own() {
    let (cache, key) = (roomy(), key("/subtitles.vtt"));
    let (_german, mut german) = look_up_as(&cache, &key, "de").miss();
    let french = look_up_as(&cache, &key, "fr").join();
    publish_as(&mut german, variant(LANGUAGE, "de"));
    assert_ne!(values(&answer_of(&french).await.object()), "accept-language=fr;");
    drop(french);
    let (own, fill_writer) = look_up_as(&cache, &key, "fr").miss();
    let second_german = look_up_as(&cache, &key, "de").join();
    assert_eq!(cache.totals().fills, 2, "one for each variant");
    fill_as(fill_writer, LANGUAGE, "fr");
    assert_eq!(bytes(&answer_of(&own).await.object()), b"fr");
    append(&mut german, b"de");
    german.complete();
    assert_eq!(bytes(&answer_of(&second_german).await.object()), b"de");
    drop((own, second_german));
    assert_eq!(bytes(&look_up_as(&cache, &key, "fr").hit()), b"fr");
    assert_eq!(bytes(&look_up_as(&cache, &key, "de").hit()), b"de");
}

#[tokio::test(start_paused = true)]
async fn a_purge_removes_all_variants() {
    let (cache, key) = (roomy(), key("/subtitles.vtt"));
    store_variants(&cache, &key, LANGUAGE, &["de", "fr"]);
    cache.purge(&key);
    store_variants(&cache, &key, LANGUAGE, &["de", "fr"]);
}

#[tokio::test(start_paused = true)]
async fn a_variants_fill_from_before_a_purge_is_not_stored_after_it() {
    let (cache, key) = (roomy(), key("/subtitles.vtt"));
    store_variants(&cache, &key, LANGUAGE, &["de"]);
    let (fill_reader, french) = look_up_as(&cache, &key, "fr").miss();
    cache.purge(&key);
    fill_as(french, LANGUAGE, "fr");
    assert_eq!(bytes(&answer_of(&fill_reader).await.object()), b"fr", "its readers receive it");
    store_variants(&cache, &key, LANGUAGE, &["fr", "de"]);
    drop(fill_reader);
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn a_purge_before_a_varying_head_keeps_the_old_response_out() {
    let (cache, key) = (roomy(), key("/subtitles.vtt"));
    let (fill_reader, old) = look_up_as(&cache, &key, "de").miss();
    cache.purge(&key);
    let (_next, new) = look_up_as(&cache, &key, "de").miss();
    fill_as(old, LANGUAGE, "de");
    assert_eq!(bytes(&answer_of(&fill_reader).await.object()), b"de");
    let joined = look_up_as(&cache, &key, "de").join();
    fill_as(new, LANGUAGE, "de");
    assert_eq!(bytes(&answer_of(&joined).await.object()), b"de");
    look_up_as(&cache, &key, "de").hit();
    drop((fill_reader, joined));
}

#[tokio::test(start_paused = true)]
async fn a_fill_from_before_a_purge_changes_nothing_cached_after_it() {
    let (cache, key) = (roomy(), key("/subtitles.vtt"));
    store_variants(&cache, &key, LANGUAGE, &["de"]);
    let (_french, french) = look_up_as(&cache, &key, "fr").miss();
    let (_italian, mut italian) = look_up_as(&cache, &key, "it").miss();
    cache.purge(&key);
    store_variants(&cache, &key, LANGUAGE, &["de"]);
    fill_as(french, &["user-agent"], "fr");
    look_up_as(&cache, &key, "de").hit();
    publish(&mut italian, lifetimes(60, 0, 0));
    italian.complete();
    look_up_as(&cache, &key, "de").hit();
    store_variants(&cache, &key, LANGUAGE, &["fr", "it"]);
}

#[tokio::test(start_paused = true)]
async fn a_changed_vary_drops_the_old_variants_and_keeps_the_new_one() {
    const AGENT: &[&str] = &["accept-language", "user-agent"];
    let (cache, key) = (roomy(), key("/subtitles.vtt"));
    store_variants(&cache, &key, LANGUAGE, &["de", "fr"]);
    advance(seconds(61)).await;
    fill_as(look_up_as(&cache, &key, "de").miss().1, AGENT, "de");
    assert_eq!(bytes(&look_up_as(&cache, &key, "de").hit()), b"de");
    let (_fill_reader, french) = look_up_as(&cache, &key, "fr").miss();
    assert!(french.stale().is_none(), "the old variant may not match this request");
    fill_as(french, AGENT, "fr");
    assert_eq!(bytes(&look_up_as(&cache, &key, "fr").hit()), b"fr");
}

#[tokio::test(start_paused = true)]
async fn a_response_that_no_longer_varies_is_for_every_request() {
    let (cache, key) = (roomy(), key("/subtitles.vtt"));
    store_variants(&cache, &key, LANGUAGE, &["de", "fr"]);
    advance(seconds(61)).await;
    let (german, mut fill_writer) = look_up_as(&cache, &key, "de").miss();
    publish(&mut fill_writer, lifetimes(60, 0, 0));
    append(&mut fill_writer, b"one ");
    let french = look_up_as(&cache, &key, "fr").join();
    append(&mut fill_writer, b"for all");
    fill_writer.complete();
    assert_eq!(read(&answer_of(&french).await.object().body).await.unwrap(), b"one for all");
    for value in ["de", "fr", "it"] {
        assert_eq!(bytes(&look_up_as(&cache, &key, value).hit()), b"one for all");
    }
    drop((german, french));
    assert_quiet(&cache);
}

#[tokio::test(start_paused = true)]
async fn a_variant_that_cannot_be_shared_passes_alone() {
    let (cache, key) = (roomy(), key("/subtitles.vtt"));
    store_variants(&cache, &key, LANGUAGE, &["de"]);
    look_up_as(&cache, &key, "fr").miss().1.pass(seconds(60));
    assert!(look_up_as(&cache, &key, "fr").passes());
    look_up_as(&cache, &key, "de").hit();
}

#[tokio::test(start_paused = true)]
async fn a_variant_is_renewed_in_its_place() {
    let (cache, key) = (roomy(), key("/subtitles.vtt"));
    store_variants(&cache, &key, LANGUAGE, &["de", "fr"]);
    advance(seconds(61)).await;
    look_up_as(&cache, &key, "de").miss().1.renew(head(), lifetimes(60, 0, 0), "origin".into());
    let renewed = look_up_as(&cache, &key, "de").hit();
    assert_eq!((bytes(&renewed), values(&renewed)), (b"de".to_vec(), "accept-language=de;"));
    assert!(matches!(look_up_as(&cache, &key, "fr"), Lookup::Miss(..)));
}

#[tokio::test(start_paused = true)]
async fn a_response_is_cached_under_the_values_it_was_made_for() {
    let (cache, key) = (roomy(), key("/subtitles.vtt"));
    store_variants(&cache, &key, LANGUAGE, &["de"]);
    // The request was an Austrian one, and the upstream declares its response to be the German one.
    let (fill_reader, mut fill_writer) = look_up_as(&cache, &key, "at").miss();
    publish_as(&mut fill_writer, variant(LANGUAGE, "de"));
    append(&mut fill_writer, b"newer");
    fill_writer.complete();
    assert_eq!(bytes(&look_up_as(&cache, &key, "de").hit()), b"newer");
    drop(fill_reader);
    drop(look_up_as(&cache, &key, "at").miss());
    assert_quiet(&cache);
}
