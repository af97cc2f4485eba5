//! Connections to upstreams: where they lead, whom they trust and what goes over them.
//!
//! [`address`] is what a configuration writes, [`dns`] and `resolve` find out where it is, [`trust`] and [`pem`] are for
//! TLS, and `session` is one request on a connection, over `http1` or `http2`.

pub mod address;
pub mod connections;
pub mod dns;
pub(crate) mod http1;
pub(crate) mod http2;
pub mod pem;
pub(crate) mod resolve;
pub(crate) mod session;
pub mod trust;
