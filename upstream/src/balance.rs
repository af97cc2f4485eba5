//! In which order the upstreams of a pool are tried for a key.
//!
//! [`pool`] puts them in order: by region ([`regions`]), then by a hash of the stream ([`hash`]) with bounded
//! loads ([`bounded`]), or by group. The order inside a region is pure arithmetic, the same on all edges.

pub mod bounded;
pub mod geo;
pub mod geography;
pub mod hash;
pub(crate) mod peers;
pub mod pool;
pub mod regions;
