//! `tidegate`: a caching CDN for live HLS, in one program.
//!
//! ```text
//! players ──► edge ──► shield ──► origin
//! ```
//!
//! Players use an edge, edges use a shield, a shield uses the origin. Both tiers cache: requests for the same
//! object join one fill, and each reader gets the bytes as they arrive. So the origin serves each object
//! once.
//!
//! This crate is the program. [`args`] is its command line, [`run`] reads the configuration and runs one tier
//! until a signal ends it, [`demo`] runs all tiers in one process, [`token`] signs and verifies tokens,
//! [`purge`] purges a fleet. The tiers are in the libraries, from the viewers' side to the cache:
//!
//! | crate | contents |
//! |---|---|
//! | [`tidegate_edge`](../tidegate_edge/index.html) | the tier that faces viewers; its upstreams are shields |
//! | [`tidegate_shield`](../tidegate_shield/index.html) | the tier that faces origins; its upstreams are origins |
//! | [`tidegate_proxy`](../tidegate_proxy/index.html) | the path of a request through either tier, its configuration, metrics and access log |
//! | [`tidegate_upstream`](../tidegate_upstream/index.html) | health, balancing, and the fetch from an upstream |
//! | [`tidegate_cache`](../tidegate_cache/index.html) | the cached objects, and the election of one fill per key |
//! | [`tidegate_access`](../tidegate_access/index.html) | who may watch: tokens, client addresses and lists of them, as pure functions |
//! | [`tidegate_headers`](../tidegate_headers/index.html) | the rules of header fields, as pure functions |
//! | [`tidegate_http1`](../tidegate_http1/index.html) | the HTTP/1.1 codec of both sides, as pure functions |
//! | [`tidegate_hls`](../tidegate_hls/index.html) | playlists and their timelines, as pure functions |
//! | [`tidegate_origin_stub`](../tidegate_origin_stub/index.html) | an HLS origin that misbehaves on command |
//! | [`tidegate_tests`](../tidegate_tests/index.html) | the harness in which tests start origins, tiers and viewers |
//!
//! - To run a tier inside your own program, begin with `tidegate_edge::Edge`.
//! - To change what happens to a request, begin with `proxy/src/request.rs`; ARCHITECTURE.md names the files
//!   before and after it in their order.
//! - To set up a server, read docs/README.md instead: it is written for operators.

mod args;
mod cert;
mod demo;
mod purge;
mod run;
mod token;

use std::process::ExitCode;

use clap::Parser as _;

/// Many small allocations of many sizes on many threads fragment the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    run::command(args::Args::parse())
}
