//! Measures how late the first byte reaches a crowd: `crowd [VIEWERS]`, one line of JSON.
//!
//! An origin holds the head of a cold 1 MiB object until every viewer waits at one of two edges, and lets it go then.
//! What is measured is the time from the first byte at a reader who asks the shield directly to the first byte at
//! each viewer, by one clock, in one process. `cargo xtask bench` runs it and writes the figures down.

use std::io::Write as _;
use std::time::Duration;

use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_tests::{edge, origin, shield, until, viewer, viewers};

const COLD: &str = "/bytes/1048576";
const MIB: u64 = 1 << 20;

#[tokio::main]
#[expect(clippy::expect_used, reason = "a measurement that goes wrong ends with its reason")]
async fn main() {
    let count: u64 =
        std::env::args().nth(1).map_or(1000, |count| count.parse().expect("a number of viewers"));
    let origin = origin().run().await;
    origin.fault(Fault::on(COLD).hold("start").bytes_per_second(MIB / 2)).expect("a fault");
    let shield = shield().origin(&origin).run().await;
    let one = edge().shield(&shield).run().await;
    let two = edge().named("edge-2").shield(&shield).run().await;

    let crowd = viewers(usize::try_from(count).expect("a crowd"), &[&one, &two]);
    let (answers, direct) = tokio::join!(crowd.get(COLD), async {
        until("all viewers wait", async || {
            one.count("tidegate_waiters", "").await + two.count("tidegate_waiters", "").await == count
        })
        .await;
        let near = viewer(shield.addr());
        let reading = near.get(COLD);
        let release = async {
            until("the reader at the shield waits", async || {
                shield.metric("tidegate_waiters", "").await >= 3.0
            })
            .await;
            origin.release("start")
        };
        tokio::join!(reading, release).0
    });

    let expected = synthetic_bytes(COLD, 0..MIB);
    assert!(answers.iter().all(|answer| answer.whole && answer.body == expected), "every byte is right");
    assert_eq!(origin.requests(COLD), 1, "one request at the origin");
    let mut delays: Vec<Duration> =
        answers.iter().map(|answer| answer.first_byte.saturating_duration_since(direct.first_byte)).collect();
    delays.sort_unstable();
    let at = |percent: usize| delays.get((delays.len() - 1) * percent / 100).copied().unwrap_or_default();
    let millis = |delay: Duration| (delay.as_secs_f64() * 10_000.0).round() / 10.0;
    let figures = serde_json::json!({
        "viewers": count, "edges": 2, "origin_requests": origin.requests(COLD),
        "first_byte_delay_ms": { "p50": millis(at(50)), "p99": millis(at(99)), "max": millis(at(100)) },
    });
    writeln!(std::io::stdout().lock(), "{figures}").expect("standard output");
}
