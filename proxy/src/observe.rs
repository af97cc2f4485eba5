//! What operators see: metrics, the access log, and the operators' listener.
//!
//! `account` records each request once, by its fate. [`metrics`] counts it, [`access_log`] writes its line,
//! and [`admin`] serves the metrics and the state of the tier, to whom `operators` allows it, over
//! `operators_listener`.

pub mod access_log;
pub(crate) mod account;
pub mod admin;
pub(crate) mod facts;
pub mod label;
pub mod metrics;
pub(crate) mod operators;
pub(crate) mod operators_listener;
mod recorder;
pub mod unshared;
pub(crate) mod upstreams;
