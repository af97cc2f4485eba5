//! What operators see: counters, the access log, and the operators' listener.
//!
//! [`account`] is written once per request, from one word: its fate. [`metrics`] counts it, [`access_log`] writes its
//! line, [`admin`] serves both and the state of the tier.

pub mod access_log;
pub(crate) mod account;
pub mod admin;
pub(crate) mod facts;
pub mod label;
pub mod metrics;
mod recorder;
pub(crate) mod upstreams;
