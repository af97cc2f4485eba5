//! The way of a request, the same on both tiers: from a viewer's socket to a response.
//!
//! An edge and a shield differ in the upstreams that they ask and in how they face viewers; what happens to a
//! request in between is here. Read in this order:
//!
//! 1. [`node`]: a node binds its listeners, serves, drains
//! 2. `viewer/`: connections, TLS, HTTP/1.1 and HTTP/2, the fast path for plain hits, and the client of every
//!    other request
//! 3. `request.rs`: the request's fate; the only file that branches on it
//! 4. `live/`: the state of live streams, and the fetch of the next version in time
//! 5. `fill.rs` and `policy.rs`: the request to an upstream, and what its response means to the site
//! 6. `answer/`: the response to the viewer
//! 7. `observe/`: metrics and logs
//!
//! [`tier`] is the state that all requests of a node share, [`site`] the rules of one `[[site]]`, [`config`] the
//! file. The rules of header fields are a crate of their own, `tidegate_headers`.
//!
//! All crates: [`tidegate`](../tidegate/index.html).

mod answer;
mod clock;
pub mod config;
mod descriptors;
pub mod fate;
mod fill;
mod live;
pub mod node;
pub mod observe;
mod policy;
mod refusal;
mod request;
mod signal;
pub mod site;
pub mod tier;
mod viewer;

pub use node::Node;
pub use refusal::Refusal;
pub use site::{Site, Sites};
pub use tier::{Role, Settings, Tier};
