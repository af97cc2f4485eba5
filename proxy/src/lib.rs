//! The way of a request, the same on both tiers: from a viewer's socket to a response.
//!
//! An edge and a shield differ in the upstreams that they ask and in how they face viewers; what happens to a
//! request in between is here. ARCHITECTURE.md names the files in reading order.
//!
//! [`tier`] is the state that all requests of a node share, [`site`] the rules of one `[[site]]`,
//! [`config`] the file. The rules of header fields are a crate of their own, `tidegate_headers`.
//!
//! All crates: [`tidegate`](../tidegate/index.html).

mod access;
mod acme;
mod answer;
mod audience;
mod clock;
pub mod config;
mod descriptors;
pub mod fate;
mod fill;
mod http_client;
pub mod limits;
mod live;
pub mod node;
pub mod observe;
mod policy;
pub mod purge;
mod refusal;
pub mod reload;
mod request;
mod signal;
pub mod site;
pub mod tier;
mod viewer;

pub use node::Node;
pub use refusal::Refusal;
pub use site::{Site, Sites};
pub use tier::{Role, Settings, Tier};
