//! The programs in examples/ do what they show.

use tidegate_origin_stub::synthetic_bytes;
use tidegate_tests::{Process, Signal, origin, viewer};

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_edge_serves_what_it_has_fetched_once_and_drains_on_ctrl_c() {
    let origin = origin().run().await;
    let mut edge = Process::example("embedded-edge", &[&origin.url()]).await;

    let expected = synthetic_bytes("/bytes/1000", 0..1000);
    viewer(edge.addr()).get("/bytes/1000").await.is(200, &expected);
    viewer(edge.addr()).get("/bytes/1000").await.is(200, &expected);
    assert_eq!(origin.requests("/bytes/1000"), 1);

    edge.signal(Signal::Interrupt).await;
    assert_eq!(edge.ended().await.code(), Some(0), "{}", edge.log_output());
}
