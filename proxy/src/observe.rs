//! What operators see: metrics, the access log, and the operators' listener.
//!
//! `account` records each request once, by its fate. [`metrics`] counts it, [`access_log`] writes its line,
//! and [`admin`] serves the metrics and the state of the tier.

pub mod access_log;
pub(crate) mod account;
pub mod admin;
pub(crate) mod facts;
pub mod label;
pub mod metrics;
mod recorder;
pub mod unshared;
pub(crate) mod upstreams;
