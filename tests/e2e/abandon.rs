//! A fill does not depend on the request that started it. It ends early only when it has no reader left and
//! much of the body is still missing.

use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_tests::{edge, origin, shield, until, viewer};

/// Much more is missing than is worth fetching without a reader.
const LARGE: &str = "/bytes/33554432";
/// So little is missing that the fill completes without a reader.
const SMALL: &str = "/bytes/1048576";
const FIRST: u64 = 64 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_without_readers_ends_when_much_is_missing() {
    let origin = origin().run().await;
    origin.fault(Fault::on(LARGE).hold_at("rest", FIRST).times(1)).unwrap();
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;

    let mut only = viewer(edge.addr()).start("GET", LARGE).await;
    assert!(only.begins(1000).await);
    assert_eq!(origin.connections().open, 1);
    drop(only);

    for tier in [&edge, &shield] {
        until("the fill is ended", async || tier.count("tidegate_fills_total", "abandoned").await == 1).await;
    }
    until("the connection to the origin is closed", async || origin.connections().open == 0).await;
    assert_eq!(edge.status().await["cache"]["body_bytes"], 0, "nothing of it is cached");

    // A later viewer gets the whole object, by a new fill.
    viewer(edge.addr()).get(LARGE).await.is(200, &synthetic_bytes(LARGE, 0..32 << 20));
    assert_eq!(origin.requests(LARGE), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_without_readers_completes_when_little_is_missing() {
    completes_without_readers(SMALL).await;
}

/// Such as a segment that is still being written.
#[tokio::test(flavor = "multi_thread")]
async fn a_fill_of_unknown_length_completes_without_readers() {
    completes_without_readers("/bytes/1048576?chunked=1").await;
}

/// The only viewer of this target, a form of [`SMALL`], leaves in the middle.
async fn completes_without_readers(target: &str) {
    let origin = origin().run().await;
    origin.fault(Fault::on(SMALL).hold_at("rest", FIRST)).unwrap();
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;

    let mut only = viewer(edge.addr()).start("GET", target).await;
    assert!(only.begins(1000).await);
    drop(only);
    until("no viewer is left", async || edge.joined().await == 0).await;
    origin.release("rest");

    for tier in [&edge, &shield] {
        until("it is stored", async || tier.count("tidegate_fills_total", "stored").await == 1).await;
    }
    viewer(edge.addr()).get(target).await.is(200, &synthetic_bytes(SMALL, 0..1 << 20));
    assert_eq!(origin.requests(SMALL), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_that_loses_one_of_two_readers_completes() {
    let origin = origin().run().await;
    origin.fault(Fault::on(LARGE).hold_at("rest", FIRST)).unwrap();
    let edge = edge().origin(&origin).run().await;

    let mut first = viewer(edge.addr()).start("GET", LARGE).await;
    let mut second = viewer(edge.addr()).start("GET", LARGE).await;
    assert!(first.begins(1000).await && second.begins(1000).await);
    drop(first);
    until("one is left", async || edge.joined().await == 1).await;
    origin.release("rest");

    second.rest().await.is(200, &synthetic_bytes(LARGE, 0..32 << 20));
    assert_eq!(origin.requests(LARGE), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_response_ends_with_its_viewer() {
    const PRIVATE: &str = "/bytes/33554432?private=1";
    let origin = origin().run().await;
    origin.fault(Fault::on(LARGE).hold_at("rest", FIRST)).unwrap();
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;

    let mut only = viewer(edge.addr()).start("GET", PRIVATE).await;
    assert!(only.begins(1000).await);
    drop(only);

    until("the connection to the origin is closed", async || origin.connections().open == 0).await;
}
