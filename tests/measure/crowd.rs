//! Measures how late the first byte reaches a crowd: `crowd [VIEWERS] [plain|first-leaves|slow-reader]`, one
//! line of JSON.
//!
//! An origin blocks the head of a cold 1 MiB object, which it takes 2 s to produce, until every viewer waits
//! at one of two edges, and then releases it. The measured time is from the first byte at a reader that
//! requests it from the shield directly to the first byte at each viewer, by one clock, in one process.
//! `cargo xtask bench` runs it and records the figures.
//!
//! - `plain`: the viewers send their requests, wait and read.
//! - `first-leaves`: another viewer sends the first request, and leaves as soon as the origin has received
//!   it. The fill then has no reader until the crowd arrives.
//! - `slow-reader`: one of the viewers reads 1 KiB per second. Its first byte is in the figures; when all
//!   others have the whole object, the bytes that it has are checked.

mod millis;
mod quantiles;

use std::io::Write as _;
use std::time::Duration;

use tidegate_origin_stub::{Fault, synthetic_bytes};
use tidegate_tests::{Origin, Response, Running, Tier, edge, origin, shield, until, viewer, viewers};
use tokio::time::Instant;

use crate::millis::millis;
use crate::quantiles::quantiles;

const COLD: &str = "/bytes/1048576";
const MIB: u64 = 1 << 20;
/// The bytes that the slow reader reads each second.
const SIP: usize = 1024;

/// The variant of the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Plain,
    FirstLeaves,
    SlowReader,
}

#[tokio::main]
#[expect(clippy::expect_used, reason = "a measurement that goes wrong ends with its reason")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().map_or(1000, |count| count.parse().expect("a number of viewers"));
    let case = arguments.next().map_or(Case::Plain, |name| Case::named(&name).expect("a case"));
    let origin = origin().run().await;
    origin.fault(Fault::on(COLD).hold("start").bytes_per_second(MIB / 2)).expect("a fault");
    let shield = shield().origin(&origin).run().await;
    let one = edge().shield(&shield).run().await;
    let two = edge().named("edge-2").shield(&shield).run().await;

    if case == Case::FirstLeaves {
        request_and_leave(&origin, &one).await;
    }
    let slow = u64::from(case == Case::SlowReader);
    let readers = viewers(usize::try_from(count - slow).expect("a crowd"), &[&one, &two]);
    let expected = synthetic_bytes(COLD, 0..MIB);
    let crowd = async {
        let reading = async {
            let responses = readers.get(COLD).await;
            responses.iter().map(|response| in_full(response, &expected)).collect()
        };
        if case == Case::SlowReader { beside_a_slow_reader(&one, reading).await } else { reading.await }
    };
    let release = async {
        until("all viewers wait", async || waiters(&one).await + waiters(&two).await == count).await;
        first_byte_near(&origin, &shield).await
    };
    let (first_bytes, near) = tokio::join!(crowd, release);

    assert_eq!(first_bytes.len() as u64, count, "every viewer has had its first byte");
    assert_eq!(origin.requests(COLD), 1, "one request at the origin");
    let delays = first_bytes.iter().map(|first_byte| first_byte.saturating_duration_since(near)).collect();
    let figures = serde_json::json!({
        "case": case.name(), "viewers": count, "edges": 2, "origin_requests": origin.requests(COLD),
        "first_byte_delay_ms": quantiles(delays, millis),
    });
    writeln!(std::io::stdout().lock(), "{figures}").expect("standard output");
}

impl Case {
    const ALL: [Self; 3] = [Self::Plain, Self::FirstLeaves, Self::SlowReader];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|case| case.name() == name)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::FirstLeaves => "first-leaves",
            Self::SlowReader => "slow-reader",
        }
    }
}

/// The number of viewers that wait for the object at a tier.
async fn waiters(tier: &Tier) -> u64 {
    tier.count("tidegate_waiters", "").await
}

/// Requests the object from an edge, and leaves once the origin has received the request. The edge then knows
/// that it has no reader.
async fn request_and_leave(origin: &Origin, edge: &Running) {
    let first = viewer(edge.addr()).start("GET", COLD).await;
    origin.waiting("start", 1).await;
    assert_eq!(waiters(edge).await, 1, "the first requester waits");
    drop(first);
    until("the first requester has left", async || waiters(edge).await == 0).await;
}

/// Releases the origin once a reader waits at the shield; returns when that reader has its first byte.
async fn first_byte_near(origin: &Origin, shield: &Running) -> Instant {
    let near = viewer(shield.addr());
    let release = async {
        until("the reader at the shield waits", async || waiters(shield).await >= 3).await;
        origin.release("start")
    };
    let (response, _released) = tokio::join!(near.get(COLD), release);
    assert!(response.whole, "the reader at the shield has the whole object");
    response.first_byte
}

/// The time of the first byte of a response, which must be complete.
fn in_full(response: &Response, expected: &[u8]) -> Instant {
    response.is(200, expected);
    response.first_byte
}

/// The first bytes of the crowd and of one more viewer, which reads 1 KiB per second until the crowd has read
/// everything.
async fn beside_a_slow_reader(edge: &Tier, crowd: impl Future<Output = Vec<Instant>>) -> Vec<Instant> {
    let mut slow = viewer(edge.addr()).small_buffer().start("GET", COLD).await;
    let (mut got, mut first_byte) = (Vec::new(), None);
    let sipping = async {
        assert!(slow.begins(1).await, "the slow reader's response begins");
        first_byte = Some(Instant::now());
        let mut each_second = tokio::time::interval(Duration::from_secs(1));
        loop {
            each_second.tick().await;
            got.extend(slow.at_most(SIP).await);
        }
    };
    let mut first_bytes = tokio::select! {
        () = sipping => Vec::new(),
        first_bytes = crowd => first_bytes,
    };
    assert!(!got.is_empty() && (got.len() as u64) < MIB, "the slow reader has {} bytes", got.len());
    assert!(got == synthetic_bytes(COLD, 0..got.len() as u64), "the slow reader's bytes are correct");
    first_bytes.extend(first_byte);
    first_bytes
}
