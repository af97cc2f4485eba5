//! Certificates that the node orders itself from an ACME authority (RFC 8555).
//!
//! `renewal.rs` decides when, `order.rs` makes one order over `http.rs`, `storage.rs` is the folder that
//! nodes share, `lock.rs` lets one of them order. The reload of the TLS listener finds new certificates there
//! as it finds those of any other program. Every node responds to the authority's challenges: `storage.rs`
//! over HTTP, `challenge.rs` in a handshake.

pub(crate) mod challenge;
mod http;
mod lock;
mod order;
mod pause;
pub(crate) mod renewal;
pub(crate) mod storage;
