//! Promise 1: one object, one origin request.

use std::time::Duration;

use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_proxy::config::units::Period;
use tidegate_tests::{edge, origin, shield, viewers};

const MIB: u64 = 1 << 20;
const COLD: &str = "/bytes/1048576";

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_viewers_at_two_edges_make_one_origin_request() {
    let origin = origin().run().await;
    // Two seconds to produce, as an encoder writes a segment.
    origin.fault(Fault::on(COLD).bytes_per_second(MIB / 2)).unwrap();
    let shield = shield().origin(&origin).run().await;
    let (one, two) = (edge().shield(&shield).run().await, edge().named("edge-2").shield(&shield).run().await);

    let answers = viewers(1000, &[&one, &two]).get(COLD).await;

    let expected = synthetic_bytes(COLD, 0..MIB);
    for answer in &answers {
        answer.is(200, &expected);
    }
    assert_eq!(origin.requests(COLD), 1);
    assert_eq!(shield.count("tidegate_fills_total", "stored").await, 1);
    let spread = answers.iter().map(|answer| answer.first_byte).max().unwrap()
        - answers.iter().map(|answer| answer.first_byte).min().unwrap();
    assert!(spread < Duration::from_millis(1500), "all stream at once, not one after the other: {spread:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_viewers_of_a_missing_object_make_one_request_per_failure_lifetime() {
    // Lifetimes that no slow machine outlasts; that they end is shown with paused time in the cache's own tests.
    let long = Period::secs(60);
    let origin = origin().run().await;
    let shield = shield().origin(&origin).with(|config| {
        config.cache.failure_lifetime = long;
        config.site[0].lifetimes.missing = long;
    });
    let shield = shield.run().await;
    let edge = edge().shield(&shield).with(|config| {
        config.cache.failure_lifetime = long;
        config.site[0].lifetimes.missing = long;
    });
    let edge = edge.run().await;
    for (path, status) in [("/live/none/missing.ts", 404), ("/bytes/2000", 502)] {
        if status == 502 {
            origin.fault(Fault::on(path).status(502)).unwrap();
        }
        for answer in viewers(500, &[&edge]).get(path).await {
            assert_eq!(answer.status, status);
        }
        assert_eq!(origin.requests(path), 1, "{path}");
    }
}
