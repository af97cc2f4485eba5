//! Upstreams: which one receives a request, and the fetch from it.
//!
//! An [`Upstream`] is one server: a shield for an edge, an origin for a shield. Its [`health`] follows from
//! requests and probes. A [`Pool`] (`balance/`) orders its upstreams for a key. [`fetch::fill`] makes one
//! fill: it tries the candidates in order, writes the response into a `cache::FillWriter`, and when an
//! upstream breaks in the middle of a body, it resumes at the next one from the same byte
//! (`fetch/rescue.rs`). [`fetch::pass`] fetches for one viewer only.
//!
//! The upstreams of a configuration section share their [`Connections`], and the [`Trust`] on which these
//! rely.
//!
//! The rules are elsewhere: a [`FillPolicy`] rules on each response (store, collect first, pass) and receives
//! every event that is worth counting.
//!
//! Where to begin: `fetch.rs`, then `fetch/exchange.rs` (one request and its response on a pooled
//! connection), then `connect/http1.rs` (the bytes on that connection).
//!
//! All crates: [`tidegate`](../tidegate/index.html).

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
mod within;

pub use balance::bounded::Bound;
pub use balance::geo::Coordinates;
pub use balance::geography::World;
pub use balance::pool::{Order, Pool, SitePools, folder_of};
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
pub use fetch::decode::Coding;
pub use fetch::fetch_job::{FetchJob, Requester};
pub use fetch::in_flight::InFlight;
pub use fetch::limiter::Limits;
pub use fetch::min_rate::MinRate;
pub use fetch::response::{INTERIM_MAX, Interim, UpstreamResponse};
pub use fetch::{exchange, limiter};
pub use health::{Rules, State};
pub use policy::{
    Ending, Event, FailedResponse, FillPolicy, Inspection, Outcome, Peeked, Progress, Recorder, Redirect,
    Ruling, StoredResponse,
};
pub use request::{BACKUP, UpstreamRequest};
pub use spec::{Options, Probe, Question, Spec, Timeouts};
pub use upstream::{Report, Upstream};
pub use within::within;
