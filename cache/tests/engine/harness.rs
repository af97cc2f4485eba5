//! What the tests need: a cache, the upstream's side of a fill, the client's side of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, StatusCode};
use tidegate_cache::{
    Answer, Body, Broken, Cache, Failure, FillReader, FillWriter, Head, Key, Lifetimes, Limits, Lookup,
    Object, Selection, Variant,
};
use tokio::time::timeout;

pub(crate) const MIB: u64 = 1024 * 1024;

/// A cache with room for everything that a test needs.
pub(crate) fn roomy() -> Cache {
    Cache::new(Limits { bytes: 64 * MIB, object_max: 16 * MIB, variants_max: 64 })
}

pub(crate) fn key(path: &str) -> Key {
    Key::new("site", path)
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Times in seconds.
pub(crate) fn lifetimes(ttl: u64, stale_while_revalidate: u64, stale_if_error: u64) -> Lifetimes {
    Lifetimes {
        ttl: seconds(ttl),
        stale_while_revalidate: seconds(stale_while_revalidate),
        stale_if_error: seconds(stale_if_error),
        ..Lifetimes::default()
    }
}

pub(crate) fn head() -> Head {
    Head { status: StatusCode::OK, headers: HeaderMap::new() }
}

pub(crate) fn failure(reason: &'static str, lifetime: u64) -> Failure {
    let lifetime = seconds(lifetime);
    Failure {
        status: StatusCode::BAD_GATEWAY,
        reason,
        upstream: None,
        retry_after: None,
        lifetime,
        response: None,
    }
}

/// Selects every object.
#[derive(Debug)]
struct Everything;

impl Selection for Everything {
    fn selects_key(&self, _key: &Key) -> bool {
        true
    }

    fn selects_head(&self, _head: &Head) -> Option<bool> {
        None
    }

    fn reads_heads(&self) -> bool {
        false
    }
}

/// The rule of a purge of everything.
pub(crate) fn everything() -> Arc<dyn Selection> {
    Arc::new(Everything)
}

/// Looks up a key whose responses are not expected to vary.
pub(crate) fn look_up(cache: &Cache, key: &Key) -> Lookup {
    cache.look_up(key, &|_| String::new())
}

/// Looks up a key for a client whose every request header field has the value `value`.
pub(crate) fn look_up_as(cache: &Cache, key: &Key, value: &str) -> Lookup {
    cache.look_up(key, &|names| values(names, value))
}

/// The variant for a response that depends on `names`, and for a client whose fields have the value `value`.
pub(crate) fn variant(names: &[&'static str], value: &str) -> Variant {
    let names: Arc<[HeaderName]> = names.iter().map(|name| HeaderName::from_static(name)).collect();
    let values = values(&names, value);
    Variant { names, values }
}

fn values(names: &[HeaderName], value: &str) -> String {
    names.iter().flat_map(|name| [name.as_str(), "=", value, ";"]).collect()
}

/// The result that a test expects of a look-up; any other result fails the test.
pub(crate) trait ExpectLookup {
    fn hit(self) -> Arc<Object>;
    fn stale(self) -> (Arc<Object>, Option<FillWriter>);
    fn join(self) -> FillReader;
    fn miss(self) -> (FillReader, FillWriter);
    fn failed(self) -> (Arc<Failure>, Option<Arc<Object>>);
    fn passes(self) -> bool;
}

impl ExpectLookup for Lookup {
    #[track_caller]
    fn hit(self) -> Arc<Object> {
        match self {
            Self::Hit(object) => object,
            other => panic!("not a hit: {other:?}"),
        }
    }

    #[track_caller]
    fn stale(self) -> (Arc<Object>, Option<FillWriter>) {
        match self {
            Self::Stale { object, refresh } => (object, refresh),
            other => panic!("not stale: {other:?}"),
        }
    }

    #[track_caller]
    fn join(self) -> FillReader {
        match self {
            Self::Join(fill_reader) => fill_reader,
            other => panic!("not a join: {other:?}"),
        }
    }

    #[track_caller]
    fn miss(self) -> (FillReader, FillWriter) {
        match self {
            Self::Miss(fill_reader, fill_writer) => (fill_reader, fill_writer),
            other => panic!("not a miss: {other:?}"),
        }
    }

    #[track_caller]
    fn failed(self) -> (Arc<Failure>, Option<Arc<Object>>) {
        match self {
            Self::Failed { failure, stale } => (failure, stale),
            other => panic!("not a failure: {other:?}"),
        }
    }

    fn passes(self) -> bool {
        matches!(self, Self::Pass)
    }
}

/// The answer that a test expects of a fill; any other answer fails the test.
pub(crate) trait ExpectAnswer {
    fn object(self) -> Arc<Object>;
    fn failure(self) -> (Arc<Failure>, Option<Arc<Object>>);
}

impl ExpectAnswer for Answer {
    #[track_caller]
    fn object(self) -> Arc<Object> {
        match self {
            Self::Object(object) => object,
            other => panic!("not an object: {other:?}"),
        }
    }

    #[track_caller]
    fn failure(self) -> (Arc<Failure>, Option<Arc<Object>>) {
        match self {
            Self::Failed { failure, stale } => (failure, stale),
            other => panic!("not a failure: {other:?}"),
        }
    }
}

/// The answer. If nothing else can happen any more, the test fails instead of waiting forever.
pub(crate) async fn answer_of(fill_reader: &FillReader) -> Answer {
    in_time(fill_reader.answer()).await
}

/// Time is paused, so the timeout fires as soon as every task waits.
pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_hours(1), future).await.expect("nothing waits forever")
}

