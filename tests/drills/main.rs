//! Drills: something breaks behind the edges while two hundred viewers and a browser watch, and none of them
//! notices.
//!
//! Every server is a separate process, as in operation: two origins that serve the output of one encoder,
//! three shields in two regions, two edges (`cluster.rs`). So a kill is a real kill, and a suspended process
//! hangs with its sockets open. The viewers are a swarm that plays in real time and Chromium with hls.js
//! (`audience.rs`). Unless a drill says otherwise, no viewer meets an error status or a broken body, and no
//! picture stalls for longer than a target duration.
//!
//! | file | what breaks |
//! |---|---|
//! | `shields.rs` | a shield is killed and restarted; hangs |
//! | `origins.rs` | the primary is killed in mid-segment; hangs; fails in part, late, or slowly |
//! | `streams.rs` | one of two streams freezes; playlists are garbage |
//! | `network.rs` | connections are refused; a rack with a shield and the primary is cut off silently |
//! | `outage.rs` | both origins are down for a while |
//! | `regions.rs` | the nearest region fails |
//! | `dns.rs`, `tls.rs` | have their own resolver and trust settings |
//!
//! One drill runs at a time: drills measure real time, and a small machine can run only one.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "helpers of tests assert, too")]

mod audience;
mod cluster;
mod dns;
mod meter;
mod network;
mod origins;
mod outage;
mod regions;
mod shields;
mod streams;
mod tls;

use tokio::sync::Mutex;

/// Drills measure real time, so each has the machine to itself.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
