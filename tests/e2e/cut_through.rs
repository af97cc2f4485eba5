//! Every hop forwards bytes as they arrive, to every viewer and for any range.

use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_tests::{edge, origin, shield, viewer};

const COLD: &str = "/bytes/1048576";

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_gets_the_first_bytes_while_the_origin_still_blocks_the_rest() {
    let origin = origin().run().await;
    origin.fault(Fault::on(COLD).hold_at("rest", 1000)).unwrap();
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;

    let mut reading = viewer(edge.addr()).start("GET", COLD).await;
    let (status, _) = reading.head().await.unwrap();
    let mut got = Vec::new();
    while got.len() < 1000 {
        got.extend(reading.some().await);
    }

    assert_eq!(status, 200);
    assert!(got == synthetic_bytes(COLD, 0..1000));
    origin.release("rest");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_of_a_fill_under_way_is_served_from_it() {
    let origin = origin().run().await;
    origin.fault(Fault::on(COLD).hold_at("rest", 100)).unwrap();
    let shield = shield().origin(&origin).run().await;
    let edge = edge().shield(&shield).run().await;
    let _first = viewer(edge.addr()).start("GET", COLD).await;
    origin.waiting("rest", 1).await;

    let range = viewer(edge.addr()).header("range", "bytes=500000-600000");
    let mut ranged = range.start("GET", COLD).await;
    let (status, headers) = ranged.head().await.unwrap();
    assert_eq!((status, headers["content-range"].to_str().unwrap()), (206, "bytes 500000-600000/1048576"));
    origin.release("rest");
    let mut got = Vec::new();
    while got.len() < 100_001 {
        let some = ranged.some().await;
        assert!(!some.is_empty(), "ended after {} bytes", got.len());
        got.extend(some);
    }

    assert!(got == synthetic_bytes(COLD, 500_000..600_001));
    assert_eq!(origin.requests(COLD), 1);
}
