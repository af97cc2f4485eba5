//! Promise 4: a body that breaks goes on elsewhere, or breaks visibly.

use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_tests::{edge, origin, shield, viewers};

const MIB: u64 = 1 << 20;
const COLD: &str = "/bytes/1048576";

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_reset_goes_on_at_the_second_origin() {
    let (primary, backup) = (origin().run().await, origin().run().await);
    primary.fault(Fault::on(COLD).cut_at(300 * 1024)).unwrap();
    let shield = shield().origin(&primary).origin(&backup).run().await;
    let edge = edge().shield(&shield).run().await;

    for answer in viewers(50, &[&edge]).get(COLD).await {
        answer.is(200, &synthetic_bytes(COLD, 0..MIB));
    }

    assert_eq!(shield.count("tidegate_rescued_bodies_total", "").await, 1);
    assert_eq!((primary.requests(COLD), backup.requests(COLD)), (1, 1));
    let rescue = &backup.seen(COLD)[0];
    assert!(rescue.header("range").starts_with("bytes="), "{:?}", rescue.headers);
    assert!(!rescue.header("if-range").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_object_at_the_second_origin_breaks_the_body_for_all_to_see() {
    let (primary, backup) = (origin().run().await, origin().run().await);
    primary.fault(Fault::on(COLD).cut_at(300 * 1024)).unwrap();
    backup.fault(Fault::on(COLD).variant(7)).unwrap();
    let shield = shield().origin(&primary).origin(&backup).run().await;
    let edge = edge().shield(&shield).run().await;

    let expected = synthetic_bytes(COLD, 0..MIB);
    for answer in viewers(50, &[&edge]).get(COLD).await {
        assert!(!answer.whole, "nobody may take a part for the whole");
        assert!(expected.starts_with(&answer.body), "what was sent is of the first object");
    }
    for tier in [&shield, &edge] {
        assert_eq!(tier.count("tidegate_fills_total", "stored").await, 0);
    }
}
