//! placeholder
pub mod cache_status;
pub mod conditional;
pub mod fate;
pub mod hop;
pub mod label;
pub mod proxy_status;
pub mod range;
pub mod vary;
mod field;