/// The answer, if it has arrived.
pub(crate) fn now(fill_reader: &FillReader) -> Option<Answer> {
    fill_reader.answer().now_or_never()
}

/// The body of the fill's object, once its head is published.
pub(crate) async fn body_of(fill_reader: &FillReader) -> Arc<Body> {
    Arc::clone(&answer_of(fill_reader).await.object().body)
}

/// The upstream's head for a body of unknown length arrives.
pub(crate) fn publish(fill_writer: &mut FillWriter, lifetimes: Lifetimes) {
    fill_writer.publish(head(), lifetimes, None, None, Arc::from("origin")).unwrap();
}

/// The upstream's head with its variant arrives.
pub(crate) fn publish_as(fill_writer: &mut FillWriter, variant: Variant) {
    fill_writer.publish(head(), lifetimes(60, 0, 0), Some(variant), None, Arc::from("origin")).unwrap();
}

pub(crate) fn append(fill_writer: &mut FillWriter, bytes: &[u8]) {
    fill_writer.append(Bytes::copy_from_slice(bytes)).unwrap();
}

/// A whole response arrives.
pub(crate) fn fill(mut fill_writer: FillWriter, lifetimes: Lifetimes, bytes: &[u8]) {
    publish(&mut fill_writer, lifetimes);
    append(&mut fill_writer, bytes);
    fill_writer.complete();
}

/// Stores `bytes` under `key`, for which no request may exist yet.
#[track_caller]
pub(crate) fn store(cache: &Cache, key: &Key, lifetimes: Lifetimes, bytes: &[u8]) {
    let (_fill_reader, fill_writer) = look_up(cache, key).miss();
    fill(fill_writer, lifetimes, bytes);
}

/// More than the length of any body here.
pub(crate) const ALL: u64 = u64::MAX;

/// Reads a whole body.
pub(crate) async fn read(body: &Arc<Body>) -> Result<Vec<u8>, Broken> {
    let (bytes, end) = read_to_end(body).await;
    end.map(|()| bytes)
}

/// Reads a body to its end. Returns the bytes, also those of a broken body, and how it ended.
pub(crate) async fn read_to_end(body: &Arc<Body>) -> (Vec<u8>, Result<(), Broken>) {
    let mut reader = body.reader(0, None);
    let mut bytes = Vec::new();
    loop {
        match in_time(reader.next(ALL)).await {
            Ok(chunks) if chunks.is_empty() => return (bytes, Ok(())),
            Ok(chunks) => bytes.extend(chunks.concat()),
            Err(broken) => return (bytes, Err(broken)),
        }
    }
}

/// The bytes of a body that is complete.
#[track_caller]
pub(crate) fn bytes(object: &Object) -> Vec<u8> {
    object.body.whole().expect("the body is complete").concat()
}

/// Asserts that no fill is under way and no memory is reserved.
#[track_caller]
pub(crate) fn assert_quiet(cache: &Cache) {
    let totals = cache.totals();
    assert_eq!((totals.fills, totals.filling_bytes, totals.waiting), (0, 0, 0), "{totals:?}");
    assert!(cache.fills(10).is_empty());
}

/// Pseudo-random numbers, the same in every run.
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}
