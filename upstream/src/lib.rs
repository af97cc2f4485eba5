//! Whom to ask, and the asking itself.
//!
//! A [`Upstream`] is one server that can be asked: a shield for an edge, an origin for a shield. Its [`health`] is what
//! requests and probes ([`probe`]) tell of it. A [`Pool`] puts sources in the order in which they are to be tried for a
//! key. [`fetch::fill`] makes one fill out of them: it tries the candidates in order, writes the answer into a `cache::FillWriter`, and when a source breaks in
//! the middle of a body goes on at the next one, from the same byte (`rescue.rs`). [`fetch::pass`] asks for one
//! viewer only.
//!
//! Whom TLS trusts, and how this node shows itself, is a [`Trust`] that the sources of a configuration share.
//!
//! What the answers mean is not decided here: a [`FillPolicy`] rules on each head (store, collect first, pass) and is told
//! of every event that is worth counting.
//!
//! Where to begin: `fetch.rs`, then `exchange.rs` (one request and its answer on a pooled connection), then `http1.rs` (what
//! goes over that connection).

pub mod balance;
pub mod connect;
pub mod error;
pub mod fetch;
#[cfg(test)]
mod fixture;
pub mod health;
pub mod policy;
pub mod request;
pub mod spec;
pub mod upstream;

pub use balance::bounded::Bound;
pub use balance::geo::Coordinates;
pub use balance::geography::World;
pub use balance::pool::{Candidates, Order, Pool, folder_of};
pub use balance::regions::Viewpoint;
pub use balance::{bounded, hash, regions};
pub use connect::address::Address;
pub use connect::connections::Connections;
pub use connect::dns::{Discover, Dns, Found, Member, Watch};
pub use connect::trust::Trust;
pub use connect::{address, dns, pem, trust};
pub use error::UpstreamError;
pub use fetch::attempts::Attempts;
pub use fetch::budget::Budget;
pub use fetch::exchange::{INTERIM_MAX, Interim, UpstreamResponse};
pub use fetch::fill_request::{FillRequest, Requester};
pub use fetch::in_flight::InFlight;
pub use fetch::limiter::Limits;
pub use fetch::min_rate::MinRate;
pub use fetch::{exchange, limiter};
pub use health::{Rules, State};
pub use policy::{Ending, Event, FillPolicy, Inspection, Outcome, Ruling, StoredResponse};
pub use request::{BACKUP, UpstreamRequest};
pub use spec::{Options, Probe, Question, Spec, Timeouts};
pub use upstream::{Report, Upstream};
