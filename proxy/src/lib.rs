//! The request's way, the same on both tiers: from a viewer's socket to an answer.
//!
//! An edge and a shield differ in whom they ask and in how they face viewers; what happens to a request in between
//! is here. Read in this order:
//!
//! 1. `node.rs`: a node binds its listeners, serves, drains
//! 2. `listener.rs`: connections, TLS (`acceptor.rs`), HTTP/1.1 (`head.rs`) and HTTP/2, and their end (`farewell.rs`)
//!    `lane.rs`: plain hits over HTTP/1.1, answered where they are read
//!    `client.rs`: the viewer's side of any other request; `http1.rs` where it comes over HTTP/1.1 without a body
//! 3. `request.rs`: the request's fate; the only file that branches on it
//! 4. `desk.rs`: what an upstream's answer means to the site
//! 5. `live.rs`: what is known of live streams, and how the next version comes in time
//! 6. `answer.rs`, `select.rs`, `pass.rs`: what the viewer gets
//! 7. `account.rs`: what is counted and logged
//!
//! Everything else is a leaf: header fields (`range`, `conditional`, `vary`, `hop`, `cors`, `compress`,
//! `cache_status`, `proxy_status`), configuration (`config`, `site`) and telemetry (`metrics`, `access_log`, `admin`).
//!
//! All crates: [`tidegate`](../tidegate/index.html).

mod acceptor;
pub mod access_log;
mod account;
pub mod admin;
mod answer;
pub mod cache_status;
mod client;
pub mod compress;
pub mod conditional;
pub mod config;
pub mod cors;
mod desk;
mod expires;
mod farewell;
pub mod fate;
mod field;
mod head;
pub mod hop;
mod http1;
pub mod label;
mod lane;
mod lines;
mod listener;
mod live;
pub mod metrics;
pub mod node;
mod pass;
pub mod proxy_status;
pub mod range;
mod refusal;
mod request;
mod select;
mod sendfile;
mod signal;
pub mod site;
mod slice;
mod target;
pub mod tier;
mod upstreams;
pub mod vary;
mod wire;

pub use node::Node;
pub use refusal::Refusal;
pub use site::{Site, Sites};
pub use tier::{Role, Settings, Tier};
