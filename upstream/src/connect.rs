//! Connections to upstreams: their addresses, their TLS trust, and the protocols.
//!
//! [`address`] is what a configuration writes, [`dns`] and `resolve` find its sockets, `dial` connects to
//! them, [`trust`] and [`pem`] are for TLS, [`connections`] has the pools, and `session` is one request on a
//! connection, over `http1` or `http2`.

pub mod address;
pub mod connections;
pub(crate) mod dial;
pub mod dns;
pub(crate) mod http1;
pub(crate) mod http2;
pub mod pem;
pub(crate) mod resolve;
pub(crate) mod session;
pub mod trust;
