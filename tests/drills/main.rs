//! Drills: something breaks behind the edges while two hundred viewers and a browser watch, and none of them notices.
//!
//! Everything is a process of its own, as in operation: two origins that serve what one encoder makes, three shields in
//! two regions, two edges (`cluster.rs`). So a kill is a kill, and a process that is stopped hangs with its sockets open. The
//! viewers are a swarm that plays in real time and Chromium with hls.js (`audience.rs`). Unless a drill says otherwise, no
//! viewer meets an error status or a broken body, and no picture stands still for longer than a target duration.
//!
//! | file | what breaks |
//! |---|---|
//! | `shields.rs` | a shield is killed and comes back; hangs |
//! | `origins.rs` | the primary is killed in mid-segment; hangs; fails in part, late, or slowly |
//! | `streams.rs` | one of two streams freezes; playlists are garbage |
//! | `network.rs` | connections are refused; a rack with a shield and the primary is cut off without a word |
//! | `outage.rs` | both origins are gone for a while |
//! | `regions.rs` | the nearest region is hurt |
//! | `dns.rs`, `tls.rs` | come with the resolver and the trust settings that they try |
//!
//! One drill runs at a time: what is measured here is real time, and a small machine has only so much.

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

/// Real time is measured here, so one drill has the machine to itself.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
