//! The harness of the end-to-end tests: origins, tiers and viewers whose use reads as a sentence.
//!
//! ```text
//! let origin = origin().run().await;
//! let shield = shield().origin(&origin).run().await;
//! let edge = edge().shield(&shield).run().await;
//! let responses = viewers(100, &[&edge]).get("/bytes/1000").await;
//! assert_eq!(origin.requests("/bytes/1000"), 1);
//! ```
//!
//! Everything listens on free ports, uses real sockets, and ends when it is dropped. Tiers run in the test's
//! process (`run`), or as the `tidegate` program where a test needs signals or kills (`spawn`). [`swarm`] has
//! viewers that watch a live stream as players do, [`chromium`] is a real one; [`relay`] and [`netns`] break
//! the connections between servers.
//!
//! All crates: [`tidegate`](../tidegate/index.html).

#![expect(
    clippy::missing_panics_doc,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a harness asserts"
)]

pub mod chromium;
pub mod dns;
pub mod member;
pub mod mmdb;
pub mod netns;
pub mod origin;
pub mod origin_process;
pub mod process;
pub mod relay;
pub mod swarm;
pub mod tiers;
pub mod tls;
pub mod viewer;

pub use dns::{Kind, Resolver, resolver};
pub use member::{Member, SEPARATE_LOOPBACK};
pub use netns::Netns;
pub use origin::{Origin, origin};
pub use origin_process::OriginProcess;
pub use process::{Finished, Process, Signal, tidegate};
pub use relay::{Link, Relay};
pub use swarm::{Report, Swarm};
pub use tiers::{OPERATORS_TOKEN, Running, Tier, edge, shield};
pub use tls::{Authority, Issued, Terminator, ViewerTls, authority};
pub use viewer::{Connection, Response, Viewer, viewer, viewers};

use std::time::Duration;

/// How long a test waits for a condition before it fails. Nothing takes nearly as long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `met`, polling every few milliseconds, at most [`PATIENCE`].
pub async fn until(what: &str, met: impl AsyncFn() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !met().await {
        assert!(tokio::time::Instant::now() < deadline, "timed out: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
